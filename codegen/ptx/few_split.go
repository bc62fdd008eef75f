package ptx

import (
	"fmt"

	"pgc/codegen/kernels"
	"pgc/codegen/packing"
	"pgc/ir/tile"
)

// Where the strips of a product are fewer than the blocks that a large GPU runs at a time, and K is long, blocks share K:
// a task is a strip and a part of K. A block has tasks of one part, so it computes the rows of x there once. Its sums go
// to the workspace, and the last block of a strip adds those of all parts in their order and runs the epilogue. What is
// split depends on K and on how many strips there are, never on the device or the number of rows; so neither do the bits.

const (
	// splitK is how many values of k a part has: eight rows of x take 64 KiB, and each warp has a unit of every format.
	splitK = 2048
	// leastParts is how many parts are worth the 1.5 µs that a strip's last block takes to know that it is, and to read the
	// sums of the others.
	leastParts = 4
	// flagBytes is what the block knows of itself: how many were there before it.
	flagBytes = 16
	// sumsAtOnce is how many parts are on their way from memory while they are added.
	sumsAtOnce = 4
)

// divides says that blocks share K: two blocks for each multiprocessor would be more than there are strips.
func (f *few) divides() bool {
	return f.argmax == 0 && f.Matmul.K >= leastParts*splitK && f.tasksOfAll(1) < 2*machine.multiprocessors
}

// stripOf and partOf are what a task computes: a strip, and which part of its K.
func (f *few) stripOf(task string) string {
	if f.split == 1 {
		return task
	}
	return f.to(word, "div.u32", task, num(f.split))
}

func (f *few) partOf(task string) string {
	if f.split == 1 {
		return "0"
	}
	return f.to(word, "rem.u32", task, num(f.split))
}

// stride is how far a block's tasks are apart: as many as blocks take part, which is a multiple of the parts where there
// are so many.
func (f *few) stride() string {
	blocks := f.to(word, "mov.u32", "%nctaid.x")
	if f.split == 1 {
		return blocks
	}
	whole := f.to(word, "sub.s32", blocks, f.partOf(blocks))
	return f.to(word, "selp.b32", blocks, whole, f.to(pred, "setp.eq.s32", whole, "0"))
}

// ofPartOfK counts what a part of K has of what a unit has so many of, and all of K so many.
func (f *few) ofPartOfK(part string, each, all int64) string {
	switch most := f.chunkUnits * each; {
	case f.split == 1:
		return num(all)
	case most == 0 || all%most == 0:
		return num(most)
	default:
		return f.to(word, "min.s32", f.to(word, "mad.lo.s32", part, num(-most), num(all)), num(most))
	}
}

// idles says that the last part has fewer units than there are warps.
func (f *few) idles() bool { return f.split > 1 && (f.units-1)%f.chunkUnits+1 < f.warps }

// multiplyPart multiplies the warp's units of the task's part of K. Where the last task was of the same one, its rows of x
// are there; else that task's barriers are behind the last look at others.
func (f *few) multiplyPart() {
	part := f.partOf(f.task)
	there := f.label("staged")
	f.onlyIf(f.to(pred, "setp.eq.s32", part, f.partOf(f.last)), "bra", there)
	f.stage(part, false)
	f.do("bar.sync", "0")
	f.place(there)
	end, none := f.ofPartOfK(part, 1, f.units), f.label("idle")
	if f.idles() {
		f.onlyIf(f.to(pred, "setp.ge.s32", f.unit, end), "bra", none)
	}
	f.units1(end, end)
	f.place(none)
}

// sumsBytes is the size of a task's sums: by accumulator and row, 16 columns.
func (f *few) sumsBytes() int64 { return int64(f.accs) * f.M.N * packing.PanelWidth * 4 }

// sumsOfAll is the size of the sums of all tasks in the workspace.
func (f *few) sumsOfAll() int64 {
	if f.split == 1 {
		return 0
	}
	return f.tasksOfAll(1) * f.split * f.sumsBytes()
}

var sumsParam = tile.KernelParam{Name: "sums", Type: tile.Type{Elem: tile.F32, Lanes: 1, Ptr: true}}

// addSums adds the workspace, and how many parts of each strip are there: none, and again after the kernel.
func (f *few) addSums(work int64) {
	f.add(sumsParam, kernels.Arg{Kind: kernels.ArgWork, Index: int(work)})
	f.text.WriteString(fmt.Sprintf("\t.global .align 4 .b32 arrived[%d];\n", f.tasksOfAll(1)))
}

// meetBlocks leaves the block's sums in memory; the last one of a strip adds all.
func (f *few) meetBlocks(slab string) {
	f.note("The part's sums; the last block of the strip adds the parts.")
	accBytes := f.M.N * packing.PanelWidth * 4
	column := f.to(word, "and.b32", f.lane, num(packing.PanelWidth-1))
	of := func(sums, row string) string {
		return f.offset(f.offset(sums, row, packing.PanelWidth*4), column, 4)
	}
	mine := f.offset(f.resolve(sumsParam), f.last, f.sumsBytes())
	one := f.to(pred, "setp.lt.s32", f.lane, num(packing.PanelWidth))
	f.eachRow(slab, func(row string, totals []string) {
		to := of(mine, row)
		for j, total := range totals {
			f.onlyIf(one, "st.global.f32", at(to, int64(j)*accBytes), total)
		}
	})
	strip, next := f.stripOf(f.last), f.label("next")
	f.lastOnly(strip, next)
	all := f.offset(f.byName[sumsParam.Name], strip, f.split*f.sumsBytes())
	f.repeat(f.warpID, f.M.N, f.warps, func(row string) {
		from := of(all, row)
		var totals []string
		for j := range int64(f.accs) {
			totals = append(totals, f.added(from, j*accBytes))
		}
		f.finish(strip, row, totals)
	})
	f.place(next)
}

// lastOnly leaves to next all blocks but the last one of a strip that has its sums in memory.
func (f *few) lastOnly(strip, next string) {
	flag := f.shared() - flagBytes
	f.do("bar.sync", "0")
	skip := f.label("counted")
	f.onlyIf(f.to(pred, "setp.ne.s32", f.thread, "0"), "bra", skip)
	counter := f.offset(f.to(long, "mov.u64", "arrived"), strip, 4)
	before := f.to(word, "atom.acq_rel.gpu.global.inc.u32", at(counter, 0), num(f.split-1)) // the last makes it 0
	f.do("st.shared.b32", at(f.base, flag), before)
	f.place(skip)
	f.do("bar.sync", "0")
	before = f.to(word, "ld.shared.b32", at(f.base, flag))
	f.onlyIf(f.to(pred, "setp.ne.s32", before, num(f.split-1)), "bra", next)
}

// added adds the sums of all parts, in their order.
func (f *few) added(from string, offset int64) (total string) {
	for first := int64(0); first < f.split; first += sumsAtOnce {
		var some []string
		for p := first; p < min(f.split, first+sumsAtOnce); p++ {
			some = append(some, f.to(float, "ld.global.f32", at(from, offset+p*f.sumsBytes())))
		}
		for i, one := range some {
			if total == "" {
				total = some[i]
				continue
			}
			total = f.to(float, "add.rn.f32", total, one)
		}
	}
	return total
}
