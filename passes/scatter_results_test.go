package passes

import (
	"testing"

	"pgc/frontend/text"
)

// A matmul overwrites no state whose old rows anything reads: it may come before that.
func TestOldRowsAreKept(t *testing.T) {
	const product = `func @f(%x: input f32[3,6], %w: weight "w" f32[4,6], %positions: input i32[3], %s: state f32[3,5,4]) {
  %0 = matmul %x, %w {accs=1, epilogue=[@0]} : f32[3,4]
  %1 = reshape %0 {shape=[3,1,4]} : f32[3,1,4]
`
	for end, want := range map[string]int{
		"  %2 = scatter %s, %1, %positions : f32[3,5,4]\n  return update %s=%2\n}\n":                                                1,
		"  %2 = exp %s : f32[3,5,4]\n  %3 = scatter %s, %1, %positions : f32[3,5,4]\n  return update %s=%3, y=%2 : f32[3,5,4]\n}\n": 0,
	} {
		m, err := text.Parse("f.pgir", product+end)
		if err != nil {
			t.Fatal(err)
		}
		if got := scatterResults(m.Funcs[0], nil); got != want {
			t.Errorf("%d results are scattered, expected %d:\n%s", got, want, m)
		}
	}
}
