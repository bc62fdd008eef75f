package bench

import (
	"testing"

	"pgc/codegen/llvm"
	"pgc/ir/target"
	"pgc/ir/tile"
)

// TestPeakKernels compiles the kernels of a CPU's limits: those of tile registers where it has them.
func TestPeakKernels(t *testing.T) {
	for _, name := range []string{"x86-64-v3", "sapphirerapids"} {
		tgt, err := target.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		ks, err := peakKernels(tgt)
		if err != nil {
			t.Fatal(err)
		}
		var tiles []*tile.Kernel
		work := map[string]int64{}
		for _, k := range ks {
			tiles = append(tiles, k.tile)
			work[k.name] = k.work
		}
		ll, err := llvm.Emit(tgt, tiles)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := llvm.Assemble(t.Context(), ll, tgt); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if tgt.Has("amx-int8") && (work[intName(8)] != steps*4*2*16*16*64 || work[bfloatName()] != work[intName(8)]/2 || work[intName(4)] != work[intName(8)]) {
			t.Errorf("%s: tasks of %v operations", name, work)
		}
		for _, kind := range []string{fmaName(), bfloatName(), intName(8), intName(4), cacheName()} {
			if work[kind] == 0 {
				t.Errorf("%s: no kernel %s", name, kind)
			}
		}
	}
}
