package kernels

import (
	"testing"

	"pgc/ir/scalar"
	"pgc/ir/target"
	"pgc/ir/tile"
)

// TestRowsBehindBlocks: a product of a fixed number of rows has code for the blocks of rows that occur, and for no others.
func TestRowsBehindBlocks(t *testing.T) {
	tgt, err := target.Find("x86-64-v3")
	if err != nil {
		t.Fatal(err)
	}
	fmas := func(m Size) int {
		k, err := Build("k", &Matmul{M: m, K: 32, XStride: 32, Parts: []Part{{Blocks: 1, N: 64, Elem: tile.F32, Accs: 1,
			Exprs: []*scalar.Expr{scalar.X(0, scalar.F32)}, Outs: []Out{{Elem: tile.F32, Strides: []int64{64, 0, 1}}}}}}, tgt)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		var count func(b *tile.Block)
		count = func(b *tile.Block) {
			for _, in := range b.Insts {
				if in.Op == tile.FMA {
					n++
				}
				for _, inner := range in.Blocks {
					count(inner)
				}
			}
		}
		count(k.Tile.Body)
		return n
	}
	// Microkernels of six rows alone, whose body is two steps of k; that of fewer rows is one.
	perRow := fmas(Const(12)) / 6 / 2
	// 16 and 256 rows are little work and whole microkernels of four rows.
	for _, c := range []struct {
		m     Size
		steps int
	}{{Const(12), 12}, {Const(13), 12 + 1}, {Const(16), 8}, {Const(17), 12 + 4 + 1}, {Const(256), 8}, {Const(1023), 12 + 2 + 1},
		{Size{Sym: "S", N: 256}, 12 + 4 + 2 + 1}} {
		if n := fmas(c.m); n != perRow*c.steps {
			t.Errorf("%d rows: %d multiply-adds, expected %d, those of %d rows and steps", c.m.N, n, perRow*c.steps, c.steps)
		}
	}
}
