package imageio

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgc/runtime/internal/preprocess"
)

var oracle = flag.String("oracle", "", "folder that testdata/oracle.py has filled")

// deviation gathers how far decoded pixels are from the reference's.
type deviation struct {
	pictures, failed, exact int
	samples, most           int
	sum, worstMean          float64
}

// add compares two pictures of the same size and returns their own deviation.
func (d *deviation) add(got, want []byte) (most int, mean float64) {
	sum := 0
	for i, v := range got {
		e := int(v) - int(want[i])
		most, sum = max(most, e, -e), sum+max(e, -e)
	}
	mean = float64(sum) / float64(len(got))
	d.pictures++
	if most == 0 {
		d.exact++
	}
	d.samples, d.most = d.samples+len(got), max(d.most, most)
	d.sum, d.worstMean = d.sum+float64(sum), math.Max(d.worstMean, mean)
	return most, mean
}

// TestOracle compares the large set of testdata/oracle.py with Pillow and prints a table. All must be the same to the
// bit.
func TestOracle(t *testing.T) {
	if *oracle == "" {
		t.Skip("no folder given: write one with testdata/oracle.py and name it with -args -oracle")
	}
	var index []struct {
		File, Class   string
		Width, Height int
		Resized       []struct {
			Width, Height int
			SHA256        string
		}
	}
	resized := 0
	text, err := os.ReadFile(filepath.Join(*oracle, "index.json"))
	if err == nil {
		err = json.Unmarshal(text, &index)
	}
	if err != nil {
		t.Fatal(err)
	}
	classes := map[string]*deviation{}
	for _, c := range index {
		d := classes[c.Class]
		if d == nil {
			d = &deviation{}
			classes[c.Class] = d
		}
		path := filepath.Join(*oracle, c.File)
		want, err := os.ReadFile(path + ".rgb")
		if err != nil {
			t.Fatal(err)
		}
		got, err := Read(context.Background(), path, DefaultLimits)
		if err != nil {
			d.failed++
			t.Error(err)
			continue
		}
		if got.Width != c.Width || got.Height != c.Height || len(want) != len(got.Pix) {
			d.failed++
			t.Errorf("%s is %dx%d, Pillow says %dx%d", c.File, got.Width, got.Height, c.Width, c.Height)
			continue
		}
		if most, mean := d.add(got.Pix, want); most > 0 {
			t.Errorf("%s differs from Pillow by %d levels at most, %.4f on average", c.File, most, mean)
		}
		for _, r := range c.Resized {
			resized++
			if sum := sha256.Sum256(preprocess.Resize(got, r.Width, r.Height).Pix); hex.EncodeToString(sum[:]) != r.SHA256 {
				t.Errorf("%s resized to %dx%d is not what Pillow gives", c.File, r.Width, r.Height)
			}
		}
	}
	t.Logf("%d pictures resized", resized)
	t.Logf("%-40s %8s %7s %6s %4s %9s %9s", "class", "pictures", "failed", "exact", "max", "mean", "worst mean")
	for _, name := range slices.Sorted(maps.Keys(classes)) {
		d := classes[name]
		t.Logf("%-40s %8d %7d %6d %4d %9.5f %9.5f", name, d.pictures, d.failed, d.exact, d.most, d.sum/float64(max(d.samples, 1)), d.worstMean)
	}
}
