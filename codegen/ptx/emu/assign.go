package emu

import (
	"cmp"
	"math/bits"
	"slices"
)

// basicBlock is instructions first to last that run one after another.
type basicBlock struct {
	first, last int
	next        []int
}

// blocksOf splits code into basic blocks and notes in every instruction which one it is in.
func blocksOf(code []instr) []basicBlock {
	leader := make([]bool, len(code)+1)
	leader[0] = true
	for i := range code {
		switch in := &code[i]; in.flow {
		case branch, multiway:
			leader[i+1] = true
			if in.flow == branch {
				leader[in.target] = true
			}
			for _, t := range in.targets {
				leader[t] = true
			}
		case exit:
			leader[i+1] = true
		}
	}
	var blocks []basicBlock
	for i := range code {
		code[i].leads = leader[i]
		if leader[i] {
			blocks = append(blocks, basicBlock{first: i})
		}
		code[i].block = len(blocks) - 1
		blocks[len(blocks)-1].last = i
	}
	for b := range blocks {
		in := &code[blocks[b].last]
		var next []int
		if in.flow == branch {
			next = append(next, int(in.target))
		}
		for _, t := range in.targets {
			next = append(next, int(t))
		}
		falls := in.flow != exit && in.flow != branch && in.flow != multiway || in.guard != none
		if falls && blocks[b].last+1 < len(code) {
			next = append(next, blocks[b].last+1)
		}
		for _, at := range next {
			if to := code[at].block; !slices.Contains(blocks[b].next, to) {
				blocks[b].next = append(blocks[b].next, to)
			}
		}
	}
	return blocks
}

// bitset is a set of registers.
type bitset []uint64

func (s bitset) add(r reg)    { s[r>>6] |= 1 << (r & 63) }
func (s bitset) remove(r reg) { s[r>>6] &^= 1 << (r & 63) }

// each calls f with the members.
func (s bitset) each(f func(r reg)) {
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			f(reg(i*64 + bits.TrailingZeros64(w)))
		}
	}
}

// assign gives virtual registers slots, so that few are in use and stay in the caches. A register that a path from the
// entry reads before it writes it keeps a slot of its own, and the program lists it: only those can be read unwritten.
func (l *lowering) assign() []reg {
	code := l.program.code
	blocks := blocksOf(code)
	n := len(l.virtual)
	words := (n + 63) / 64
	in, out := make([]bitset, len(blocks)), make([]bitset, len(blocks))
	for b := range blocks {
		in[b], out[b] = make(bitset, words), make(bitset, words)
	}
	live := make(bitset, words)
	for changed := true; changed; {
		changed = false
		for b := len(blocks) - 1; b >= 0; b-- {
			clear(live)
			for _, s := range blocks[b].next {
				for i, w := range in[s] {
					live[i] |= w
				}
			}
			copy(out[b], live)
			for i := blocks[b].last; i >= blocks[b].first; i-- {
				step(&code[i], live)
			}
			if !slices.Equal(live, in[b]) {
				copy(in[b], live)
				changed = true
			}
		}
	}
	// The interval of a register is from its first to its last place, in the order of the text.
	first, last := slices.Repeat([]int{len(code)}, n), slices.Repeat([]int{-1}, n)
	touch := func(r reg, i int) { first[r], last[r] = min(first[r], i), max(last[r], i) }
	for b := range blocks {
		in[b].each(func(r reg) { touch(r, blocks[b].first) })
		out[b].each(func(r reg) { touch(r, blocks[b].last) })
		for i := blocks[b].first; i <= blocks[b].last; i++ {
			for _, r := range code[i].reads {
				touch(r, i)
			}
			for _, r := range code[i].writes {
				touch(r, i)
			}
		}
	}
	mapping := slices.Repeat([]reg{none}, n)
	used := 0
	l.program.names = map[reg]string{}
	in[0].each(func(r reg) {
		mapping[r] = reg(used)
		l.program.names[reg(used)] = l.virtual[r].name
		l.program.unwritten = append(l.program.unwritten, reg(used))
		used++
	})
	order := make([]int, 0, n)
	for r := range n {
		if mapping[r] == none && last[r] >= 0 {
			order = append(order, r)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(first[a], first[b]), cmp.Compare(a, b)) })
	expiring := make([][]reg, len(code)+1) // slots by the place that frees them
	var free []reg
	at := 0
	for _, r := range order {
		for ; at < first[r]; at++ {
			free = append(free, expiring[at]...)
		}
		slot := reg(used)
		if len(free) > 0 {
			slot, free = free[len(free)-1], free[:len(free)-1]
		} else {
			used++
		}
		mapping[r] = slot
		expiring[last[r]] = append(expiring[last[r]], slot)
	}
	l.program.slots = used + 1 // the last one takes results that nobody wants
	return mapping
}

// step moves a set of live registers before an instruction.
func step(in *instr, live bitset) {
	if in.guard == none {
		for _, r := range in.writes {
			live.remove(r)
		}
	}
	for _, r := range in.reads {
		live.add(r)
	}
}

// rankCode gives every instruction the rank by which threads that went apart are run: those hindmost first, so that
// they meet again as early as they can. Blocks are ordered so that all of a loop comes before what follows it
// (strongly connected components in topological order, each without the edges into its first block likewise).
func rankCode(p *program) {
	p.blocks = blocksOf(p.code)
	blocks := p.blocks
	members := make([]int, len(blocks))
	for i := range members {
		members[i] = i
	}
	var order []int
	var visit func(members []int, header int)
	visit = func(members []int, header int) {
		within := map[int]bool{}
		for _, b := range members {
			within[b] = true
		}
		for _, c := range components(blocks, members, within, header) {
			if len(c) == 1 {
				order = append(order, c[0])
				continue
			}
			slices.Sort(c)
			visit(c, c[0])
		}
	}
	visit(members, -1)
	rank := int32(0)
	for _, b := range order {
		for i := blocks[b].first; i <= blocks[b].last; i++ {
			p.code[i].rank = rank
			rank++
		}
	}
}

// components returns the strongly connected components of members in topological order; edges into header do not count
// (Tarjan's algorithm, with a stack of its own, because functions of compilers are deep).
func components(blocks []basicBlock, members []int, within map[int]bool, header int) [][]int {
	type frame struct{ b, next int }
	index, low, on := map[int]int{}, map[int]int{}, map[int]bool{}
	var stack []int
	var out [][]int
	for _, root := range members {
		if _, seen := index[root]; seen {
			continue
		}
		frames := []frame{{root, 0}}
		for len(frames) > 0 {
			f := &frames[len(frames)-1]
			if f.next == 0 {
				index[f.b], low[f.b], on[f.b] = len(index), len(index), true
				stack = append(stack, f.b)
			}
			descended := false
			for f.next < len(blocks[f.b].next) {
				// The last edge, which falls through, is visited first: equal orders keep that of the text.
				to := blocks[f.b].next[f.next]
				f.next++
				if !within[to] || to == header {
					continue
				}
				if _, seen := index[to]; !seen {
					frames = append(frames, frame{to, 0})
					descended = true
					break
				}
				if on[to] {
					low[f.b] = min(low[f.b], index[to])
				}
			}
			if descended {
				continue
			}
			if f.next == 0 {
				f.next = 1
			}
			b := f.b
			frames = frames[:len(frames)-1]
			if len(frames) > 0 {
				low[frames[len(frames)-1].b] = min(low[frames[len(frames)-1].b], low[b])
			}
			if low[b] != index[b] {
				continue
			}
			var c []int
			for {
				v := stack[len(stack)-1]
				stack, on[v] = stack[:len(stack)-1], false
				c = append(c, v)
				if v == b {
					break
				}
			}
			out = append(out, c)
		}
	}
	slices.Reverse(out)
	return out
}
