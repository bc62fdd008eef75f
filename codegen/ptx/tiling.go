package ptx

import (
	"pgc/codegen/kernels"
	"pgc/codegen/packing"
)

// tiling is how a product of many rows is cut up. The outputs of a warp are strips of 16 columns of the result, its
// tokens rows of x by eights: both are sums in its registers, 16·8 of them for every strip and eight. Warps of a block
// share the operands of a stage in shared memory.
type tiling struct {
	numbers       int64 // that an element of x is multiplied as
	bits, longest int64 // of the weights, and the longest of their groups
	strips        int64 // of a warp, of all accumulators together
	eights        int64 // of tokens of a warp
	across, down  int64 // warps of a block by outputs and by tokens
	k, stages     int64 // values of k in a stage, and how many are on their way or being multiplied
	blocks        int64 // of threads on a multiprocessor, by registers and shared memory
}

// tilings are the rows to choose from. All fit into the 99 KiB of shared memory that GPUs of compute capability 8.6 and
// 12.0 give a block; where there are two blocks, both fit into 164 KiB. 144 tokens suit prompts with a picture of 256
// (two tiles) or 4,096 (29), 128 the pictures alone. Integers have sums of a group besides those of all, and so fewer of
// each. Two planes of x take more registers and room, and are multiplied twice as long.
var tilings = []tiling{
	{1, 16, 0, 4, 9, 2, 2, 32, 4, 2},
	{1, 16, 0, 4, 8, 2, 2, 32, 4, 2},
	{1, 16, 0, 4, 9, 4, 2, 32, 3, 1},
	{1, 16, 0, 4, 8, 4, 2, 32, 3, 1},
	{1, 8, 64, 2, 9, 4, 2, 64, 3, 1},
	{1, 8, 64, 2, 8, 4, 2, 64, 3, 1},
	{1, 8, 128, 2, 6, 4, 2, 64, 3, 1},
	{1, 4, 32, 2, 8, 4, 2, 64, 3, 1},
	{1, 4, 128, 2, 6, 4, 2, 64, 3, 1},
	{2, 16, 0, 2, 9, 4, 2, 32, 3, 1},
	{2, 16, 0, 2, 8, 4, 2, 32, 3, 1},
	{2, 8, 64, 2, 9, 4, 2, 64, 2, 1},
	{2, 8, 64, 2, 8, 4, 2, 64, 2, 1},
	{2, 8, 128, 2, 6, 4, 2, 64, 3, 1},
	{2, 4, 32, 2, 8, 4, 2, 64, 2, 1},
	{2, 4, 128, 2, 6, 4, 2, 64, 3, 1},
}

// mostTokens is a multiple of the tokens of a block in every tiling.
const mostTokens = 1152

func (t tiling) threads() int64 { return t.across * t.down * warp }
func (t tiling) tokens() int64  { return t.down * t.eights * 8 }

// outputs counts the strips of a block of threads for each of its accumulators.
func (t tiling) outputs(accs int) int64 { return t.across * t.strips / int64(accs) }

// machine is what tiles are chosen for: the multiprocessors of an H100 or H200, their fused multiply-adds of bfloat16 a
// clock, and the bytes that memory moves in one.
var machine = struct{ multiprocessors, multiplies, bytes int64 }{132, 1024, 2300}

// usualRows is about how many rows a prompt has whose bound says little: a picture of 256 patches and some words.
const usualRows = 272

// likely is how many rows a product will probably have.
func likely(m kernels.Size) int64 {
	if m.Sym == "" || m.N > 2048 {
		return m.N
	}
	return min(m.N, usualRows)
}

// choose returns the tiling and the parts of K that take least time by a rough model: blocks take turns on the
// multiprocessors, and parts of K write their sums and read them again.
func (p *product) choose() (best tiling, split int64) {
	rows, least := likely(p.M), int64(0)
	for _, t := range tilings {
		if t.numbers != p.planes || t.bits != p.bits || t.longest < p.group {
			continue
		}
		units := p.unitsOfStages(t)
		tasks := p.tasksOfAll(t.outputs(p.accs)) * ((rows + t.tokens() - 1) / t.tokens())
		for n := int64(1); n <= min(8/int64(p.accs), units); n *= 2 {
			at := machine.multiprocessors * t.blocks
			turns := (tasks*n + at - 1) / at
			each := t.across * t.strips * packing.PanelWidth * t.tokens() * ((units + n - 1) / n) * p.unitOfStages(t) * p.planes
			clocks := turns * t.blocks * each / machine.multiplies
			clocks += turns * t.threads() * 8 // begins and ends
			if n > 1 {
				sums := tasks * t.across * t.strips * packing.PanelWidth * t.tokens()
				clocks += 3000 + 8*n*sums/machine.bytes
			}
			if least == 0 || clocks < least {
				best, split, least = t, n, clocks
			}
		}
	}
	if least == 0 {
		fail("no tiling for weights of %d bits", p.bits)
	}
	return best, split
}

// unitOfStages is the values of k whose groups come in pairs, as their scales do, in whole stages.
func (p *product) unitOfStages(t tiling) int64 { return max(t.k, 2*p.group) }

// unitsOfStages counts such units of K.
func (p *product) unitsOfStages(t tiling) int64 {
	unit := p.unitOfStages(t)
	return (p.Tiles()*p.TileK() + unit - 1) / unit
}
