package emu

import (
	"fmt"
	"strconv"
	"strings"
)

// Module is parsed PTX.
type Module struct{ entries map[string]*entry }

// entry is a kernel.
type entry struct {
	name        string
	params      map[string]int // number by name
	threads     int            // of a block
	regs        []string       // names
	widths      []byte         // of the registers, as signatures name them
	number      map[string]int // of registers by name
	sharedName  string
	sharedBytes int
	code        []instr
}

// instr is an instruction.
type instr struct {
	line   int
	op     *opcode
	guard  int // register, or -1
	not    bool
	args   []operand
	reads  []int // registers
	target int   // of a branch
	label  string
}

type operandKind uint8

const (
	register operandKind = iota
	immediate
	special
	memory // base register, or none where imm is all, and imm
	tuple
)

type operand struct {
	kind operandKind
	reg  int // -1 for a memory operand without one
	imm  uint64
	name string // of a special register or a parameter
	list []operand
	// float says that an immediate was written as one.
	float bool
}

// Parse reads a module. Errors name the line.
func Parse(text string) (m *Module, err error) {
	tokens, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	defer func() {
		if r := recover(); r != nil {
			t, ok := r.(trap)
			if !ok {
				panic(r)
			}
			m, err = nil, fmt.Errorf("line %d: %s", p.line, string(t))
		}
	}()
	return p.module(), nil
}

type parser struct {
	tokens []token
	line   int // of the token taken last
	e      *entry
	labels map[string]int
}

func (p *parser) peek() string { return p.tokens[0].text }

func (p *parser) next() string {
	t := p.tokens[0]
	if t.text == "" {
		trapf("the text ends in the middle")
	}
	p.tokens, p.line = p.tokens[1:], t.line
	return t.text
}

func (p *parser) accept(text string) bool {
	if p.peek() != text {
		return false
	}
	p.next()
	return true
}

func (p *parser) expect(texts ...string) {
	for _, want := range texts {
		if got := p.next(); got != want {
			trapf("%q, expected %q", got, want)
		}
	}
}

func (p *parser) integer() int {
	text := p.next()
	n, err := strconv.ParseInt(text, 0, 32)
	if err != nil {
		trapf("%q, expected a number", text)
	}
	return int(n)
}

func (p *parser) module() *Module {
	p.expect(".version", "7.4", ".target", "sm_80", ".address_size", "64")
	m := &Module{entries: map[string]*entry{}}
	for p.peek() != "" {
		p.entry()
		if m.entries[p.e.name] != nil {
			trapf("entry %s is there twice", p.e.name)
		}
		m.entries[p.e.name] = p.e
	}
	return m
}

func (p *parser) entry() {
	p.expect(".visible", ".entry")
	p.e = &entry{name: p.next(), params: map[string]int{}, number: map[string]int{}}
	p.labels = map[string]int{}
	p.expect("(")
	for !p.accept(")") {
		p.expect(".param", ".u64")
		p.e.params[p.next()] = len(p.e.params)
		p.accept(",")
	}
	p.expect(".reqntid")
	p.e.threads = p.integer()
	p.expect(",", "1", ",", "1", "{")
	if p.e.threads <= 0 || p.e.threads%warpSize != 0 {
		trapf("a block of %d threads is not made of whole warps", p.e.threads)
	}
	for !p.accept("}") {
		p.statement()
	}
	if n := len(p.e.code); n == 0 || p.e.code[n-1].op.flow != exit || p.e.code[n-1].guard >= 0 {
		trapf("entry %s does not end with ret", p.e.name)
	}
	for i := range p.e.code {
		in := &p.e.code[i]
		if in.label == "" {
			continue
		}
		at, ok := p.labels[in.label]
		if !ok || at == len(p.e.code) {
			p.line = in.line
			trapf("no instruction at label %s", in.label)
		}
		in.target = at
	}
}

func (p *parser) statement() {
	switch word := p.next(); {
	case word == ".reg":
		p.registers()
	case word == ".shared":
		p.expect(".align", "128", ".b8")
		p.e.sharedName = p.next()
		p.expect("[")
		p.e.sharedBytes = p.integer()
		p.expect("]", ";")
	case p.accept(":"):
		if _, ok := p.labels[word]; ok {
			trapf("label %s is there twice", word)
		}
		p.labels[word] = len(p.e.code)
	default:
		p.instruction(word)
	}
}

// widths are the register types and what signatures call them.
var widths = map[string]byte{".pred": 'p', ".b16": 'h', ".b32": 'w', ".b64": 'l', ".f32": 'f'}

func (p *parser) registers() {
	typ := p.next()
	width, ok := widths[typ]
	if !ok {
		trapf("registers of type %s", typ)
	}
	prefix := p.next()
	p.expect("<")
	n := p.integer()
	p.expect(">", ";")
	for i := range n {
		name := prefix + strconv.Itoa(i)
		p.e.number[name] = len(p.e.regs)
		p.e.regs, p.e.widths = append(p.e.regs, name), append(p.e.widths, width)
	}
}

func (p *parser) reg(name string) int {
	r, ok := p.e.number[name]
	if !ok {
		trapf("%s is not a declared register", name)
	}
	return r
}

func (p *parser) instruction(word string) {
	in := instr{guard: -1}
	if word == "@" {
		in.not = p.accept("!")
		in.guard = p.reg(p.next())
		if p.e.widths[in.guard] != 'p' {
			trapf("%s is not a predicate", p.e.regs[in.guard])
		}
		word = p.next()
	}
	in.line = p.line
	in.op = opcodes[word]
	if in.op == nil {
		trapf("unknown instruction %s", word)
	}
	if in.op.flow == branch {
		in.label = p.next()
		p.expect(";")
	} else if !p.accept(";") {
		for {
			in.args = append(in.args, p.operand())
			if p.accept(";") {
				break
			}
			p.expect(",")
		}
	}
	p.check(&in)
	p.e.code = append(p.e.code, in)
}

func (p *parser) operand() operand {
	switch word := p.next(); {
	case word == "{":
		o := operand{kind: tuple}
		for {
			o.list = append(o.list, p.operand())
			if p.accept("}") {
				return o
			}
			p.expect(",")
		}
	case word == "[":
		o := operand{kind: memory, reg: -1, name: p.next()}
		if strings.HasPrefix(o.name, "%") {
			o.reg, o.name = p.reg(o.name), ""
		}
		if p.accept("+") {
			o.imm = uint64(p.integer())
		}
		p.expect("]")
		return o
	case word == "%tid.x" || word == "%ctaid.x" || word == "%nctaid.x":
		return operand{kind: special, name: word}
	case word[0] == '%':
		return operand{kind: register, reg: p.reg(word)}
	case word == p.e.sharedName:
		return operand{kind: special, name: "shared"}
	case strings.HasPrefix(word, "0f"):
		v, err := strconv.ParseUint(word[2:], 16, 32)
		if err != nil || len(word) != 10 {
			trapf("%q, expected 0f and eight digits", word)
		}
		return operand{kind: immediate, imm: v, float: true}
	default:
		text := word
		if word == "-" {
			text += p.next()
		}
		v, err := strconv.ParseInt(text, 0, 64)
		if err != nil {
			trapf("%q, expected an operand", text)
		}
		return operand{kind: immediate, imm: uint64(v)}
	}
}
