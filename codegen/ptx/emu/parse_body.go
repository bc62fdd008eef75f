package emu

import (
	"math"
	"strconv"
	"strings"
)

// statements reads a body up to its closing brace, which it leaves.
func (p *parser) statements() []statement {
	out := make([]statement, 0, p.ahead())
	for p.peek() != "}" {
		pos := p.pos()
		if p.peek() == "" {
			fail(pos, "the text ends within a body")
		}
		switch word := p.next(); {
		case word == "{":
			s := statement{kind: scope, pos: pos, body: p.statements(), end: p.pos()}
			p.expect("}")
			out = append(out, s)
		case word == ".reg":
			out = append(out, p.registers(pos)...)
		case word == ".param" || word == ".local" || word == ".shared" || word == ".global" || word == ".const":
			for _, v := range p.variables(spacesByName[word[1:]]) {
				out = append(out, statement{kind: declareVariable, pos: v.pos, v: v})
				if v.space == global || v.space == constant {
					p.unit.statics = append(p.unit.statics, v)
				}
			}
		case word == ".loc" || word == ".file":
			p.skipLine()
		case word == ".pragma":
			p.next()
			p.expect(";")
		case word == ".section":
			p.skipSection()
		case word == ";":
		case word[0] == '.':
			fail(pos, "%q is no directive of a body", word)
		case p.peek() == ":":
			p.at++
			out = append(out, p.label(pos, word)...)
		default:
			p.at--
			out = append(out, statement{kind: instruction, pos: pos, in: p.instruction()})
		}
	}
	return out
}

// ahead is how many statements there are up to the closing brace, at most, where no declaration has commas.
func (p *parser) ahead() (n int) {
	depth := 0
	for i := range p.tokens[p.at:] {
		switch p.tokens[p.at+i].text {
		case ";", ":":
			n++
		case "{":
			depth++
		case "}":
			if depth--; depth < 0 {
				return n
			}
		}
	}
	return n
}

// label is what a label stands before: an instruction, or the targets of a branch or the prototype of a call.
func (p *parser) label(pos Pos, name string) []statement {
	switch p.peek() {
	case ".branchtargets":
		p.at++
		s := statement{kind: branchTargets, pos: pos, name: name}
		for {
			s.list = append(s.list, p.identifier())
			if !p.accept(",") {
				break
			}
		}
		p.expect(";")
		return []statement{s}
	case ".callprototype", ".calltargets":
		for p.next() != ";" {
		}
		return nil
	}
	return []statement{{kind: defineLabel, pos: pos, name: name}}
}

// registers reads a declaration of registers.
func (p *parser) registers(pos Pos) []statement {
	word := p.next()
	t, ok := typesByName[strings.TrimPrefix(word, ".")]
	if !ok || word[0] != '.' {
		fail(pos, "registers of type %q", word)
	}
	var out []statement
	for {
		s := statement{kind: declareRegisters, pos: p.pos(), name: p.identifier(), typ: t, count: -1}
		if p.accept("<") {
			at := p.pos()
			n := p.integer()
			if n < 0 || n > 1<<22 {
				fail(at, "%d registers", n)
			}
			s.count = int(n)
			p.expect(">")
		}
		out = append(out, s)
		if !p.accept(",") {
			break
		}
	}
	p.expect(";")
	return out
}

// instruction reads an instruction with its guard.
func (p *parser) instruction() *syntaxInstr {
	in := &syntaxInstr{pos: p.pos()}
	if p.accept("@") {
		in.not = p.accept("!")
		in.guardPos = p.pos()
		in.guard = p.identifier()
		in.pos = p.pos()
	}
	in.name = p.identifier()
	in.parts = p.split(in.name)
	if p.accept(";") {
		return in
	}
	var room [8]operand
	args := room[:0]
	for {
		o := p.operand()
		if p.accept("|") {
			second := p.operand()
			o.pair = &second
		}
		args = append(args, o)
		if p.accept(";") {
			in.args = p.keep(args)
			return in
		}
		p.expect(",")
	}
}

// split splits the name of an instruction at its dots, once for each.
func (p *parser) split(name string) []string {
	parts := p.names[name]
	if parts == nil {
		if p.names == nil {
			p.names = map[string][]string{}
		}
		parts = strings.Split(name, ".")
		p.names[name] = parts
	}
	return parts
}

// keep copies operands behind others.
func (p *parser) keep(list []operand) []operand {
	if cap(p.operands)-len(p.operands) < len(list) {
		p.operands = make([]operand, 0, 64+len(list))
	}
	n := len(p.operands)
	p.operands = append(p.operands, list...)
	return p.operands[n:len(p.operands):len(p.operands)]
}

// operand reads one operand.
func (p *parser) operand() operand {
	pos := p.pos()
	switch word := p.next(); {
	case word == "{":
		return operand{kind: vectorOperand, pos: pos, list: p.list("}")}
	case word == "(":
		return operand{kind: listOperand, pos: pos, list: p.list(")")}
	case word == "[":
		return p.memory(pos)
	case word == "!":
		return operand{kind: nameOperand, pos: pos, name: p.identifier(), not: true}
	case word == "-" || word == "+":
		o := p.operand()
		if word == "+" {
			return o
		}
		switch o.kind {
		case numberOperand:
			o.bits = -o.bits
		case floatOperand:
			if o.double {
				o.bits ^= 1 << 63
			} else {
				o.bits ^= 1 << 31
			}
		default:
			fail(pos, "a sign before what is no number")
		}
		o.pos = pos
		return o
	case word[0] >= '0' && word[0] <= '9':
		return number(pos, word)
	case strings.Contains("]})>,;:@<=|*~&", word):
		fail(pos, "%q where an operand is expected", word)
		panic("unreachable")
	default:
		p.at--
		o := operand{kind: nameOperand, pos: pos, name: p.identifier()}
		if p.peek() == "+" {
			p.at++
			o.offset = p.integer()
		}
		return o
	}
}

// list reads operands up to a closing mark.
func (p *parser) list(end string) []operand {
	out := make([]operand, 0, 4)
	for !p.accept(end) {
		out = append(out, p.operand())
		if !p.accept(",") {
			p.expect(end)
			break
		}
	}
	return out
}

// memory reads the inside of [ ].
func (p *parser) memory(pos Pos) operand {
	o := operand{kind: memoryOperand, pos: pos}
	if c := p.peek(); c == "-" || c != "" && c[0] >= '0' && c[0] <= '9' {
		o.offset = p.integer()
	} else {
		o.name = p.identifier()
	}
	for p.peek() == "+" || p.peek() == "-" {
		if p.peek() == "+" {
			p.at++
		}
		o.offset += p.integer()
	}
	for p.accept(",") {
		o.list = append(o.list, p.operand())
	}
	p.expect("]")
	return o
}

// number reads an integer or a floating-point constant.
func number(pos Pos, word string) operand {
	digits := func(n int) uint64 {
		v, err := strconv.ParseUint(word[2:], 16, 64)
		if err != nil || len(word) != n+2 {
			fail(pos, "%q where %q and %d hexadecimal digits are expected", word, word[:2], n)
		}
		return v
	}
	switch {
	case strings.HasPrefix(word, "0f") || strings.HasPrefix(word, "0F"):
		return operand{kind: floatOperand, pos: pos, bits: digits(8)}
	case strings.HasPrefix(word, "0d") || strings.HasPrefix(word, "0D"):
		return operand{kind: floatOperand, pos: pos, bits: digits(16), double: true}
	}
	if v, ok := parseInteger(word); ok {
		return operand{kind: numberOperand, pos: pos, bits: v}
	}
	v, err := strconv.ParseFloat(word, 64)
	if err != nil || !strings.ContainsAny(word, ".eE") {
		fail(pos, "%q is no number", word)
	}
	return operand{kind: floatOperand, pos: pos, bits: math.Float64bits(v), double: true}
}

// floatBits is a floating-point constant as a value of a type.
func floatBits(t typ, o operand) uint64 {
	v := math.Float64frombits(o.bits)
	if !o.double {
		if t != f64 {
			return o.bits
		}
		v = float64(math.Float32frombits(uint32(o.bits)))
	}
	if t == f64 || t == b64 {
		return math.Float64bits(v)
	}
	return uint64(math.Float32bits(float32(v)))
}
