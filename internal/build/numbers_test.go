package build

import (
	"path/filepath"
	"strings"
	"testing"

	"pgc/checkpoint/hf"
	"pgc/golden"
)

// TestNumbers writes the numbers of texts as differences, and reads them again.
func TestNumbers(t *testing.T) {
	text := `func @a(
    %k0: slots f32[8],
    %k1: slots f32[8],
    %w8: weight "adapters/my-2/layers.0.q.weight/lora_A" f32[4],
    %layers.10.q.weight: weight "layers.10.q.weight" f32[4]) {
  %0, %1 = split %w8 {axis=1} : f32[2], f32[2]
  %2 = add %0, %1 : f32[2]
  return out="%7" layers.007.x layers.1234567890 %3000000000 %w01
}
func @b(%x.07: input f32[1]) {
  %0 = neg %x.07 : f32[1]
`
	short := relative(text)
	for _, want := range []string{"%k\x010:", "%k\x011:", "%\x010, %\x011 = split %w\x010 ", "%\x011 = add %\x01-2, %\x01-1 ", "layers.007.x", "%w01", "%3000000000"} {
		if !strings.Contains(short, want) {
			t.Errorf("no %q in %q", want, short)
		}
	}
	if again, err := absolute(short); err != nil || again != text {
		t.Errorf("%v: %q, expected %q", err, again, text)
	}
	for _, bad := range []string{"%\x01", "%\x01-", "%\x01-1", "%\x019999999999", "\"a.\x01999999999 \"a.\x01999999999"} {
		if whole, err := absolute(bad); err == nil {
			t.Errorf("%q is %q", bad, whole)
		}
	}
}

// TestGraphsOfAdapters: the graph of a model comes back word by word, and takes less than twice the bytes with an adapter, with which
// every function has another form.
func TestGraphsOfAdapters(t *testing.T) {
	size := func(kept ...hf.Kept) int {
		o := Options{Adapters: kept}
		c, err := o.Open(filepath.Join(golden.Dir(), "pg2-odd"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		m, err := plain(c, o, false)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := absolute(relative(m.String())); err != nil || again != m.String() {
			t.Errorf("the text of the graph has changed (%v)", err)
		}
		return len(EncodeGraph(m))
	}
	none := size()
	one := size(hf.Kept{Name: "linear", Dir: filepath.Join(golden.Dir(), "adapters", "linear")})
	t.Logf("%d bytes, %d with an adapter", none, one)
	if one > 2*none {
		t.Errorf("the graph has %d bytes with an adapter, %d without: expected at most twice as many", one, none)
	}
}
