package ptx

import "pgc/ir/tile"

// moved is pointer p moved by off elements.
func (e *asm) moved(p, off string, elem tile.Elem) string {
	if off == "0" {
		return p
	}
	return e.to(long, "mad.lo.s64", off, num(int64(elem.Bytes())), p)
}

// place is where a load or store goes in a thread: the address of its first element, the state space, the predicate for
// each of its elements under which it happens, "" for always; and whether all elements are one access.
type place struct {
	address, space string
	guards         []string
	whole          bool
	apart          int64 // bytes between elements
}

// access finds the place of an access to a value of a type at in.Args[0][in.Args[1]]; count is the tail's, or nil. A
// scalar is loaded by every lane and stored by the first.
func (e *emitter) access(in *tile.Inst, t tile.Type, count *tile.Value, store bool) place {
	p := in.Args[0]
	elem := p.Type.Elem
	size := int64(elem.Bytes())
	n := e.count(t)
	pl := place{address: e.moved(e.scalar(p), e.scalar(in.Args[1]), elem), space: "global", guards: make([]string, n), apart: size}
	if e.shared[p] {
		pl.space = "shared"
	}
	if t.Lanes == 1 {
		if count != nil {
			pl.guards[0] = e.to(pred, "setp.gt.s64", e.scalar(count), "0")
			if store && e.first != "" {
				pl.guards[0] = e.to(pred, "and.pred", pl.guards[0], e.first)
			}
		} else if store {
			pl.guards[0] = e.first
		}
		return pl
	}
	pl.address = e.to(long, "mad.wide.u32", e.lane, num(size*int64(n)), pl.address)
	if n > 1 {
		pl.whole = min(e.multiple(p), e.multiple(in.Args[1])*size)%(4*size) == 0 && (count == nil || e.multiple(count)%4 == 0)
		e.apart = e.apart || !pl.whole
	}
	if count == nil {
		return pl
	}
	for i := range pl.guards {
		if pl.whole && i > 0 {
			pl.guards[i] = pl.guards[0]
			continue
		}
		lane := e.lane64
		if n > 1 {
			lane = e.to(long, "mad.wide.u32", e.lane, num(int64(n)), e.to(long, "mov.b64", num(int64(i))))
		}
		pl.guards[i] = e.to(pred, "setp.lt.s64", lane, e.scalar(count))
	}
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
func (e *emitter) load(in *tile.Inst) []string {
	if v := e.held[in.Args[0]]; v != nil {
		return v
	}
	var count *tile.Value
	if in.Op == tile.LoadTail {
		count = in.Args[2]
	}
	pl := e.access(in, in.Out[0].Type, count, false)
	elem := in.Args[0].Type.Elem
	c, typ := classOf(in.Out[0].Type), memoryType[elem]
	switch elem {
	case tile.BF16:
		c = word
	case tile.F16:
		c = half
	}
	d := e.regs(c, len(pl.guards))
	for i, guard := range pl.guards {
		if guard != "" {
			zero := "0"
			if c == float {
				zero = floatNum(0)
			}
			e.do("mov."+classes[c].typ, d[i], zero)
		}
	}
	if pl.whole {
		e.guarded(pl.guards[0], "ld."+pl.space+".v4."+typ, vector(d...), at(pl.address, 0))
	} else {
		for i, guard := range pl.guards {
			e.guarded(guard, "ld."+pl.space+"."+typ, d[i], at(pl.address, int64(i)*pl.apart))
		}
	}
	for i, r := range d {
		switch elem {
		case tile.BF16:
			d[i] = e.to(float, "mov.b32", e.to(word, "shl.b32", r, "16"))
		case tile.F16:
			d[i] = e.to(float, "cvt.f32.f16", r)
		}
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
	elem := in.Args[0].Type.Elem
	v := make([]string, e.count(t))
	for i := range v {
		v[i] = e.register(e.element(in.Args[2], i), t)
		switch elem {
		case tile.BF16:
			v[i] = e.bfloat16(v[i])
		case tile.F16:
			v[i] = e.to(half, "cvt.rn.f16.f32", v[i])
		}
	}
	pl := e.access(in, t, count, true)
	typ := memoryType[elem]
	if pl.whole {
		e.guarded(pl.guards[0], "st."+pl.space+".v4."+typ, at(pl.address, 0), vector(v...))
		return
	}
	for i, guard := range pl.guards {
		e.guarded(guard, "st."+pl.space+"."+typ, at(pl.address, int64(i)*pl.apart), v[i])
	}
}

// bfloat16 rounds to nearest, ties to even, into the low 16 bits; NaN stays one.
func (e *emitter) bfloat16(v string) string {
	bits := e.to(word, "mov.b32", v)
	high := e.to(word, "shr.u32", bits, "16")
	up := e.to(word, "add.s32", e.to(word, "add.s32", bits, "32767"), e.to(word, "and.b32", high, "1"))
	number := e.to(pred, "setp.eq.f32", v, v)
	return e.to(word, "selp.b32", e.to(word, "shr.u32", up, "16"), e.to(word, "or.b32", high, "64"), number)
}
