package llvm

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgc/ir/target"
	"pgc/ir/tile"
)

// Parts keep the order, are no more than llc runs at the same time, and of about the same length; little text is one.
func TestParts(t *testing.T) {
	of := func(lengths ...int) (fs []Function) {
		for i, n := range lengths {
			fs = append(fs, Function{Symbol: fmt.Sprint(i), Text: make([]byte, n)})
		}
		return fs
	}
	for _, c := range []struct {
		fs    []Function
		parts int
	}{
		{nil, 0},
		{of(1, 2, 3), 1},
		{of(leastPart, leastPart), 2},
		{of(leastPart/2, leastPart/2, leastPart/2), 1},
		{of(slices.Repeat([]int{leastPart / 4}, 100)...), atOnce},
		{of(9*leastPart, 1, 1, 1), 1}, // one function is not divided
		{of(1, 1, 1, 9*leastPart), 1},
		{of(3*leastPart, 1, 3*leastPart, 1, 3*leastPart), 3},
	} {
		parts := Parts(c.fs)
		var names, want []string
		for _, p := range parts {
			if len(p) == 0 {
				t.Errorf("%d functions: a part is empty", len(c.fs))
			}
			for _, f := range p {
				names = append(names, f.Symbol)
			}
		}
		for _, f := range c.fs {
			want = append(want, f.Symbol)
		}
		if !slices.Equal(names, want) || len(parts) != c.parts {
			t.Errorf("%d functions: %d parts of %v, expected %d of all in order", len(c.fs), len(parts), names, c.parts)
		}
	}
}

// Text holds no sum for an address that a pointer or a constant stands for, and lines to ask for begin from one pointer.
func TestNothingUnused(t *testing.T) {
	k, err := tile.Build("k", func(b *tile.Builder) {
		p, n := b.Ptr("p", tile.F32), b.Scalar("n")
		b.Range(b.Int(0), n, b.Int(8), func(i *tile.Value) {
			for u := range int64(4) {
				at := b.Add(b.Mul(i, b.Int(48)), b.Int(16*u))
				b.Prefetch(p, b.Add(b.Mul(n, i), b.Int(16*u+16)), 1)
				b.Store(p, at, b.Add(b.Load(p, at, 8), b.Float(1, 8)))
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	tgt, err := target.Find("x86-64-v3")
	if err != nil {
		t.Fatal(err)
	}
	ll, err := Emit(tgt, []*tile.Kernel{k})
	if err != nil {
		t.Fatal(err)
	}
	text := string(ll)
	for _, m := range regexp.MustCompile(`(?m)^\t(%\d+) = (.*)$`).FindAllStringSubmatch(text, -1) {
		if len(regexp.MustCompile(regexp.QuoteMeta(m[1])+`\b`).FindAllString(text, -1)) < 2 {
			t.Errorf("nothing uses %s = %s", m[1], m[2])
		}
	}
	if n := strings.Count(text, " add "); n != 1 { // of the index
		t.Errorf("%d sums, expected that of the index alone:\n%s", n, text)
	}
}
