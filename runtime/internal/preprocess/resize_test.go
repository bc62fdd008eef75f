package preprocess

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"runtime"
	"testing"

	"pgc/runtime/manifest"
	"pgc/runtime/rgb"
)

// noise fills an image from a 32-bit linear congruential generator, which runtime/imageio/testdata/gen.py repeats.
func noise(w, h int, seed uint32) *rgb.Image {
	p := rgb.New(w, h)
	for i := range p.Pix {
		seed = seed*1664525 + 1013904223
		p.Pix[i] = byte(seed >> 24)
	}
	return p
}

func load(t *testing.T, path string, v any) {
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestResizePillow compares digests with Pillow's, on one processor and on several, whose borders must not show.
func TestResizePillow(t *testing.T) {
	var cases []struct {
		From, To [2]int
		Seed     uint32
		SHA256   string
	}
	load(t, "testdata/resize.json", &cases)
	wrong := 0
	for _, procs := range []int{1, 2, 7} {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		for _, c := range cases {
			q := Resize(noise(c.From[0], c.From[1], c.Seed), c.To[0], c.To[1])
			if sum := sha256.Sum256(q.Pix); hex.EncodeToString(sum[:]) != c.SHA256 {
				t.Errorf("%v to %v on %d processors is not what Pillow gives", c.From, c.To, procs)
				wrong++
			}
		}
	}
	t.Logf("%d of %d sizes mismatch", wrong, len(cases))
}

// TestResizeExtremes drives the packed sums to both ends: alternating black and white columns and rows, against plain
// 64-bit arithmetic.
func TestResizeExtremes(t *testing.T) {
	for _, size := range [][4]int{{64, 48, 100, 77}, {64, 48, 9, 7}, {5, 7, 33, 31}, {97, 3, 13, 8}} {
		p := rgb.New(size[0], size[1])
		for i := range p.Pix {
			p.Pix[i] = byte(255 * ((i/3%p.Width/2 + i/3/p.Width/3) & 1))
		}
		got, want := Resize(p, size[2], size[3]), plainResize(p, size[2], size[3])
		for i := range want {
			if got.Pix[i] != want[i] {
				t.Fatalf("%v: byte %d is %d, expected %d", size, i, got.Pix[i], want[i])
			}
		}
	}
}

// plainResize is the definition, one sample at a time.
func plainResize(p *rgb.Image, w, h int) []byte {
	at := func(k []int64, sample func(j int) byte) byte {
		sum := int64(1) << (precision - 1)
		for j, c := range k {
			sum += c * int64(sample(j))
		}
		return byte(min(max(sum>>precision, 0), 255))
	}
	across, down := newTaps(p.Width, w), newTaps(p.Height, h)
	mid, out := make([]byte, 3*w*p.Height), make([]byte, 3*w*h)
	for i := range mid {
		y, x, c := i/3/w, i/3%w, i%3
		mid[i] = at(across.of(x), func(j int) byte { return p.Pix[3*(y*p.Width+across.first[x]+j)+c] })
	}
	for i := range out {
		y := i / 3 / w
		out[i] = at(down.of(y), func(j int) byte { return mid[i+3*w*(down.first[y]+j-y)] })
	}
	return out
}

// TestTapsFit proves the bound the packed sums rely on, for sizes of every kind.
func TestTapsFit(t *testing.T) {
	worst := 0.0
	for in := 1; in < 300; in += 1 + in/20 {
		for out := 1; out < 300; out += 1 + out/20 {
			k := newTaps(in, out)
			for i := range out {
				sum := 0.0
				for _, c := range k.of(i) {
					sum += math.Abs(float64(c))
				}
				worst = max(worst, 255*sum+1<<(precision-1))
			}
		}
	}
	if worst >= 1<<31 {
		t.Errorf("a sum can reach %.0f, over 32 bits", worst)
	}
	t.Logf("largest sum %.3f of 2^31", worst/(1<<31))
}

func TestPixelValues(t *testing.T) {
	var cases []struct {
		Rescale   float64
		Mean, Std [3]float64
		Values    [3][256]float32
	}
	load(t, "testdata/pixel_values.json", &cases)
	ramp := rgb.New(16, 16)
	for i := range ramp.Pix {
		ramp.Pix[i] = byte(i / 3)
	}
	worst := 0.0
	for _, c := range cases {
		got := PixelValues(ramp, &manifest.Model{ImageSize: 16, RescaleFactor: c.Rescale, Mean: c.Mean, Std: c.Std})
		if len(got) != 3*16*16 {
			t.Fatalf("%d values, expected 3*16*16", len(got))
		}
		for i, v := range got {
			worst = max(worst, math.Abs(float64(v-c.Values[i/256][i%256])))
		}
	}
	if worst != 0 {
		t.Errorf("pixel values differ from transformers' by up to %g", worst)
	}
}

func BenchmarkResize12MP(b *testing.B) {
	p := noise(4000, 3000, 1)
	for b.Loop() {
		Resize(p, 224, 224)
	}
}

// sigLIP maps 0…255 to -1…1, the normalization of every released PaliGemma.
var sigLIP = manifest.Model{ImageSize: 896, RescaleFactor: 1.0 / 255, Mean: [3]float64{0.5, 0.5, 0.5}, Std: [3]float64{0.5, 0.5, 0.5}}

func BenchmarkPixelValues896(b *testing.B) {
	p := noise(4000, 3000, 1)
	for b.Loop() {
		PixelValues(p, &sigLIP)
	}
}
