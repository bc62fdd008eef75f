package link

import (
	"bytes"
	"fmt"
	"testing"
)

// TestJoin links programs that share functions and constants: what is equal, with the constants that it refers to, lies
// in the blob once; what differs in a constant alone, or calls a function, does not.
func TestJoin(t *testing.T) {
	add := func(name string, by int) string {
		return fmt.Sprintf(`
define void @%s(float* %%a) {
  %%p = bitcast float* %%a to <8 x float>*
  %%v = load <8 x float>, <8 x float>* %%p
  %%w = fadd <8 x float> %%v, <float %d.0, float 2.0, float 3.0, float 4.0, float 5.0, float 6.0, float 7.0, float 8.0>
  store <8 x float> %%w, <8 x float>* %%p
  ret void
}
`, name, by)
	}
	calls := `
declare void @same(float*)
define void @calls(float* %a) {
  call void @same(float* %a)
  call void @same(float* %a)
  ret void
}
`
	for _, llc := range llcs(t) {
		flags := []string{"-relocation-model=pic", "-function-sections"}
		first := [][]byte{assemble(t, llc, add("same", 1)+add("other", 1)+add("twin", 9), flags...), assemble(t, llc, calls, flags...)}
		second := [][]byte{assemble(t, llc, add("other", 5)+add("same", 1), flags...), assemble(t, llc, calls, flags...)}
		images, err := Join([][][]byte{first, second})
		if err != nil {
			t.Fatalf("%s: %v", llc, err)
		}
		a, b := images[0].Symbols, images[1].Symbols
		if a["same"] != b["same"] || a["same"] != a["other"] {
			t.Errorf("%s: equal functions lie at %d, %d and %d", llc, a["same"], b["same"], a["other"])
		}
		if a["other"] == b["other"] || a["twin"] == a["same"] || a["calls"] == b["calls"] {
			t.Errorf("%s: functions that differ, or may, lie at one place: %v, %v", llc, a, b)
		}
		for _, alone := range [][][]byte{first, second} {
			image, err := Link(alone)
			if err != nil {
				t.Fatal(err)
			}
			if n, both := len(image.Code), len(images[0].Code); n >= both {
				t.Errorf("%s: one program has %d bytes, both %d", llc, n, both)
			}
		}
		if n := bytes.Count(images[0].Code, []byte("\x00\x00\x00\x40\x00\x00\x40\x40\x00\x00\x80\x40")); n != 3 { // 2, 3, 4 behind 1, 9 and 5
			t.Errorf("%s: the constants lie in the code %d times, expected 3", llc, n)
		}
		again, err := Join([][][]byte{first, second})
		if err != nil || !bytes.Equal(again[0].Code, images[0].Code) {
			t.Errorf("%s: linking again gives other code (%v)", llc, err)
		}
	}
}

// TestDivision links the same functions in one object, in two, and beside a function that is not linked: the blob is the
// same, and holds what its functions refer to.
func TestDivision(t *testing.T) {
	add := func(name string, by int) string {
		return fmt.Sprintf(`
define void @%s(<8 x float>* %%p) {
  %%v = load <8 x float>, <8 x float>* %%p
  %%w = fadd <8 x float> %%v, <float %d.0, float 2.0, float 3.0, float 4.0, float 5.0, float 6.0, float 7.0, float 8.0>
  %%x = fmul <8 x float> %%w, <float %d.5, float %d.5, float %d.5, float %d.5, float %d.5, float %d.5, float %d.5, float %d.5>
  store <8 x float> %%x, <8 x float>* %%p
  ret void
}
`, name, by, by, by, by, by, by, by, by, by)
	}
	for _, llc := range llcs(t) {
		flags := []string{"-relocation-model=pic", "-function-sections"}
		a, b, c := add("a", 1), add("b", 2), add("c", 3)
		whole, err := Link([][]byte{assemble(t, llc, a+b+c, flags...)})
		if err != nil {
			t.Fatal(err)
		}
		parts, err := Link([][]byte{assemble(t, llc, a, flags...), assemble(t, llc, b+c, flags...)})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(whole.Code, parts.Code) {
			t.Errorf("%s: in one object the blob is\n%x, in two\n%x", llc, whole.Code, parts.Code)
		}
		unused := "@unused = private unnamed_addr constant [4 x float] [float 77.0, float 77.0, float 77.0, float 77.0], align 16\n"
		more, err := Link([][]byte{assemble(t, llc, unused+a+b+c, flags...)})
		if err != nil || !bytes.Equal(whole.Code, more.Code) {
			t.Errorf("%s: a constant that nothing refers to changes the blob (%v)", llc, err)
		}
	}
}
