package ptxrun

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/runtime/safetensors"
)

// runCase is a row of testdata/cases.json, which gen.py writes.
type runCase struct {
	Name, Ptx, Kernel string
	Grid, Block       []int
	Shared            int
	Args              []string
	Tolerance         float64 // of differences, relative to the largest
}

func runCases(t testing.TB) []runCase {
	t.Helper()
	text, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []runCase
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

// request is the case with another text of its kernel, or its own where that is empty.
func (c runCase) request(t testing.TB, text string) Request {
	t.Helper()
	dir := t.TempDir()
	r := Request{File: filepath.Join("testdata", c.Ptx), Kernel: c.Kernel, Grid: c.Grid, Block: c.Block, Shared: c.Shared, Out: filepath.Join(dir, "out.safetensors")}
	if text != "" {
		r.File = filepath.Join(dir, "k.ptx")
		if err := os.WriteFile(r.File, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range c.Args {
		r.Args = append(r.Args, strings.Replace(a, "@", filepath.Join("testdata", c.Name+".safetensors"), 1))
	}
	return r
}

// The PTX of three compilers computes what numpy does.
func TestCompilers(t *testing.T) {
	for _, c := range runCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			r := c.request(t, "")
			if err := Run(r); err != nil {
				t.Fatal(err)
			}
			got, err := safetensors.Open(r.Out)
			if err != nil {
				t.Fatal(err)
			}
			defer got.Close()
			want, err := safetensors.Open(filepath.Join("testdata", c.Name+".safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			defer want.Close()
			compared := 0
			for _, name := range want.Names() {
				result, ok := strings.CutPrefix(name, "expected.")
				if !ok {
					continue
				}
				g, _ := got.Tensor(result)
				w, _ := want.Tensor(name)
				if g.DType != w.DType {
					t.Fatalf("%s is %s, expected %s", result, g.DType, w.DType)
				}
				compareTensors(t, c, g, w)
				compared++
			}
			if compared == 0 {
				t.Error("nothing to compare")
			}
		})
	}
}

func compareTensors(t *testing.T, c runCase, got, want safetensors.Tensor) {
	t.Helper()
	g, w := values(got), values(want)
	if len(g) != len(w) {
		t.Fatalf("%s has %d elements, expected %d", want.Name, len(g), len(w))
	}
	largest, worst, at := 0.0, -1.0, 0
	for i := range w {
		largest = max(largest, math.Abs(w[i]))
		if d := math.Abs(g[i] - w[i]); !(d <= worst) && !(g[i] != g[i] && w[i] != w[i]) {
			worst, at = d, i
		}
	}
	if !(worst <= c.Tolerance*largest) {
		t.Errorf("%s: element %d is %g, expected %g: %.2g of the largest, at most %g allowed", want.Name, at, g[at], w[at], worst/largest, c.Tolerance)
	}
}

// values reads a tensor's elements. Those of 64 bits are compared by the low and high half.
func values(t safetensors.Tensor) []float64 {
	var out []float64
	d, le := t.Data, binary.LittleEndian
	for at := 0; at < len(d); at += t.DType.Bytes() {
		switch t.DType {
		case safetensors.F32:
			out = append(out, float64(math.Float32frombits(le.Uint32(d[at:]))))
		case safetensors.F64:
			out = append(out, math.Float64frombits(le.Uint64(d[at:])))
		case safetensors.BF16:
			out = append(out, float64(math.Float32frombits(uint32(le.Uint16(d[at:]))<<16)))
		case safetensors.F16:
			h := le.Uint16(d[at:])
			v := math.Ldexp(float64(h&0x3ff), -24)
			if e := int(h >> 10 & 31); e == 31 {
				v = math.Inf(1)
			} else if e > 0 {
				v = math.Ldexp(float64(h&0x3ff|0x400), e-25)
			}
			if h&0x8000 != 0 {
				v = -v
			}
			out = append(out, v)
		case safetensors.I64:
			v := le.Uint64(d[at:])
			out = append(out, float64(uint32(v)), float64(int32(v>>32)))
		case safetensors.I32:
			out = append(out, float64(int32(le.Uint32(d[at:]))))
		default:
			out = append(out, float64(d[at]))
		}
	}
	return out
}
