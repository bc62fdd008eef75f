package emu

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// nameScope is the names of a pair of braces.
type nameScope struct {
	outer  *nameScope
	names  map[string]*symbol
	ranges map[string]statement // registers by prefix
}

// lowering turns one entry into a program. It panics with a *Finding.
type lowering struct {
	unit      *unit
	program   *program
	module    map[string]*symbol
	functions map[string]*function
	scope     *nameScope
	active    []*function // being expanded, the entry first
	exits     []int       // label behind each of them
	pending   []pending
	labels    []int // index into pending
	labelPos  []Pos
	virtual   []virtualReg
	constants map[constantReg]reg

	// While an instruction is built:
	mapping   []reg // virtual to slot; nil in the first pass
	at        int   // index of the instruction in hand
	now       *pending
	out       *instr
	recording bool
	used      []reg    // registers of the instruction in hand, in the order of its operands
	parts     []string // memory for its modifiers
	reads     []reg    // memory for its lists, as are the next two
	writes    []reg
	must      []known
	loss      func(w *warp)  // what the product in hand makes unknown
	swapped   map[place]bool // where compare-and-swap, minima and maxima take place
	moving    []reg          // special registers that change, which the instruction in hand reads
	regs      []reg          // memory for the lists of all instructions, as is
	knowns    []known
}

// virtualReg is a register before slots are assigned.
type virtualReg struct {
	name string
	typ  typ
}

// lower lowers an entry.
func lower(u *unit, f *function) (p *program, err error) {
	l := &lowering{unit: u, program: &program{fn: f, granule: 16}, module: map[string]*symbol{}, functions: map[string]*function{},
		constants: map[constantReg]reg{}, swapped: map[place]bool{}}
	defer func() {
		if r := recover(); r != nil {
			finding, ok := r.(*Finding)
			if !ok {
				panic(r)
			}
			p, err = nil, finding
			if finding.Kind == UnknownOpcode {
				p, err = &program{fn: f, failed: finding}, nil
			}
		}
	}()
	for _, v := range u.variables {
		l.module[v.name] = &symbol{kind: variableSymbol, v: v, where: v.space, at: -1}
	}
	for _, g := range u.functions {
		l.functions[g.name] = g
	}
	l.parameters(f)
	l.expand(f)
	l.emit(&syntaxInstr{pos: f.end, name: "exit", parts: []string{"exit"}})
	l.build()
	return l.program, nil
}

// unknown stops with an unknown-opcode finding at the instruction in hand.
func (l *lowering) unknown(format string, args ...any) {
	panic(&Finding{Kind: UnknownOpcode, Pos: l.now.in.pos, Thread: -1, Text: fmt.Sprintf(format, args...)})
}

// parameters lays out the parameter buffer of an entry.
func (l *lowering) parameters(f *function) {
	l.push()
	l.program.params, l.program.paramBytes = f.layout()
	for i, v := range f.params {
		at := l.program.params[i].Offset
		l.define(v.pos, v.name, &symbol{kind: variableSymbol, v: v, where: paramSpace, at: at})
		for i := len(l.program.paramEnds); i < at+v.size; i++ {
			end := at + v.size
			if i < at {
				end = 0
			}
			l.program.paramEnds = append(l.program.paramEnds, end)
		}
	}
}

// layout is where an entry's parameters lie, and how many bytes they take.
func (f *function) layout() (params []Param, n int) {
	for _, v := range f.params {
		n = roundUp(n, v.align)
		params = append(params, Param{v.name, n, v.size, v.align})
		n += v.size
	}
	return params, n
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

func (l *lowering) push() {
	l.scope = &nameScope{outer: l.scope, names: map[string]*symbol{}, ranges: map[string]statement{}}
}

func (l *lowering) define(pos Pos, name string, s *symbol) {
	if l.scope.names[name] != nil {
		fail(pos, "%s is declared twice", name)
	}
	s.scope = l.scope
	l.scope.names[name] = s
}

// lookup finds a name, or returns nil.
func (l *lowering) lookup(name string) *symbol {
	digits := len(name)
	for digits > 0 && name[digits-1] >= '0' && name[digits-1] <= '9' {
		digits--
	}
	for s := l.scope; s != nil; s = s.outer {
		if sym := s.names[name]; sym != nil {
			return sym
		}
		// %r12 of .reg .b32 %r<20>; prefixes may end in digits.
		for cut := digits; cut < len(name); cut++ {
			r, ok := s.ranges[name[:cut]]
			n, err := strconv.Atoi(name[cut:])
			if ok && err == nil && n < r.count && (name[cut] != '0' || cut == len(name)-1) {
				sym := &symbol{kind: registerSymbol, typ: r.typ, reg: l.newRegister(name, r.typ)}
				s.names[name] = sym
				return sym
			}
		}
	}
	if sym := l.module[name]; sym != nil {
		return sym
	}
	if f := l.functions[name]; f != nil {
		return &symbol{kind: functionSymbol, f: f}
	}
	return nil
}

func (l *lowering) newRegister(name string, t typ) reg {
	l.virtual = append(l.virtual, virtualReg{name, t})
	return reg(len(l.virtual) - 1)
}

func (l *lowering) newLabel(pos Pos) int {
	l.labels, l.labelPos = append(l.labels, -1), append(l.labelPos, pos)
	return len(l.labels) - 1
}

// expand appends the code of a function's body; ret leads behind it.
func (l *lowering) expand(f *function) {
	if slices.Contains(l.active, f) {
		l.unknown("%s calls itself; the emulator expands calls and has no stack", f.name)
	}
	l.active = append(l.active, f)
	end := l.newLabel(f.end)
	l.exits = append(l.exits, end)
	l.statements(f.body)
	l.labels[end] = len(l.pending)
	l.active, l.exits = l.active[:len(l.active)-1], l.exits[:len(l.exits)-1]
}

// statements appends the code of a pair of braces.
func (l *lowering) statements(list []statement) {
	l.push()
	for _, s := range list {
		switch s.kind {
		case declareRegisters:
			if s.count < 0 {
				l.define(s.pos, s.name, &symbol{kind: registerSymbol, typ: s.typ, reg: l.newRegister(s.name, s.typ)})
			} else if _, twice := l.scope.ranges[s.name]; twice {
				fail(s.pos, "%s is declared twice", s.name)
			} else {
				l.scope.ranges[s.name] = s
			}
		case defineLabel:
			l.define(s.pos, s.name, &symbol{kind: labelSymbol, label: l.newLabel(s.pos)})
		case branchTargets:
			l.define(s.pos, s.name, &symbol{kind: targetsSymbol, labels: s.list})
		}
	}
	for i := range list {
		switch s := &list[i]; s.kind {
		case declareVariable:
			l.variable(s)
		case defineLabel:
			l.labels[l.scope.names[s.name].label] = len(l.pending)
		case scope:
			l.statements(s.body)
		case instruction:
			l.emit(s.in)
		}
	}
	l.scope = l.scope.outer
}

// variable places a variable that a body declares.
func (l *lowering) variable(s *statement) {
	sym := &symbol{kind: variableSymbol, v: s.v, where: s.v.space, at: -1}
	if s.v.space == local || s.v.space == paramSpace {
		sym.where, sym.at = local, l.program.placeLocal(s.v)
	}
	l.define(s.pos, s.v.name, sym)
}

// emit appends an instruction with its names resolved.
func (l *lowering) emit(in *syntaxInstr) {
	p := pending{in: in, guard: none, target: -1}
	l.now = &p
	if in.guard != "" {
		sym := l.lookup(in.guard)
		if sym == nil || sym.kind != registerSymbol || sym.typ != pred {
			fail(in.guardPos, "%s is no declared predicate", in.guard)
		}
		p.guard = sym.reg
	}
	switch in.parts[0] {
	case "call":
		l.call(&p)
		return
	case "ret":
		p.target = l.exits[len(l.exits)-1]
	case "bra":
		if len(in.args) != 1 {
			fail(in.pos, "bra takes one label")
		}
		p.target = l.labelOf(in.args[0])
	case "brx":
		if len(in.args) != 2 {
			fail(in.pos, "brx.idx takes an index and a list of targets")
		}
		sym := l.lookup(in.args[1].name)
		if sym == nil || sym.kind != targetsSymbol {
			fail(in.args[1].pos, "%s is no list of targets", in.args[1].name)
		}
		p.args = []rop{l.resolve(&in.args[0])}
		for _, name := range sym.labels {
			p.args = append(p.args, rop{kind: ropLabel, label: l.labelOf(operand{pos: in.args[1].pos, name: name})})
		}
	default:
		p.args = l.resolveAll(in.args)
	}
	l.pending = append(l.pending, p)
}

func (l *lowering) labelOf(o operand) int {
	sym := l.lookup(o.name)
	if sym == nil || sym.kind != labelSymbol {
		fail(o.pos, "%s is no label of this body", o.name)
	}
	return sym.label
}

// resolveAll is resolve of several operands.
func (l *lowering) resolveAll(list []operand) []rop {
	if len(list) == 0 {
		return nil
	}
	out := make([]rop, len(list))
	for i := range list {
		out[i] = l.resolve(&list[i])
	}
	return out
}

// resolve finds what an operand's names stand for.
func (l *lowering) resolve(o *operand) rop {
	r := rop{pos: o.pos, text: o.name, not: o.not, offset: o.offset}
	switch o.kind {
	case numberOperand, floatOperand:
		r.kind, r.isLit, r.lit = ropConstant, true, o
	case vectorOperand, listOperand:
		r.kind, r.list = ropVector, l.resolveAll(o.list)
	case memoryOperand:
		r.kind, r.list = ropMemory, l.resolveAll(o.list)
		if o.name == "" {
			break
		}
		r.sym = l.lookup(o.name)
		if r.sym == nil || r.sym.kind != registerSymbol && r.sym.kind != variableSymbol {
			fail(o.pos, "%s is neither a declared register nor a variable", o.name)
		}
		if r.sym.kind == registerSymbol {
			r.reg, r.typ = r.sym.reg, r.sym.typ
		}
	default:
		l.name(&r, o)
	}
	if o.pair != nil {
		second := l.resolve(o.pair)
		r.pair = &second
	}
	return r
}

// name resolves a name that stands alone.
func (l *lowering) name(r *rop, o *operand) {
	if o.name == "_" {
		r.kind, r.reg = ropOther, none
		return
	}
	if o.name == "WARP_SZ" {
		r.kind, r.isLit, r.lit = ropConstant, true, &operand{kind: numberOperand, bits: warpSize}
		return
	}
	sym := l.lookup(o.name)
	switch {
	case sym == nil && isSpecial(o.name):
		r.kind, r.reg, r.typ = ropConstant, l.constant(constantReg{kind: specialReg, name: o.name}), specialType(o.name)
	case sym == nil:
		fail(o.pos, "%s is not declared", o.name)
	case sym.kind == registerSymbol:
		r.kind, r.reg, r.typ = ropRegister, sym.reg, sym.typ
	case sym.kind == variableSymbol:
		r.kind, r.reg, r.typ = ropConstant, l.address(sym, o.offset), noType
	default:
		r.kind, r.sym = ropOther, sym
	}
}

// constant returns the number of a constant register.
func (l *lowering) constant(c constantReg) reg {
	if r, ok := l.constants[c]; ok {
		return r
	}
	r := reg(len(l.program.constants))
	l.constants[c] = r
	l.program.constants = append(l.program.constants, c)
	return r
}

// address is the constant that holds a variable's address in its own space.
func (l *lowering) address(sym *symbol, offset int64) reg {
	switch sym.where {
	case shared:
		if sym.v.open {
			l.program.dynamicAlign = max(l.program.dynamicAlign, sym.v.align)
			return l.constant(constantReg{kind: dynamicAt, value: uint64(offset)})
		}
		if sym.at < 0 {
			sym.at = l.program.placeShared(sym.v)
		}
		return l.constant(constantReg{value: uint64(sharedBase + int64(sym.at) + offset)})
	case local:
		return l.constant(constantReg{value: uint64(localBase + int64(sym.at) + offset)})
	case paramSpace:
		return l.constant(constantReg{value: uint64(paramBase + int64(sym.at) + offset)})
	}
	if !slices.Contains(l.program.needs, sym.v) {
		l.program.needs = append(l.program.needs, sym.v)
	}
	return l.constant(constantReg{kind: memoryAt, v: sym.v, value: uint64(offset)})
}

// build makes the code: a first pass notes what every instruction reads and writes, slots are assigned, and a second
// pass makes the instructions over slots.
func (l *lowering) build() {
	p := l.program
	for _, in := range l.pending {
		looks := func(part string) bool { return part == "cas" || part == "min" || part == "max" } // that are tried where a look says so
		if parts := in.in.parts; parts[0] == "atom" && slices.ContainsFunc(parts, looks) && len(in.args) > 1 {
			l.swapped[placeOf(&in.args[1])] = true
		}
	}
	p.code = make([]instr, len(l.pending))
	l.recording = true
	for i := range l.pending {
		l.at = i
		l.instruction(&p.code[i], &l.pending[i])
	}
	p.unused()
	l.mapping = l.assign()
	l.recording = false
	for i := range l.pending {
		l.at = i
		l.instruction(&p.code[i], &l.pending[i])
	}
	rankCode(p)
	p.deferLoads()
}

// instruction builds one instruction.
func (l *lowering) instruction(out *instr, in *pending) {
	*out = instr{guard: none, member: none, index: none, not: in.in.not, pos: in.in.pos, name: in.in.name}
	out.reads, out.writes, out.must = l.reads[:0], l.writes[:0], l.must[:0]
	l.now, l.out = in, out
	if in.guard != none {
		out.guard = l.slot(in.guard)
		out.reads = append(out.reads, out.guard)
	}
	build := builders[in.in.parts[0]]
	if build == nil {
		l.unknown("%s", in.in.name)
	}
	if in.target >= 0 {
		out.target = int32(l.labels[in.target])
	}
	l.parts = append(l.parts[:0], in.in.parts[1:]...)
	m := &mods{l: l, parts: l.parts}
	out.pure, l.used = pureOps[in.in.parts[0]], l.used[:0]
	build(l, m)
	l.fasten()
	if left := m.left(); left != "" {
		l.unknown("%s: the modifier .%s is not known", in.in.name, left)
	}
	if out.run == nil && out.flow == straight {
		out.run = func(*warp, uint32) {}
	}
	if moving, run := l.moving, out.run; len(moving) > 0 {
		l.moving, out.moves = nil, true
		out.run = func(w *warp, m uint32) {
			for _, r := range moving {
				w.refresh(r)
			}
			run(w, m)
		}
	}
	out.direct = l.direct(out)
	slices.Sort(out.reads)
	l.reads, l.writes, l.must = out.reads, out.writes, out.must
	out.reads, out.writes, out.must = keep(&l.regs, slices.Compact(out.reads)), keep(&l.regs, out.writes), keep(&l.knowns, out.must)
}

// keep copies a list behind others, so that few pieces of memory hold them all.
func keep[T any](to *[]T, list []T) []T {
	if cap(*to)-len(*to) < len(list) {
		*to = make([]T, 0, 1024+len(list))
	}
	n := len(*to)
	*to = append(*to, list...)
	return (*to)[n:len(*to):len(*to)]
}

// slot maps a virtual register.
func (l *lowering) slot(v reg) reg {
	if l.mapping == nil {
		return v
	}
	return l.mapping[v]
}

// constSlot maps a constant.
func (l *lowering) constSlot(c reg) reg {
	if l.recording {
		return none
	}
	return reg(l.program.slots) + c
}

// isConstant reports whether a register is a constant that is known when the code is made, or a variable's place.
func (l *lowering) isConstant(r reg) bool {
	return !l.recording && int(r) >= l.program.slots && l.program.constants[int(r)-l.program.slots].kind != specialReg
}

// direct reports whether an instruction needs no more than to be run, where all threads of a whole warp go together, none has
// ended and all registers are known.
func (l *lowering) direct(in *instr) bool {
	if in.flow != straight || in.looks {
		return false
	}
	if in.member == none {
		return true
	}
	return l.isConstant(in.member) && l.program.constants[int(in.member)-l.program.slots] == constantReg{value: everyone}
}

// isSpecial reports whether a name is a special register.
func isSpecial(name string) bool {
	_, ok := specials[strings.TrimRight(name, "0123456789")]
	_, exact := specials[name]
	return ok || exact
}
