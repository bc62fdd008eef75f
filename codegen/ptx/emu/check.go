package emu

// check holds an instruction's operands against the signature of its opcode, a letter an operand, a digit before it for
// a tuple of so many:
//
//	p  predicate             h  16 bits               w  32 bits, integer    l  64 bits, integer
//	f  f32                   b  32 bits of either     i  immediate           s  special register or shared memory
//	g  address in global memory, 64 bits              m  one in shared memory, 32 or 64 bits
//	q  a parameter
//
// The first operand is the result, unless the opcode says otherwise; results are registers. It also notes which
// registers are read.
func (p *parser) check(in *instr) {
	at := 0
	for s := in.op.signature; s != ""; s = s[1:] {
		n := 0
		if s[0] >= '2' && s[0] <= '4' {
			n, s = int(s[0]-'0'), s[1:]
		}
		if at == len(in.args) {
			trapf("%s of %d operands", in.op.name, at)
		}
		o := &in.args[at]
		result := at == 0 && !in.op.noResult
		if n == 0 {
			p.matches(in, o, s[0], result)
		} else if o.kind != tuple || len(o.list) != n {
			trapf("operand %d of %s is not %d in braces", at, in.op.name, n)
		} else {
			for i := range o.list {
				p.matches(in, &o.list[i], s[0], result)
			}
		}
		at++
	}
	if at != len(in.args) {
		trapf("%s of %d operands, expected %d", in.op.name, len(in.args), at)
	}
}

// matches checks one operand and normalizes immediates to the width.
func (p *parser) matches(in *instr, o *operand, want byte, result bool) {
	ok := false
	switch o.kind {
	case register:
		have := p.e.widths[o.reg]
		ok = have == want || want == 'b' && (have == 'w' || have == 'f')
		if !result {
			in.reads = append(in.reads, o.reg)
		}
	case memory:
		if o.reg < 0 {
			_, declared := p.e.params[o.name]
			ok = want == 'q' && declared
			break
		}
		have := p.e.widths[o.reg]
		ok = have == 'l' && want == 'g' || (have == 'l' || have == 'w') && want == 'm'
		in.reads = append(in.reads, o.reg)
	case special:
		ok = want == 's'
	case immediate:
		switch want {
		case 'w', 'b', 'h', 'i':
			ok = !o.float && int64(o.imm) >= -1<<31 && int64(o.imm) < 1<<32 || want == 'b' && o.float
			o.imm &= 1<<32 - 1
		case 'l':
			ok = !o.float
		case 'f':
			ok = o.float
		}
		ok = ok && !result
	}
	if !ok {
		trapf("an operand of %s does not fit its type %q", in.op.name, want)
	}
}
