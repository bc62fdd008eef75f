package emu

import (
	"math"
	"math/bits"
	"strings"

	"pgc/runtime/plural"
)

// builders makes instructions by the first part of their opcodes.
var builders map[string]func(l *lowering, m *mods)

// pureOps is the names of instructions that compute registers from registers, thread by thread.
var pureOps = map[string]bool{}

func init() {
	type table = map[string]func(l *lowering, m *mods)
	builders = table{}
	for i, t := range []table{integerOps, bitOps, videoOps, floatOps, convertOps, moveOps, compareOps, controlOps, memoryOps, atomicOps, asyncOps, warpOps,
		matrixOps, wmmaOps, mbarrierOps} {
		for name, f := range t {
			builders[name], pureOps[name] = f, i < 7
		}
	}
}

// mods is the modifiers of an opcode that were not looked at yet.
type mods struct {
	l     *lowering
	parts []string
}

// take removes the first of the names that is there and returns it, or "".
func (m *mods) take(names ...string) string {
	for i, p := range m.parts {
		for _, n := range names {
			if p == n {
				m.parts = append(m.parts[:i], m.parts[i+1:]...)
				return n
			}
		}
	}
	return ""
}

// flag removes a modifier and reports whether it was there.
func (m *mods) flag(name string) bool { return m.take(name) != "" }

// need is take for a modifier that must be there.
func (m *mods) need(names ...string) string {
	n := m.take(names...)
	if n == "" {
		m.l.unknown("%s: one of .%s is expected", m.l.now.in.name, strings.Join(names, " ."))
	}
	return n
}

// typ removes the first type and returns it; noType where there is none.
func (m *mods) optional() typ {
	for i, p := range m.parts {
		if t, ok := typesByName[p]; ok {
			m.parts = append(m.parts[:i], m.parts[i+1:]...)
			return t
		}
	}
	return noType
}

func (m *mods) typ() typ {
	t := m.optional()
	if t == noType {
		m.l.unknown("%s has no type", m.l.now.in.name)
	}
	return t
}

// among is typ where only some types are allowed.
func (m *mods) among(types ...typ) typ {
	t := m.typ()
	for _, u := range types {
		if t == u {
			return t
		}
	}
	m.l.unknown("%s: not for the type .%s", m.l.now.in.name, t)
	return noType
}

// drop removes modifiers that say nothing about results.
func (m *mods) drop(names ...string) {
	for m.take(names...) != "" {
	}
}

// left returns a modifier that nobody looked at.
func (m *mods) left() string {
	if len(m.parts) == 0 {
		return ""
	}
	return m.parts[0]
}

// count stops unless an instruction has so many operands.
func (l *lowering) count(least, most int) int {
	n := len(l.now.args)
	if n < least || n > most {
		if least == most {
			fail(l.now.in.pos, "%s has %s, expected %d", l.now.in.name, plural.Of(n, "operand"), least)
		}
		fail(l.now.in.pos, "%s has %s, expected %d to %d", l.now.in.name, plural.Of(n, "operand"), least, most)
	}
	return n
}

// fits stops unless a register's type goes with an instruction's. Wider says that a register may have more bits.
func (l *lowering) fits(o *rop, t typ, wider bool) {
	have := o.typ
	if have == noType || t == noType {
		return
	}
	ok := have.bits() == t.bits() || wider && have.bits() >= t.bits()
	if t == b128 || have == b128 {
		ok = have == t
	}
	if (have == pred) != (t == pred) {
		ok = false
	}
	if !wider && have.class() != 'b' && t.class() != 'b' && (have.class() == 'f') != (t.class() == 'f') && t.bits() >= 32 && t != f16x2 && t != bf16x2 && t != tf32 {
		ok = false
	}
	if !ok {
		fail(o.pos, "%s is a register of type .%s; %s takes .%s", o.text, have, l.now.in.name, t)
	}
}

// dst is a result register.
func (l *lowering) dst(o *rop, t typ) reg { return l.result(o, t, false) }

// result is a register that an instruction writes.
func (l *lowering) result(o *rop, t typ, wider bool) reg {
	if o.kind == ropOther && o.reg == none {
		return reg(l.program.slots - 1)
	}
	if o.kind != ropRegister || o.not {
		fail(o.pos, "a result of %s that is no register", l.now.in.name)
	}
	l.fits(o, t, wider)
	r := l.slot(o.reg)
	l.out.writes, l.used = append(l.out.writes, r), append(l.used, r)
	return r
}

// src is a source operand: a register, or a constant as a register.
func (l *lowering) src(o *rop, t typ) reg { return l.source(o, t, false) }

// source is a register that an instruction reads.
func (l *lowering) source(o *rop, t typ, wider bool) reg {
	r := l.sourceOf(o, t, wider)
	l.used = append(l.used, r)
	return r
}

func (l *lowering) sourceOf(o *rop, t typ, wider bool) reg {
	if o.not && t != pred {
		fail(o.pos, "! before an operand of %s that is no predicate", l.now.in.name)
	}
	switch o.kind {
	case ropRegister:
		l.fits(o, t, wider)
		r := l.slot(o.reg)
		l.out.reads = append(l.out.reads, r)
		l.out.must = append(l.out.must, known{r, t.needed()})
		return r
	case ropConstant:
		if !o.isLit {
			r := l.constSlot(o.reg)
			if o.reg >= 0 && l.program.constants[o.reg].kind == specialReg && specials[specialKey(l.program.constants[o.reg].name)].moves {
				l.moving = append(l.moving, r)
			}
			return r
		}
		return l.literal(o, t)
	case ropVector:
		fail(o.pos, "braces around an operand of %s that is one value", l.now.in.name)
	}
	fail(o.pos, "an operand of %s is neither a register nor a value", l.now.in.name)
	return none
}

// literal is a constant of a type.
func (l *lowering) literal(o *rop, t typ) reg {
	v := o.lit.bits
	switch {
	case o.lit.kind == floatOperand && (t.class() == 'f' || t.class() == 'b'):
		if v = floatBits(t, *o.lit); t.bits() == 16 && !o.lit.double {
			fail(o.pos, "a constant of 32 bits for %s", l.now.in.name)
		}
	case o.lit.kind == floatOperand:
		fail(o.pos, "a floating-point constant for %s, which takes .%s", l.now.in.name, t)
	case t == f32 || t == f64:
		fail(o.pos, "an integer for %s, which takes .%s", l.now.in.name, t)
	case t == pred:
		if v != 0 {
			v = 1
		}
	default:
		if n := t.bits(); n < 64 && int64(v) != int64(v<<(64-n))>>(64-n) && v>>n != 0 && n >= 32 {
			fail(o.pos, "%d does not fit in .%s", int64(v), t)
		}
		v &= t.mask()
	}
	return l.constSlot(l.constant(constantReg{value: v}))
}

// value is a constant register with a value.
func (l *lowering) value(v uint64) reg { return l.constSlot(l.constant(constantReg{value: v})) }

// integer is an operand that must be a number in the text.
func (l *lowering) integer(o *rop) int64 {
	if o.kind != ropConstant || !o.isLit || o.lit.kind != numberOperand {
		fail(o.pos, "an operand of %s that must be a number in the text", l.now.in.name)
	}
	return int64(o.lit.bits)
}

// predicate is a source predicate and whether it is negated.
func (l *lowering) predicate(o *rop) (reg, bool) { return l.source(o, pred, false), o.not }

// vector is the elements of an operand in braces, n of them, or of a single one where n is 1 or 0.
func (l *lowering) vector(o *rop, n int) []rop {
	if o.kind != ropVector {
		if n <= 1 {
			return []rop{*o}
		}
		fail(o.pos, "an operand of %s that is not %d values in braces", l.now.in.name, n)
	}
	if n > 0 && len(o.list) != n {
		fail(o.pos, "%s in braces; %s takes %d", plural.Of(len(o.list), "value"), l.now.in.name, n)
	}
	return o.list
}

// results and sources are the registers of a vector.
func (l *lowering) results(o *rop, n int, t typ, wider bool) []reg {
	var out []reg
	for _, e := range l.vector(o, n) {
		out = append(out, l.result(&e, t, wider))
	}
	return out
}

func (l *lowering) sources(o *rop, n int, t typ, wider bool) []reg {
	var out []reg
	for _, e := range l.vector(o, n) {
		out = append(out, l.source(&e, t, wider))
	}
	return out
}

// place is the address of a memory operand: a register, or a constant, and an offset. The space is that of the
// instruction, but parameters of device functions live in local memory.
func (l *lowering) place(o *rop, sp space) (base reg, offset int64, where space) {
	if o.kind != ropMemory {
		fail(o.pos, "an operand of %s that is no address in [ ]", l.now.in.name)
	}
	switch {
	case o.sym == nil:
		return l.value(uint64(o.offset)), 0, sp
	case o.sym.kind == variableSymbol:
		have := o.sym.where
		if sp == paramSpace && have == local {
			sp = local
		}
		if sp == generic && have != local && have != paramSpace && have != shared {
			sp = have
		}
		if sp != have && !(have == paramSpace && sp == generic) {
			fail(o.pos, "%s lies in %s; %s is for %s", o.text, have, l.now.in.name, sp)
		}
		return l.constSlot(l.address(o.sym, o.offset)), 0, sp
	}
	if t := o.typ; t.bits() != 64 && !(t.bits() == 32 && (sp == shared || sp == local || sp == paramSpace || sp == constant)) {
		fail(o.pos, "%s is a register of type .%s; an address in %s has 64 bits", o.text, t, sp)
	}
	r := l.slot(o.reg)
	l.out.reads = append(l.out.reads, r)
	l.out.must = append(l.out.must, known{r, o.typ.mask()})
	return r, o.offset, sp
}

// addressSpan is where the addresses of all threads of a warp lie, as numbers with a sign, and the bits that any of them has.
type addressSpan struct {
	low, high int64
	bits      uint64
	whole     bool // it is of the addresses in hand
}

// addressLanes puts base and an offset into addr, and says where that lies.
var addressLanes = func(addr, base *lanes, offset uint64, s *addressSpan) {
	s.low, s.high, s.bits = math.MaxInt64, math.MinInt64, 0
	for i := range addr {
		at := base[i] + offset
		addr[i] = at
		s.low, s.high, s.bits = min(s.low, int64(at)), max(s.high, int64(at)), s.bits|at
	}
}

// addresses puts the addresses of a memory operand into w.addr.
func (w *warp) addresses(base reg, offset int64, m uint32) {
	b := w.r[base]
	if w.span.whole = m == everyone; w.span.whole {
		addressLanes(&w.addr, b, uint64(offset), &w.span)
		return
	}
	for ; m != 0; m &= m - 1 {
		i := bits.TrailingZeros32(m) & 31
		w.addr[i] = b[i] + uint64(offset)
	}
}

// one, two and three make instructions of functions of one thread's values.
func one(d, a reg, f func(a uint64) uint64) func(*warp, uint32) {
	return func(w *warp, m uint32) {
		D, A := w.r[d], w.r[a]
		if m == everyone {
			for i := range D {
				D[i] = f(A[i])
			}
			return
		}
		for ; m != 0; m &= m - 1 {
			i := bits.TrailingZeros32(m) & 31
			D[i] = f(A[i])
		}
	}
}

func two(d, a, b reg, f func(a, b uint64) uint64) func(*warp, uint32) {
	return func(w *warp, m uint32) {
		D, A, B := w.r[d], w.r[a], w.r[b]
		if m == everyone {
			for i := range D {
				D[i] = f(A[i], B[i])
			}
			return
		}
		for ; m != 0; m &= m - 1 {
			i := bits.TrailingZeros32(m) & 31
			D[i] = f(A[i], B[i])
		}
	}
}

func three(d, a, b, c reg, f func(a, b, c uint64) uint64) func(*warp, uint32) {
	return func(w *warp, m uint32) {
		D, A, B, C := w.r[d], w.r[a], w.r[b], w.r[c]
		if m == everyone {
			for i := range D {
				D[i] = f(A[i], B[i], C[i])
			}
			return
		}
		for ; m != 0; m &= m - 1 {
			i := bits.TrailingZeros32(m) & 31
			D[i] = f(A[i], B[i], C[i])
		}
	}
}

// test makes an instruction that sets a predicate.
func test(d, a, b reg, f func(a, b uint64) bool) func(*warp, uint32) {
	return func(w *warp, m uint32) {
		w.p[d] = w.p[d]&^m | compare(w.r[a], w.r[b], m, f)
	}
}

// compare returns the threads of m in which f holds.
func compare(A, B *lanes, m uint32, f func(a, b uint64) bool) (out uint32) {
	for ; m != 0; m &= m - 1 {
		i := bits.TrailingZeros32(m) & 31
		if f(A[i], B[i]) {
			out |= 1 << i
		}
	}
	return out
}
