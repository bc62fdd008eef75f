package ptx

import (
	"bytes"
	"testing"

	"pgc/codegen/packing"
	"pgc/codegen/ptx/emu"
	store "pgc/codegen/weights"
	"pgc/ir"
	"pgc/ir/tile"
)

// splitCases are products whose blocks share K: whole parts, a last one of few units, and of one that is not whole.
func splitCases() []productCase {
	i8, _ := ir.ParseDType("i8g128")
	i4, _ := ir.ParseDType("i4g32")
	wide, _ := ir.ParseDType("i4g128")
	one := [][2]int{{1, 27}}
	return []productCase{{ir.BF16, 1, 8192, 1, one, tile.F32, false}, {ir.BF16, 8, 8300, 2, [][2]int{{2, 16}, {1, 21}}, tile.F32, false}, {i8, 3, 10250, 1, one, tile.F32, false},
		{i4, 6, 8777, 1, one, tile.F32, false}, {wide, 2, 14336, 2, one, tile.F32, false}}
}

// TestSplitIsOfShapesAlone cuts K where strips are few and K is long, the same way for any number of rows.
func TestSplitIsOfShapesAlone(t *testing.T) {
	many := int(16 * 2 * machine.multiprocessors)
	for _, c := range []struct {
		k, accs int
		parts   [][2]int
		split   int64
	}{{8191, 1, [][2]int{{1, 16}}, 1}, {8192, 1, [][2]int{{1, 16}}, 4}, {8193, 2, [][2]int{{1, 16}}, 5}, {16384, 1, [][2]int{{1, 2048}}, 8}, {14336, 1, [][2]int{{1, 3584}}, 7},
		{16384, 1, [][2]int{{1, many}}, 1}, {16384, 1, [][2]int{{1, many - 16}}, 8}, {2048, 2, [][2]int{{1, 2048}, {1, 256}}, 1}} {
		for _, d := range append([]ir.DType{ir.BF16}, ir.Groups.List()...) {
			if !(packing.Fragments{Group: store.GroupOf(d)}).Exact() {
				continue
			}
			for m := 1; m <= fewRows; m++ {
				for _, float := range []bool{false, true} {
					f := newFew(productCase{d, m, c.k, c.accs, c.parts, tile.F32, float}.spec(), []int{0})
					if f.split != c.split || f.split > 1 && (f.chunkK() != splitK || f.xBytes() > mostX) {
						t.Errorf("%d rows of %d by %s %v: %d blocks share K, %d values of it each, expected %d", m, c.k, d, c.parts, f.split, f.chunkK(), c.split)
					}
				}
			}
		}
	}
}

// TestSplitOnAnyGrid runs products whose blocks share K on grids that take all tasks at once, in turns, or one after the
// other, and twice: all have the same bits.
func TestSplitOnAnyGrid(t *testing.T) {
	for _, c := range splitCases()[:3] {
		r := c.run(t)
		l, err := build("product", r.spec())
		if err != nil {
			t.Fatal(err)
		}
		k := l.Kernels[0]
		m, device := parsed(t, k), emu.NewDevice() // what a launch leaves in the kernel's variables is there for the next
		var want []byte
		for _, blocks := range []int64{1, 3, 7, 1 << 10, 1 << 10} {
			r.work = &emu.Memory{Data: bytes.Repeat([]byte{0xff}, int(l.WorkBytes))}
			args, tasks := r.arguments(k)
			if _, err := m.Run(emu.Launch{Entry: k.Name, Blocks: min(blocks, blocksOf(k, tasks)), Args: append(args, tasks), Shared: dynamicBytes(k), Device: device}); err != nil {
				t.Fatal(err)
			}
			var got []byte
			for _, out := range r.out {
				got = append(got, out.Memory.Data...)
				clear(out.Memory.Data)
			}
			if want == nil {
				want = got
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%v: other bits on %d blocks than on one", c, blocks)
			}
		}
	}
}
