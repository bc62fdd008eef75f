package ptx

import "pgc/ir/tile"

// moved is pointer p moved by off elements.
func (e *asm) moved(p, off string, elem tile.Elem) string {
	if off == "0" {
		return p
	}
	return e.to(long, "mad.lo.s64", off, num(int64(elem.Bytes())), p)
}

// place is where a load or store goes in a thread: its address, the state space, and the predicate under which it
// happens, "" for always.
type place struct{ address, space, guard string }

// place finds the place of an access to lanes elements at in.Args[0][in.Args[1]]; count is the tail's, or nil. A scalar
// is loaded by every lane and stored by the first.
func (e *emitter) access(in *tile.Inst, lanes int, count *tile.Value, store bool) place {
	p := in.Args[0]
	elem := p.Type.Elem
	base := e.moved(e.vals[p], e.vals[in.Args[1]], elem)
	pl := place{space: "global"}
	if e.shared[p] {
		pl.space = "shared"
	}
	switch {
	case lanes == warp:
		base = e.to(long, "mad.wide.u32", e.lane, num(int64(elem.Bytes())), base)
		if count != nil {
			pl.guard = e.to(pred, "setp.lt.s64", e.lane64, e.vals[count])
		}
	case count != nil:
		pl.guard = e.to(pred, "setp.gt.s64", e.vals[count], "0")
		if store && e.first != "" {
			pl.guard = e.to(pred, "and.pred", pl.guard, e.first)
		}
	case store:
		pl.guard = e.first
	}
	pl.address = at(base, 0)
	return pl
}

// guarded appends an instruction under a predicate, if there is one.
func (e *emitter) guarded(guard, op string, operands ...string) {
	if guard == "" {
		e.do(op, operands...)
	} else {
		e.onlyIf(guard, op, operands...)
	}
}

// load reads elements and converts them to their register type; lanes behind the tail are zero.
func load(e *emitter, in *tile.Inst, _ []string) string {
	if v := e.held[in.Args[0]]; v != "" {
		return v
	}
	var count *tile.Value
	if in.Op == tile.LoadTail {
		count = in.Args[2]
	}
	pl := e.access(in, in.Out[0].Type.Lanes, count, false)
	elem := in.Args[0].Type.Elem
	c, typ := classOf(in.Out[0].Type), memoryType[elem]
	switch elem {
	case tile.BF16:
		c = word
	case tile.F16:
		c = half
	}
	d := e.reg(c)
	if pl.guard != "" {
		zero := "0"
		if c == float {
			zero = floatNum(0)
		}
		e.do("mov."+classes[c].typ, d, zero)
	}
	e.guarded(pl.guard, "ld."+pl.space+"."+typ, d, pl.address)
	switch elem {
	case tile.BF16:
		return e.to(float, "mov.b32", e.to(word, "shl.b32", d, "16"))
	case tile.F16:
		return e.to(float, "cvt.f32.f16", d)
	}
	return d
}

// memoryType is the type that loads and stores of an element name.
var memoryType = map[tile.Elem]string{tile.I8: "s8", tile.I16: "s16", tile.I32: "b32", tile.I64: "b64", tile.F32: "f32", tile.BF16: "u16", tile.F16: "b16"}

func (e *emitter) store(in *tile.Inst) {
	var count *tile.Value
	if in.Op == tile.StoreTail {
		count = in.Args[3]
	}
	t := in.Args[2].Type
	v := e.register(e.vals[in.Args[2]], t)
	elem := in.Args[0].Type.Elem
	switch elem {
	case tile.BF16:
		v = e.bfloat16(v)
	case tile.F16:
		v = e.to(half, "cvt.rn.f16.f32", v)
	}
	pl := e.access(in, t.Lanes, count, true)
	e.guarded(pl.guard, "st."+pl.space+"."+memoryType[elem], pl.address, v)
}

// bfloat16 rounds to nearest, ties to even, into the low 16 bits; NaN stays one.
func (e *emitter) bfloat16(v string) string {
	bits := e.to(word, "mov.b32", v)
	high := e.to(word, "shr.u32", bits, "16")
	up := e.to(word, "add.s32", e.to(word, "add.s32", bits, "32767"), e.to(word, "and.b32", high, "1"))
	number := e.to(pred, "setp.eq.f32", v, v)
	return e.to(word, "selp.b32", e.to(word, "shr.u32", up, "16"), e.to(word, "or.b32", high, "64"), number)
}
