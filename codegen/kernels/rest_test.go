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
	perRow := fmas(Const(12)) / 6 // microkernels of six rows alone
	for _, c := range []struct {
		m    Size
		rows int
	}{{Const(12), 6}, {Const(13), 6 + 1}, {Const(16), 6 + 4}, {Const(17), 6 + 4 + 1}, {Const(256), 6 + 4}, {Const(1023), 6 + 2 + 1},
		{Size{Sym: "S", N: 256}, 6 + 4 + 2 + 1}} {
		if n := fmas(c.m); n != perRow*c.rows {
			t.Errorf("%d rows: %d multiply-adds, expected those of %d rows, %d", c.m.N, n, c.rows, perRow*c.rows)
		}
	}
}
