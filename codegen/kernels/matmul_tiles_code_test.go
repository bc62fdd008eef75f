package kernels

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgc/codegen/internal/link/linktest"
	"pgc/codegen/llvm"
	"pgc/codegen/llvm/amxtest"
	"pgc/ir/quant"
	"pgc/ir/target"
	"pgc/ir/tile"
)

// TestTileCounts counts instructions of what llc makes for sapphirerapids: in the loops over k, four loads for four
// products of whole blocks, no vector in memory, and so many vectors between products as the group's length gives; tiles
// are configured outside of loops.
func TestTileCounts(t *testing.T) {
	tgt, err := target.Find("sapphirerapids")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []tileShape{{2048, 4096, 1, quant.Int8, 128}, {2048, 4096, 2, quant.Int4, 128}, {2048, 4096, 1, quant.Int4, 64}, {k: 2048, n: 4096, accs: 1}, {k: 4304, n: 1152, accs: 1}} {
		k := buildTiles(t, s.String(), s.spec(many), tgt)
		source, err := llvm.Emit(tgt, []*tile.Kernel{k.Tile})
		if err != nil {
			t.Fatal(err)
		}
		text, err := llvm.Assembly(t.Context(), source, tgt)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "ldtilecfg"); n != 2 || strings.Count(string(text), "tilerelease") != 1 {
			t.Errorf("%v: tiles are configured %d times, expected 2, and released once", s, n)
		}
		hot := 0
		for _, block := range strings.Split(string(text), "\n.LBB") {
			if !strings.Contains(block, "Loop") {
				continue
			}
			if strings.Contains(block, "ldtilecfg") {
				t.Errorf("%v: tiles are configured in a loop", s)
			}
			products := regexp.MustCompile(`\ttdp`).Split(block, -1)
			loads, n := strings.Count(block, "\ttileloadd"), len(products)-1
			if n == 0 || n%4 != 0 || loads > n { // halves of blocks, for the rest of rows
				continue
			}
			hot++
			if regexp.MustCompile(`%zmm[0-9]+, [0-9-]*\(%r[sb]p\)|[0-9-]*\(%r[sb]p\), %zmm`).MatchString(block) {
				t.Errorf("%v: a loop of products keeps vectors on the stack", s)
			}
			if between := 0; s.group > 0 && strings.Contains(block, "vcvtdq2ps") {
				for _, part := range products[1:] {
					between = max(between, strings.Count(part, "vcvtdq2ps"))
				}
				if want := int(1024 / s.group); between != want {
					t.Errorf("%v: up to %d vectors are scaled between products, expected %d", s, between, want)
				}
			}
		}
		if hot == 0 {
			t.Errorf("%v: no loop has four products for four loads", s)
		}
	}
}

// TestFlushesInOrder expects that llc moves no arithmetic of what follows products, which keeps subnormal numbers, before
// the instruction that ends flushing: it knows too little of that to be trusted.
func TestFlushesInOrder(t *testing.T) {
	const off = "$8064" // into MXCSR: subnormal numbers are kept
	arithmetic := regexp.MustCompile(`\tv(add|sub|mul|fn?m)[a-z0-9]*[ps]s\t`)
	for _, name := range []string{"sapphirerapids", "x86-64-v3"} {
		tgt, err := target.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if !tgt.Has("amx-bf16") {
			tgt.Features = append(slices.Clone(tgt.Features), "amx-bf16", "amx-tile")
		}
		for _, rows := range []int64{1, 5} {
			k := buildTiles(t, "k", tileShape{k: 200, n: 40, accs: 2}.spec(Const(rows)), tgt)
			source, err := llvm.Emit(tgt, []*tile.Kernel{k.Tile})
			if err != nil {
				t.Fatal(err)
			}
			text, err := llvm.Assembly(t.Context(), source, tgt)
			if err != nil {
				t.Fatal(err)
			}
			found := 0
			for _, block := range strings.Split(string(text), "\n.LBB") {
				if !strings.Contains(block, off) {
					continue
				}
				found++
				if before, _, _ := strings.Cut(block, "ldmxcsr"); arithmetic.MatchString(before) {
					t.Errorf("%s, %d rows: arithmetic lies before the end of flushing in its block", name, rows)
				}
			}
			if found == 0 || !arithmetic.MatchString(string(text)) {
				t.Errorf("%s, %d rows: %d ends of flushing found", name, rows, found)
			}
		}
	}
}

// BenchmarkAroundTiles runs products in tile registers without the instructions for these, whose results are nonsense: what
// is left is what they have to hide, in nanoseconds a group of k of 32 rows by 32 columns.
func BenchmarkAroundTiles(b *testing.B) {
	for _, tgt := range amxtest.Targets(b) {
		for _, s := range []tileShape{{2048, 1024, 1, quant.Int8, 128}, {2048, 1024, 1, quant.Int4, 128}, {2048, 1024, 1, quant.Int4, 64}} {
			b.Run(tgt.Name+"/"+s.String(), func(b *testing.B) {
				const rows = 288
				k := buildTiles(b, "k", s.spec(Const(rows)), tgt)
				without(k.Tile.Body)
				plain := tgt
				plain.Features = slices.DeleteFunc(slices.Clone(tgt.Features), func(f string) bool { return strings.HasPrefix(f, "amx-") })
				x, w := s.operands(rand.New(rand.NewPCG(1, 1)), rows)
				args, tasks := k.arguments(rows, x, w, make(tile.Buffer, 4*rows*s.n))
				code := loaded(b, built{k.Kernel, plain, k.name})
				code.Bench(b, linktest.Call{Symbol: "k", Tasks: tasks, Args: args, ScratchBytes: k.Tile.ScratchBytes})
				groups := rows / 32 * s.n / 32 * s.k / s.group
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(groups), "ns/group")
			})
		}
	}
}

// without takes the operations on tile registers out of a block.
func without(b *tile.Block) {
	b.Insts = slices.DeleteFunc(b.Insts, func(in *tile.Inst) bool { return strings.HasPrefix(in.Op.String(), "tile_") })
	for _, in := range b.Insts {
		for _, inner := range in.Blocks {
			without(inner)
		}
	}
}
