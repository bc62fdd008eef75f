package hf_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"pgc/checkpoint/hf"
	"pgc/golden"
	"pgc/ir"
	"pgc/ir/floats"
	"pgc/models/paligemma"
	"pgc/runtime/safetensors"
)

// TestAdapters compares the merged weights of every adapter of golden with those of peft's merge_and_unload: the same
// bits but for one unit in the last place of 16 bits in one element of 10,000 (sums in B·A have another order here); in
// float32 within 1e-6 of the largest.
func TestAdapters(t *testing.T) {
	for _, dir := range golden.Adapters() {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			ref, err := safetensors.Open(filepath.Join(dir, golden.AdapterReference))
			if err != nil {
				t.Fatal(err)
			}
			defer ref.Close()
			c, err := hf.Load(filepath.Join(golden.Dir(), ref.Metadata["base"]), hf.Options{Adapter: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			compared, off, elements := 0, 0, 0
			for _, name := range ref.Names() {
				want, _ := ref.Tensor(name)
				if !strings.HasPrefix(name, "model.") && name != "lm_head.weight" {
					continue
				}
				key := paligemma.Canonical(name)
				got, err := c.Tensor(key)
				if err != nil {
					t.Fatal(err)
				}
				d, _ := floats.Of(want.DType)
				if got.DType != d {
					t.Fatalf("%s is %s, peft's is %s", key, got.DType, d)
				}
				n := len(want.Data) / d.Bytes()
				x, y := make([]float32, n), make([]float32, n)
				floats.Decode(x, data(got, len(want.Data)), d)
				floats.Decode(y, want.Data, d)
				compared++
				if d == ir.F32 {
					if e, at := golden.Error(x, y); e > 1e-6 {
						t.Errorf("%s: element %d is off by %g of the largest", key, at, e)
					}
					continue
				}
				for i := range x {
					if elements++; x[i] == y[i] {
						continue
					}
					off++
					bits := map[ir.DType]int{ir.BF16: 8, ir.F16: 11}[d]
					_, exp := math.Frexp(math.Max(math.Abs(float64(x[i])), math.Abs(float64(y[i]))))
					if ulp := math.Ldexp(1, max(exp-bits, -24)); math.Abs(float64(x[i]-y[i])) > ulp {
						t.Errorf("%s: element %d is %g, peft's is %g", key, i, x[i], y[i])
					}
				}
			}
			if off > 1+elements/10_000 {
				t.Errorf("%d of %d elements are one unit off, expected at most one of 10,000", off, elements)
			}
			t.Logf("%d weights, %d of %d elements one unit off", compared, off, elements)
		})
	}
}

// TestWideAdapter merges an adapter of float64, as training in double precision leaves it: it is the one of float32 that peft makes of it.
func TestWideAdapter(t *testing.T) {
	const key = "language_model.layers.1.mlp.up_proj.weight"
	merged := func(dir string) []byte {
		c, err := hf.Load(filepath.Join(golden.Dir(), "pg2-odd"), hf.Options{Adapter: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		w, err := c.Tensor(key)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(data(w, w.Shape[0]*w.Shape[1]*w.DType.Bytes()))
	}
	dir := adapterCopy(t, "linear")
	want := merged(dir)
	rewrite(t, filepath.Join(dir, "adapter_model.safetensors"), func(m tensors) {
		for name, x := range m {
			v, err := x.Float32s()
			if err != nil {
				t.Fatal(err)
			}
			x.DType, x.Data = safetensors.F64, nil
			for _, f := range v {
				x.Data = binary.LittleEndian.AppendUint64(x.Data, math.Float64bits(float64(f)*(1+1e-12)))
			}
			m[name] = x
		}
	})
	if !bytes.Equal(merged(dir), want) {
		t.Errorf("%s is not that of the adapter in float32", key)
	}
}

// data returns a tensor's n bytes, those of one that is made read in pieces that fit no row.
func data(t hf.Tensor, n int) []byte {
	if t.Read == nil {
		return t.Data
	}
	all := make([]byte, n)
	for at := 0; at < n; at += 997 {
		t.Read(all[at:min(n, at+997)], int64(at))
	}
	return all
}
