package emu

import (
	"math/bits"
	"slices"
	"strings"
)

// Loops without an end. A loop goes on for ever where a warp takes the same jump back twice, has not left the loop in
// between, and nothing that the loop's conditions are computed from has changed. What they are computed from is known
// where it is registers alone; loops about memory are left to Launch.Most.

// suspicious is how many instructions a warp of a block executes, on average, before its loops are watched.
const suspicious = 100_000

// loop is what is known of a loop, by the jump back.
type loop struct {
	body  map[int]bool // basic blocks
	needs []reg        // registers at its beginning that its conditions are computed from
	known bool         // they are computed from registers alone
}

// jump is what a warp had in the registers that a loop needs when it took the jump back.
type jump struct {
	*loop
	set        bool
	mask       uint32
	values     []lanes
	predicates []uint32
	taken, due int
}

// loopAt finds the loop of a jump back at pc.
func (p *program) loopAt(pc int32) *loop {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.loops[pc]; l != nil {
		return l
	}
	l := &loop{body: map[int]bool{}}
	header, latch := p.code[p.code[pc].target].block, p.code[pc].block
	before := make([][]int, len(p.blocks))
	for b := range p.blocks {
		for _, to := range p.blocks[b].next {
			before[to] = append(before[to], b)
		}
	}
	l.body[header] = true
	for work := []int{latch}; len(work) > 0; {
		b := work[len(work)-1]
		work = work[:len(work)-1]
		if !l.body[b] {
			l.body[b] = true
			work = append(work, before[b]...)
		}
	}
	l.known = p.conditions(l, header)
	if p.loops == nil {
		p.loops = map[int32]*loop{}
	}
	p.loops[pc] = l
	return l
}

// conditions finds the registers that the conditions of a loop are computed from, and reports whether they are computed
// from registers alone.
func (p *program) conditions(l *loop, header int) bool {
	words := (p.slots + 63) / 64
	in := map[int]bitset{}
	for b := range l.body {
		in[b] = make(bitset, words)
	}
	known := true
	for changed := true; changed; {
		changed = false
		for b := range l.body {
			need := make(bitset, words)
			for _, s := range p.blocks[b].next {
				for i, w := range in[s] { // nil outside the loop
					need[i] |= w
				}
			}
			for i := p.blocks[b].last; i >= p.blocks[b].first; i-- {
				known = p.needed(&p.code[i], need) && known
			}
			if !slices.Equal(need, in[b]) {
				in[b], changed = need, true
			}
		}
	}
	in[header].each(func(r reg) { l.needs = append(l.needs, r) })
	return known
}

// needed moves a set of registers that conditions need before an instruction. It reports false where one of them comes
// from elsewhere.
func (p *program) needed(in *instr, need bitset) bool {
	wanted := in.flow == multiway || (in.flow == branch || in.flow == exit) && in.guard != none
	writes := false
	for _, r := range in.writes {
		writes = writes || need[r>>6]>>(r&63)&1 != 0
	}
	if writes {
		if in.guard == none {
			for _, r := range in.writes {
				need.remove(r)
			}
		}
		quiet := in.pure || strings.HasPrefix(in.name, "ld.param") || strings.HasPrefix(in.name, "ld.const")
		if carries := strings.Contains(in.name, ".cc") || strings.Contains(in.name, "addc") || strings.Contains(in.name, "subc"); !quiet || carries || in.moves {
			return false
		}
	}
	if wanted || writes {
		for _, r := range in.reads {
			if int(r) < p.slots {
				need.add(r)
			}
		}
	}
	return true
}

// watchLoops looks at a branch that the threads of m take, while loops are watched.
func (w *warp) watchLoops(in *instr, m uint32) {
	code := w.program.code
	for _, j := range w.jumps {
		left := m != 0 && !j.body[code[in.target].block] || m != w.groups[0].mask && !j.body[code[w.pc+1].block]
		if left || !j.body[in.block] {
			j.set = false
		}
	}
	if m == 0 || in.target > w.pc {
		return
	}
	j := w.jumps[w.pc]
	if j == nil {
		j = &jump{loop: w.program.loopAt(w.pc), due: 1}
		if w.jumps == nil {
			w.jumps = map[int32]*jump{}
		}
		w.jumps[w.pc] = j
	}
	if !j.known {
		return
	}
	if j.set && j.mask == m && w.same(j) {
		w.fail(Deadlock, bits.TrailingZeros32(m), "the loop that begins at line %d never ends: nothing that its conditions depend on changes", code[in.target].pos.Line)
	}
	if j.taken++; j.taken < j.due && j.set && j.mask == m {
		return
	}
	j.set, j.mask, j.due = true, m, 2*j.taken
	j.values, j.predicates = j.values[:0], j.predicates[:0]
	for _, r := range j.needs {
		j.values, j.predicates = append(j.values, *w.r[r]), append(j.predicates, w.p[r])
	}
}

// same reports whether the registers that a loop needs hold what they held.
func (w *warp) same(j *jump) bool {
	for i, r := range j.needs {
		if w.p[r] != j.predicates[i] || *w.r[r] != j.values[i] {
			return false
		}
	}
	return true
}

// bound stops a block that has executed as many instructions as the launch allows.
func (w *warp) bound() {
	spent := w.executed - w.began
	w.watching = spent > suspicious*int64(len(w.warps))
	if most := w.launch.Most; most > 0 && spent > most {
		w.pc = w.groups[0].pc
		w.fail(Deadlock, bits.TrailingZeros32(w.groups[0].mask), "the block has executed %d instructions, all warps together, and has not ended: a loop without an end, or more work than the bound of %d allows", spent, most)
	}
}
