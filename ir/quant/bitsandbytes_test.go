package quant

import (
	"math"
	"testing"

	"pgc/runtime/safetensors"
)

// TestBitsandbytes quantizes matrices to NF4 and expects the codes and scales of bitsandbytes, without exception
// (testdata/nf4.py).
func TestBitsandbytes(t *testing.T) {
	_, load := fixture(t)
	f, err := safetensors.Open("testdata/nf4.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	names := []string{"normal", "heavy_tailed", "outliers", "shifted", "sparse", "zeros", "tiny"}
	if len(f.Names()) != 2*len(names) {
		t.Errorf("the fixture has %d tensors, expected %d", len(f.Names()), 2*len(names))
	}
	for _, name := range names {
		w := load(name)
		codes, _ := f.Tensor(name + ".codes")
		absmax, _ := f.Tensor(name + ".absmax")
		scales, err := absmax.Float32s()
		if err != nil || len(codes.Data) != len(w.x)/2 || len(scales) != len(w.x)/64 {
			t.Fatalf("%s: %d bytes of codes and %d scales (%v)", name, len(codes.Data), len(scales), err)
		}
		g := NewGroups(w.k, 64)
		for r := range w.rows {
			(*Rounding)(nil).Row(w.row(r), NF4, g)
			for i, q := range g.Q {
				pair := codes.Data[(r*w.k+i)/2]
				if want := pair >> (4 * (1 - i%2)) & 15; q != want {
					t.Fatalf("%s: value %d of row %d, %g, has code %d, expected %d", name, i, r, w.row(r)[i], q, want)
				}
			}
			for i, s := range g.Scale {
				if want := scales[r*len(g.Scale)+i]; math.Float32bits(s) != math.Float32bits(want) {
					t.Fatalf("%s: group %d of row %d has scale %g, expected %g", name, i, r, s, want)
				}
			}
		}
	}
}
