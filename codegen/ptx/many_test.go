package ptx

import (
	"strings"
	"testing"

	"pgc/codegen/packing"
	store "pgc/codegen/weights"
	"pgc/ir"
	"pgc/ir/tile"
)

func manyCases() []productCase {
	one := [][2]int{{1, 27}}
	three := [][2]int{{3, 16}, {1, 37}, {2, 5}}
	cases := []productCase{{ir.BF16, 9, 7, 1, one, tile.F32, false}, {ir.BF16, 131, 75, 1, [][2]int{{1, 203}}, tile.F32, false},
		{ir.BF16, 65, 200, 2, three, tile.BF16, false}, {ir.BF16, 300, 64, 1, one, tile.F32, false}, {ir.BF16, 16, 2048, 1, [][2]int{{1, 64}}, tile.F32, false},
		{ir.BF16, 21, 53, 1, [][2]int{{6, 1}}, tile.F32, false}}
	for i, d := range ir.Groups.List() {
		if (packing.Fragments{Group: store.GroupOf(d)}).Exact() {
			cases = append(cases, productCase{d, 40 + 3*i, 43 + 131*i, 1 + i%2, one, tile.F32, false}, productCase{d, 12 + i, 512, 1 + (i+1)%2, three, tile.F32, false})
		}
	}
	return mostlyFloats(cases)
}

// TestManyRows compares products of more rows with sums in float64, of every format, odd sizes and several parts.
func TestManyRows(t *testing.T) { recordedMany.run(t) }

var recordedMany = &remade{test: func(t *testing.T) {
	joined := 0
	for _, c := range manyCases() {
		for _, k := range c.kernels(t) {
			joined += strings.Count(k.Name, "_finish")
		}
		r := c.run(t)
		stats := r.launch(t)
		worst, limit := r.error(), c.limit()
		t.Logf("%v: error %.2g, %d warp instructions, %d waits for banks", c, worst, stats.Instructions, stats.Conflicts)
		if !(worst < limit) {
			t.Errorf("%v: error %g, at most %g allowed", c, worst, limit)
		}
		if stats.Conflicts != 0 {
			t.Errorf("%v: accesses to shared memory meet in banks", c)
		}
	}
	if joined == 0 {
		t.Error("no case has several parts whose sums of K's parts one kernel adds")
	}
}}
