package passes

import (
	"fmt"
	"strings"
	"testing"
	"time"

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

// TestLongChains compiles chains of 10,000 operations, of which a quadratic pass would take half a minute, and chains
// a tenth as long, to whose time theirs is compared.
func TestLongChains(t *testing.T) {
	elementwise := func(i int, x string, shape string) string {
		return fmt.Sprintf("  %%%d = %s %s : %s\n", i, []string{"exp", "neg", "abs", "tanh"}[i%4], x, shape)
	}
	for name, line := range map[string]func(i int, x string) string{
		"elementwise": func(i int, x string) string { return elementwise(i, x, "f32[64,64]") },
		"transposed": func(i int, x string) string {
			if i%2 == 0 {
				return elementwise(i, x, "f32[64,64]")
			}
			return fmt.Sprintf("  %%%d = transpose %s {perm=[1,0]} : f32[64,64]\n", i, x)
		},
		"products": func(i int, x string) string {
			if i%3 > 0 {
				return elementwise(i, x, "f32[64,64]")
			}
			return fmt.Sprintf("  %%%d = einsum %s, %%w {spec=\"ab,cb->ac\"} : f32[64,64]\n", i, x)
		},
		"softmaxes": func(i int, x string) string {
			of := func(back int) string { // the value so many operations before, or the function's input
				if back > i {
					return "%x"
				}
				return fmt.Sprintf("%%%d", i-back)
			}
			switch i % 5 {
			case 0:
				return fmt.Sprintf("  %%%d = reduce_max %s : f32[64,1]\n", i, x)
			case 1:
				return fmt.Sprintf("  %%%d = sub %s, %s : f32[64,64]\n", i, of(2), of(1))
			case 3:
				return fmt.Sprintf("  %%%d = reduce_sum %s : f32[64,1]\n", i, of(1))
			case 4:
				return fmt.Sprintf("  %%%d = div %s, %s : f32[64,64]\n", i, of(2), of(1))
			}
			return fmt.Sprintf("  %%%d = exp %s : f32[64,64]\n", i, x)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var took [2]time.Duration
			for i, n := range []int{1000, 10000} {
				var src strings.Builder
				src.WriteString("func @f(\n    %x: input f32[64,64], %w: weight \"w\" f32[64,64]) {\n")
				x := "%x"
				for i := range n {
					src.WriteString(line(i, x))
					x = fmt.Sprintf("%%%d", i)
				}
				fmt.Fprintf(&src, "  return y=%s : f32[64,64]\n}\n", x)
				m, err := text.Parse("f.pgir", src.String())
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				if err := Optimize(m, Options{}); err != nil {
					t.Fatal(err)
				}
				took[i] = time.Since(start)
			}
			if took[1] > 30*took[0] && took[1] > 5*time.Second {
				t.Errorf("10,000 operations took %v, 1,000 took %v, expected about ten times as much", took[1], took[0])
			}
			t.Logf("1,000 operations took %v, 10,000 took %v", took[0], took[1])
		})
	}
}
