package passes

import (
	"fmt"
	"strings"
	"testing"

	"pgc/frontend/text"
)

// TestSizes compiles functions at the limits of sizes, which are not computed: an error says so, or every result fits.
func TestSizes(t *testing.T) {
	for _, c := range []struct{ name, passes, src, want string }{
		{"a product of more rows than a dimension has", "all", `
func @f(
    %x: input f32[65536,65536,16], %w: weight "w" f32[16,16]) {
  %0 = einsum %x, %w {spec="abc,dc->abd"} : f32[65536,65536,16]
  return y=%0 : f32[65536,65536,16]
}`, "<nil>"},
		{"the greatest value", "all", `
func @f(
    %x: input f32[65536,65536,4096]) {
  %0 = exp %x : f32[65536,65536,4096]
  %1 = reshape %0 {shape=[4096,65536,65536]} : f32[4096,65536,65536]
  return y=%1 : f32[4096,65536,65536]
}`, "<nil>"},
		{"a value one symbol too great", "all", `
symbol S <= 268435457
func @f(
    %x: input f32[S,65536]) {
  return y=%x : f32[S,65536]
}`, "@f %x: shape [S,65536] has over 17592186044416 elements with every symbol at its bound, expected at most that"},
		{"a number of elements that is 0 in 64 bits", "all", `
func @f(
    %x: input f32[65536,65536,65536,65536]) {
  return y=%x : f32[65536,65536,65536,65536]
}`, "@f %x: shape [65536,65536,65536,65536] has over 17592186044416 elements with every symbol at its bound, expected at most that"},
		{"an arena of three of the greatest values", "legalize", `
func @f(
    %x: input f32[4194304,4194304]) {
  %0 = exp %x : f32[4194304,4194304]
  %1 = neg %x : f32[4194304,4194304]
  %2 = abs %x : f32[4194304,4194304]
  %3 = add %0, %1 : f32[4194304,4194304]
  %4 = add %3, %2 : f32[4194304,4194304]
  %5 = exp %4 : f32[4194304,4194304]
  return y=%5 : f32[4194304,4194304]
}`, "@f needs an arena of over 140737488355328 bytes, expected at most that"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := text.Parse("f.pgir", strings.TrimSpace(c.src))
			list := Pipeline
			if c.passes != "all" {
				list = []Pass{*Find(c.passes)}
			}
			if err == nil {
				err = Run(m, list, Options{Check: true})
			}
			if err == nil {
				err = Plan(m.Funcs[0])
			}
			if got := fmt.Sprint(err); !strings.HasSuffix(got, c.want) || c.want == "<nil>" && err != nil {
				t.Errorf("the error is %q, expected %q", got, c.want)
			}
		})
	}
}
