package jpeg

import (
	"math"
	"os"
	"testing"
)

func TestHuffmanTable(t *testing.T) {
	counts := make([]byte, 16)
	counts[0], counts[2] = 1, 4
	if _, err := newHuffmanTable(counts, make([]byte, 5)); err != nil {
		t.Error(err)
	}
	counts[3] = 1
	if _, err := newHuffmanTable(counts, make([]byte, 6)); err == nil {
		t.Error("a code of more than all bits was taken")
	}
}

// TestStrips decodes strips until their scans have coded what one file may.
func TestStrips(t *testing.T) {
	data, err := os.ReadFile("../../testdata/q90-444-progressive.jpg")
	if err != nil {
		t.Fatal(err)
	}
	fits := func(int, int, int) error { return nil }
	one := &Strips{}
	if _, err := one.Decode(t.Context(), data, true, fits); err != nil || one.blocks == 0 {
		t.Fatalf("a strip of %d blocks gave %v", one.blocks, err)
	}
	strips := &Strips{blocks: maxBlocks - 2*one.blocks}
	for i := range 3 {
		_, err := strips.Decode(t.Context(), data, true, fits)
		if want := "its scans code over 67500000 blocks of coefficients, expected at most that"; i < 2 && err != nil || i == 2 && (err == nil || err.Error() != want) {
			t.Errorf("strip %d gave %v, expected %q of the last alone", i, err, want)
		}
	}
}

// TestIDCT compares the transform with the definition.
func TestIDCT(t *testing.T) {
	q := &quantTable{}
	for i := range q {
		q[i] = int32(1 + i%7)
	}
	seed, worst := uint32(1), 0.0
	for range 500 {
		var b [64]int16
		for i := range b {
			seed = seed*1664525 + 1013904223
			if seed>>28 < 5 {
				b[i] = int16(int32(seed<<4) >> 27)
			}
		}
		var got [64]byte
		inverseDCT(got[:], 8, &b, q)
		for i, want := range plainIDCT(&b, q) {
			worst = max(worst, want-float64(got[i]), float64(got[i])-want)
		}
	}
	t.Logf("the integer transform is within %.3f levels of the exact one", worst)
	if worst > 0.6 {
		t.Errorf("the integer transform is off by %.3f levels, expected rounding only", worst)
	}
}

// plainIDCT is the definition (T.81 A.3.3), clipped to 0…255 and not rounded.
func plainIDCT(b *[64]int16, q *quantTable) (out [64]float64) {
	cosine := func(x, u int) float64 {
		c := math.Cos(float64((2*x+1)*u) * math.Pi / 16)
		if u == 0 {
			c /= math.Sqrt2
		}
		return c / 2
	}
	for i := range out {
		sum := 128.0
		for k, v := range b {
			sum += float64(int32(v)*q[k]) * cosine(i%8, k%8) * cosine(i/8, k/8)
		}
		out[i] = min(max(sum, 0), 255)
	}
	return out
}
