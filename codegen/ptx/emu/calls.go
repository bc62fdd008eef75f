package emu

// call expands a call: formal parameters are other names of the actual ones.
func (l *lowering) call(p *pending) {
	args := p.in.args
	var results, params []operand
	if len(args) > 0 && args[0].kind == listOperand {
		results, args = args[0].list, args[1:]
	}
	if len(args) == 0 || args[0].kind != nameOperand {
		fail(p.in.pos, "a call names no function")
	}
	callee := l.functions[args[0].name]
	if callee == nil {
		if l.lookup(args[0].name) == nil {
			fail(args[0].pos, "%s is no declared function", args[0].name)
		}
		l.unknown("call through the register %s", args[0].name)
	}
	if len(args) > 1 && args[1].kind == listOperand {
		params = args[1].list
	}
	if len(results) != len(callee.results) || len(params) != len(callee.params) {
		fail(p.in.pos, "%s has %d results and %d parameters, not %d and %d", callee.name, len(callee.results), len(callee.params), len(results), len(params))
	}
	if !callee.defined {
		l.external(p, callee, results)
		return
	}
	outer, end := l.scope, l.newLabel(p.in.pos)
	if p.guard != none {
		l.pending = append(l.pending, pending{in: &syntaxInstr{pos: p.in.pos, name: "bra", parts: []string{"bra"}, guard: p.in.guard, not: !p.in.not},
			guard: p.guard, target: end})
	}
	inner := &nameScope{names: map[string]*symbol{}, ranges: map[string]statement{}}
	for i, list := range [][]operand{results, params} {
		formal := callee.results
		if i == 1 {
			formal = callee.params
		}
		for j, o := range list {
			sym := l.lookup(o.name)
			if sym == nil || o.kind != nameOperand {
				fail(o.pos, "an argument of %s that is neither a parameter nor a register", callee.name)
			}
			inner.names[formal[j].name] = sym
		}
	}
	l.scope = inner
	l.expand(callee)
	l.scope = outer
	l.labels[end] = len(l.pending)
}

// external is a call of a function without a body: what compilers' runtimes offer to kernels.
func (l *lowering) external(p *pending, callee *function, results []operand) {
	switch callee.name {
	case "vprintf": // prints nothing and returns 0
		sym := l.lookup(results[0].name)
		l.pending = append(l.pending, pending{in: &syntaxInstr{pos: p.in.pos, name: "st.local.b32", parts: []string{"st", "local", "b32"}}, guard: none, target: -1,
			args: []rop{{kind: ropMemory, pos: p.in.pos, sym: sym}, l.resolve(&operand{kind: numberOperand})}})
	case "__assertfail", "__assert_fail", "__trap":
		l.pending = append(l.pending, pending{in: &syntaxInstr{pos: p.in.pos, name: "trap", parts: []string{"trap"}, guard: p.in.guard, not: p.in.not}, guard: p.guard, target: -1})
	default:
		l.unknown("call of %s, which has no body", callee.name)
	}
}

// place is an address as the text has it: a register or a variable, and an offset.
type place struct {
	reg    reg
	v      *variable
	offset int64
}

func placeOf(o *rop) place {
	p := place{reg: none, offset: o.offset}
	switch {
	case o.sym == nil:
	case o.sym.kind == registerSymbol:
		p.reg = o.sym.reg
	default:
		p.v = o.sym.v
	}
	return p
}
