// Package emu executes PTX text: it shows that the kernels of codegen/ptx compute what they should where there is no
// GPU.
//
// It knows exactly the instructions that those kernels use. Parse reads the text and checks the operands' types; Run
// executes a grid, block by block. The threads of a warp run in lockstep; those that branch apart wait for the hindmost
// and join where they meet. What the hardware would let pass with unspecified results is an error that names the line:
//   - access outside a buffer or not aligned to its size;
//   - reading a register or shared memory that was not written;
//   - a shuffle, barrier or matrix instruction that not all threads of a warp reach together;
//   - races: two threads at one byte of shared memory without a barrier between them, one of them writing; two threads of
//     the grid likewise at one byte of global memory; reading what an asynchronous copy that was not waited for writes. Such
//     copies take place at the latest time allowed.
//
// Matrix products are summed as the tensor cores of an H100 do it, to the bit; other generations keep other bits.
// The package imports ir/scalar, for the one rounding of a fused multiply-add, and nothing else of the project.
package emu

import (
	"fmt"
	"math/bits"
	"slices"
)

const (
	warpSize = 32
	everyone = 1<<warpSize - 1
)

// Memory is a buffer in global memory.
type Memory struct {
	Data   []byte
	thread []int32 // who wrote each byte in this launch: number of the thread plus one
}

// Pointer is an argument: Offset bytes behind the beginning of a buffer.
type Pointer struct {
	Memory *Memory
	Offset int64
}

// Launch says which entry of a module to run, on how many blocks, and its arguments: Pointer, int64 or uint64. Buffers
// are memory besides that of the pointers, which a uint64 may be an address in; those that are nil are gone.
type Launch struct {
	Entry   string
	Blocks  int64
	Args    []any
	Buffers []*Memory
}

// Address returns where buffer i of a launch begins.
func Address(i int) uint64 { return uint64(i+1) << window }

// Stats is what a launch did.
type Stats struct {
	Instructions int64 // of warps
	Conflicts    int64 // accesses to shared memory that banks made wait for others of the same instruction
}

// trap is what stops a thread.
type trap string

func trapf(format string, args ...any) { panic(trap(fmt.Sprintf(format, args...))) }

// Run executes a launch. Errors name the entry, the line, and the thread.
func (m *Module) Run(l Launch) (Stats, error) {
	e := m.entries[l.Entry]
	if e == nil {
		return Stats{}, fmt.Errorf("the module has no entry %s", l.Entry)
	}
	if len(l.Args) != len(e.params) {
		return Stats{}, fmt.Errorf("entry %s: %d arguments for %d parameters", l.Entry, len(l.Args), len(e.params))
	}
	g := &grid{entry: e, blocks: l.Blocks, memory: slices.Clone(l.Buffers)}
	for i, a := range l.Args {
		switch a := a.(type) {
		case int64:
			g.args = append(g.args, uint64(a))
		case uint64:
			g.args = append(g.args, a)
		case Pointer:
			g.args = append(g.args, g.address(a))
		default:
			return Stats{}, fmt.Errorf("entry %s: argument %d is a %T", l.Entry, i, a)
		}
	}
	for i, mem := range g.memory {
		if mem == nil {
			g.memory[i] = &Memory{} // nothing lies there
			continue
		}
		mem.thread = make([]int32, len(mem.Data))
	}
	for b := range l.Blocks {
		if err := g.run(b); err != nil {
			return g.stats, fmt.Errorf("entry %s: %w", l.Entry, err)
		}
	}
	return g.stats, nil
}

// grid is a launch in progress.
type grid struct {
	entry  *entry
	blocks int64
	args   []uint64
	memory []*Memory
	stats  Stats
}

// block is one block of threads: its shared memory and its warps.
type block struct {
	*grid
	index  int64
	shared sharedMemory
	epoch  int32 // barriers passed
}

// group is threads of a warp that go together.
type group struct {
	pc   int
	mask uint32
}

// warp is 32 threads.
type warp struct {
	*block
	index  int
	regs   [][warpSize]uint64
	known  []uint32 // by register, the threads that have written it
	groups []group  // by rising pc
	epoch  int32    // barriers of this warp alone that were passed
	copies [warpSize]copyQueue
	line   int // being executed
}

// run executes one block.
func (g *grid) run(index int64) (err error) {
	b := &block{grid: g, index: index, shared: newShared(g.entry.sharedBytes)}
	warps := make([]*warp, g.entry.threads/warpSize)
	for i := range warps {
		warps[i] = &warp{block: b, index: i, regs: make([][warpSize]uint64, len(g.entry.regs)),
			known: make([]uint32, len(g.entry.regs)), groups: []group{{0, everyone}}}
	}
	var now *warp
	defer func() {
		if r := recover(); r != nil {
			t, ok := r.(trap)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("line %d: block %d, warp %d: %s", now.line, index, now.index, string(t))
		}
	}()
	for {
		waiting := 0
		for _, now = range warps {
			if now.run() {
				waiting++
			}
		}
		if waiting == 0 {
			return nil
		}
		if waiting != len(warps) {
			for _, now = range warps {
				if len(now.groups) > 0 {
					trapf("%d of %d warps wait at a barrier, the others have returned", waiting, len(warps))
				}
			}
		}
		b.epoch++
	}
}

// run executes a warp to its end or, and then it returns true, to a barrier of the block.
func (w *warp) run() (barrier bool) {
	code := w.entry.code
	for len(w.groups) > 0 {
		g := &w.groups[0]
		in := &code[g.pc]
		w.line = in.line
		w.stats.Instructions++
		mask := g.mask
		if in.guard >= 0 {
			mask = w.guard(in, mask)
		}
		g.pc++
		switch in.op.flow {
		case branch:
			w.branch(in, mask)
			continue
		case exit:
			if g.mask &^= mask; g.mask == 0 {
				w.groups = w.groups[1:]
			}
			continue
		case barrierFlow:
			w.together(in, mask)
			w.epoch++
			return true
		}
		if mask != 0 {
			w.execute(in, mask)
		}
		w.merge()
	}
	return false
}

// guard returns the threads of mask in which the predicate of an instruction holds.
func (w *warp) guard(in *instr, mask uint32) uint32 {
	w.check(in.guard, mask)
	yes := uint32(0)
	for m := mask; m != 0; m &= m - 1 {
		i := bits.TrailingZeros32(m)
		if (w.regs[in.guard][i] != 0) != in.not {
			yes |= 1 << i
		}
	}
	return yes
}

// branch moves the threads of mask from the first group to the target.
func (w *warp) branch(in *instr, mask uint32) {
	g := &w.groups[0]
	switch mask {
	case 0:
	case g.mask:
		g.pc = in.target
	default:
		g.mask &^= mask
		w.groups = append(w.groups, group{in.target, mask})
	}
	w.merge()
}

// merge joins groups that have met and brings the hindmost to the front.
func (w *warp) merge() {
	if len(w.groups) == 1 {
		return
	}
	var out []group
	for _, g := range w.groups {
		at := 0
		for at < len(out) && out[at].pc < g.pc {
			at++
		}
		if at < len(out) && out[at].pc == g.pc {
			out[at].mask |= g.mask
			continue
		}
		out = append(out, group{})
		copy(out[at+1:], out[at:])
		out[at] = g
	}
	w.groups = out
}

// together traps unless all threads of the warp are at an instruction.
func (w *warp) together(in *instr, mask uint32) {
	if mask != everyone {
		trapf("%s is reached by %d of %d threads", in.op.name, bits.OnesCount32(mask), warpSize)
	}
}

// check traps unless the threads of mask have written a register.
func (w *warp) check(reg int, mask uint32) {
	if missing := mask &^ w.known[reg]; missing != 0 {
		trapf("thread %d reads %s, which it has not written", bits.TrailingZeros32(missing), w.entry.regs[reg])
	}
}

// thread is the number of a thread in its block.
func (w *warp) thread(lane int) int { return w.index*warpSize + lane }

// execute runs an instruction in the threads of mask.
func (w *warp) execute(in *instr, mask uint32) {
	for _, r := range in.reads {
		w.check(r, mask)
	}
	if in.op.run != nil {
		in.op.run(w, in, mask)
		return
	}
	var a [3]uint64
	d := &w.regs[in.args[0].reg]
	sources := in.args[1:]
	for m := mask; m != 0; m &= m - 1 {
		lane := bits.TrailingZeros32(m)
		for i := range sources {
			a[i] = w.value(&sources[i], lane)
		}
		d[lane] = in.op.lane(a)
	}
	w.known[in.args[0].reg] |= mask
}

// value is what a source operand holds in a thread.
func (w *warp) value(o *operand, lane int) uint64 {
	switch o.kind {
	case register:
		return w.regs[o.reg][lane]
	case special:
		switch o.name {
		case "%tid.x":
			return uint64(w.thread(lane))
		case "%ctaid.x":
			return uint64(w.block.index)
		case "%nctaid.x":
			return uint64(w.blocks)
		}
		return sharedBase
	}
	return o.imm
}

// set writes a register in one thread.
func (w *warp) set(reg, lane int, v uint64) {
	w.regs[reg][lane] = v
	w.known[reg] |= 1 << lane
}
