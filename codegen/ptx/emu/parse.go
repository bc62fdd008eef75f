package emu

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// parser reads tokens; it panics with a *Finding where the text is not PTX.
type parser struct {
	file   string
	tokens []token
	at     int
	unit   *unit

	names    map[string][]string // parts of the names of instructions
	operands []operand           // memory for their operands
}

// parseUnit parses a text.
func parseUnit(file, text string) (u *unit, err error) {
	tokens, err := lex(file, text)
	if err != nil {
		return nil, err
	}
	p := &parser{file: file, tokens: tokens, unit: &unit{file: file}}
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(*Finding)
			if !ok {
				panic(r)
			}
			u, err = nil, f
		}
	}()
	p.module()
	return p.unit, nil
}

func (p *parser) pos() Pos {
	t := p.tokens[p.at]
	return Pos{p.file, int(t.line), int(t.col)}
}

// fail stops with a syntax finding at a place.
func fail(pos Pos, format string, args ...any) {
	panic(&Finding{Kind: Syntax, Pos: pos, Thread: -1, Text: fmt.Sprintf(format, args...)})
}

func (p *parser) peek() string { return p.tokens[p.at].text }

func (p *parser) next() string {
	t := p.tokens[p.at].text
	if t == "" {
		fail(p.pos(), "the text ends in the middle of a statement")
	}
	p.at++
	return t
}

func (p *parser) accept(text string) bool {
	if p.peek() != text {
		return false
	}
	p.at++
	return true
}

func (p *parser) expect(want string) {
	if p.peek() != want {
		if p.peek() == "" {
			fail(p.pos(), "the text ends where %q is expected", want)
		}
		fail(p.pos(), "%q where %q is expected", p.peek(), want)
	}
	p.at++
}

// identifier reads a name.
func (p *parser) identifier() string {
	pos, t := p.pos(), p.next()
	if c := t[0]; c != '_' && c != '$' && c != '%' && !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
		fail(pos, "%q where a name is expected", t)
	}
	return t
}

// integer reads an integer, with its sign.
func (p *parser) integer() int64 {
	pos, negative := p.pos(), false
	for p.peek() == "-" || p.peek() == "+" {
		negative = negative != (p.next() == "-")
	}
	v, ok := parseInteger(p.next())
	if !ok {
		fail(pos, "%q where a whole number is expected", p.tokens[p.at-1].text)
	}
	if negative {
		return -int64(v)
	}
	return int64(v)
}

// parseInteger reads decimal, hexadecimal, octal and binary numbers, with an optional U.
func parseInteger(text string) (uint64, bool) {
	if strings.Contains(text, "_") {
		return 0, false
	}
	v, err := strconv.ParseUint(strings.TrimSuffix(text, "U"), 0, 64)
	return v, err == nil
}

// isVersion reports whether a word is MAJOR.MINOR.
func isVersion(word string) bool {
	major, minor, _ := strings.Cut(word, ".")
	return decimal(major) && decimal(minor)
}

// decimal reports whether a word is of digits.
func decimal(word string) bool { return word != "" && strings.Trim(word, "0123456789") == "" }

// module reads the whole text.
func (p *parser) module() {
	u := p.unit
	if p.peek() != ".version" {
		fail(p.pos(), "a module begins with .version, not %q", p.peek())
	}
	for p.peek() != "" {
		pos := p.pos()
		switch word := p.next(); word {
		case ".version":
			at := p.pos()
			if u.version = p.next(); !isVersion(u.version) {
				fail(at, "%q is no version; one is two numbers, such as 7.0", u.version)
			}
		case ".target":
			u.target = p.next()
			for p.accept(",") {
				p.next()
			}
		case ".address_size":
			if n := p.integer(); n != 64 {
				fail(pos, "addresses of %d bits; only 64 are supported", n)
			}
		case ".file", ".loc", ".alias", "@":
			p.skipLine()
		case ".section":
			p.skipSection()
		case ".pragma":
			p.next()
			p.expect(";")
		case ";":
		case ".visible", ".extern", ".weak", ".common", ".entry", ".func", ".global", ".const", ".shared":
			p.at--
			p.declaration()
		default:
			fail(pos, "%q is no directive of a module", word)
		}
	}
	if u.target == "" {
		fail(p.pos(), "the module has no .target")
	}
}

func (p *parser) skipLine() {
	for line := p.tokens[p.at-1].line; p.peek() != "" && p.tokens[p.at].line == line; p.at++ {
	}
}

func (p *parser) skipSection() {
	for p.next() != "{" {
	}
	for depth := 1; depth > 0; {
		switch p.next() {
		case "{":
			depth++
		case "}":
			depth--
		}
	}
}

// declaration reads a function or variables of the module, with their linkage.
func (p *parser) declaration() {
	extern := false
	for {
		switch p.peek() {
		case ".extern", ".common":
			extern = extern || p.peek() == ".extern"
			p.at++
		case ".visible", ".weak":
			p.at++
		case ".entry", ".func":
			p.function(p.next() == ".entry")
			return
		case ".global", ".const", ".shared":
			for _, v := range p.variables(spacesByName[p.next()[1:]]) {
				v.extern = extern
				p.unit.variables = append(p.unit.variables, v)
			}
			return
		default:
			fail(p.pos(), "%q where a declaration is expected", p.peek())
		}
	}
}

// variables reads what follows a state space: one or several names of a type, and a semicolon.
func (p *parser) variables(s space) []*variable {
	first := p.variable(s)
	out := []*variable{first}
	for p.accept(",") {
		v := &variable{pos: p.pos(), space: s, typ: first.typ, align: first.align, size: first.typ.bytes()}
		p.named(v)
		out = append(out, v)
	}
	p.expect(";")
	return out
}

// variable reads alignment, type, name, size and initial value of a variable or parameter.
func (p *parser) variable(s space) *variable {
	v := &variable{space: s}
	width := 1
	for {
		pos := p.pos()
		word := p.next()
		if t, ok := typesByName[strings.TrimPrefix(word, ".")]; ok && word[0] == '.' {
			v.typ = t
			break
		}
		switch word {
		case ".align":
			v.align = int(p.integer())
			if v.align < 1 || v.align&(v.align-1) != 0 {
				fail(pos, "an alignment of %d, which is no power of two", v.align)
			}
		case ".v2", ".v4":
			width = int(word[2] - '0')
		case ".attribute":
			for p.next() != ")" {
			}
		case ".ptr", ".global", ".const", ".shared", ".local", ".generic":
		default:
			fail(pos, "%q where a type is expected", word)
		}
	}
	p.pointer()
	v.size = v.typ.bytes() * width
	v.align = max(v.align, v.size&-v.size)
	p.named(v)
	return v
}

// pointer skips what is said about where a parameter points.
func (p *parser) pointer() {
	if !p.accept(".ptr") {
		return
	}
	for {
		switch p.peek() {
		case ".global", ".const", ".shared", ".local", ".generic":
			p.at++
		case ".align":
			p.at++
			p.integer()
		default:
			return
		}
	}
}

// named reads the name of a variable, its dimensions and its initial value.
func (p *parser) named(v *variable) {
	v.pos = p.pos()
	v.name = p.identifier()
	if p.peek() == "<" { // .param .b32 p<3> is not in use; registers have a reader of their own
		fail(p.pos(), "a range of variables")
	}
	for p.accept("[") {
		if p.accept("]") {
			v.open, v.size = true, 0
			continue
		}
		pos := p.pos()
		n := p.integer()
		if n < 0 || n*int64(v.size) > 1<<34 {
			fail(pos, "an array of %d elements", n)
		}
		v.size *= int(n)
		p.expect("]")
	}
	if p.accept("=") {
		var data []byte
		p.initializer(v, &data)
		if v.open {
			v.open, v.size = false, len(data)
		}
		if len(data) > v.size {
			fail(v.pos, "%s has %d bytes and an initial value of %d", v.name, v.size, len(data))
		}
		v.data = append(data, make([]byte, v.size-len(data))...)
	}
}

// initializer appends initial values to data.
func (p *parser) initializer(v *variable, data *[]byte) {
	if p.accept("{") {
		for !p.accept("}") {
			p.initializer(v, data)
			if !p.accept(",") {
				p.expect("}")
				return
			}
		}
		return
	}
	size := v.typ.bytes()
	o := p.operand()
	if o.kind == nameOperand && o.name == "generic" && p.accept("(") {
		o = p.operand()
		p.expect(")")
		if p.accept("+") {
			o.offset += p.integer()
		}
	}
	bits := o.bits
	switch {
	case o.kind == nameOperand:
		v.refs = append(v.refs, reference{o.pos, len(*data), o.name, o.offset})
	case o.kind == floatOperand:
		bits = floatBits(v.typ, o)
	case o.kind != numberOperand:
		fail(o.pos, "an initial value of %s that is neither a number nor a symbol", v.name)
	case v.typ == f32 || v.typ == f64:
		fail(o.pos, "the integer %d as a value of type %s", int64(o.bits), v.typ)
	}
	for i := range size {
		*data = append(*data, byte(bits>>(8*i)))
	}
}

// function reads an entry or a device function.
func (p *parser) function(entry bool) {
	f := &function{entry: entry}
	if !entry && p.accept("(") {
		f.results = p.parameters()
	}
	f.pos = p.pos()
	f.name = p.identifier()
	if p.accept("(") {
		f.params = p.parameters()
	}
	p.attributes(f)
	if p.accept(";") {
		if !slices.ContainsFunc(p.unit.functions, func(g *function) bool { return g.name == f.name }) {
			p.unit.functions = append(p.unit.functions, f)
		}
		return
	}
	p.expect("{")
	f.defined = true
	f.body = p.statements()
	f.end = p.pos()
	p.expect("}")
	for i, g := range p.unit.functions {
		if g.name == f.name {
			if g.defined {
				fail(f.pos, "%s is defined twice", f.name)
			}
			p.unit.functions[i] = f
			return
		}
	}
	p.unit.functions = append(p.unit.functions, f)
}

// parameters reads a list of parameters after its opening parenthesis.
func (p *parser) parameters() []*variable {
	var out []*variable
	for !p.accept(")") {
		pos := p.pos()
		switch word := p.next(); word {
		case ".param", ".reg":
			out = append(out, p.variable(paramSpace))
		default:
			fail(pos, "%q where a parameter is expected", word)
		}
		if !p.accept(",") {
			p.expect(")")
			break
		}
	}
	return out
}

// attributes reads the directives between a function's parameters and its body.
func (p *parser) attributes(f *function) {
	for {
		switch word := p.peek(); word {
		case ".maxntid", ".reqntid":
			p.at++
			f.threads = p.triple()
			f.exact = word == ".reqntid"
		case ".reqnctapercluster":
			p.at++
			p.triple()
		case ".minnctapersm", ".maxnctapersm", ".maxnreg", ".maxclusterrank":
			p.at++
			p.integer()
		case ".explicitcluster", ".noreturn", ".blocksareclusters":
			p.at++
		case ".pragma":
			p.at++
			p.next()
			p.accept(";")
		default:
			return
		}
	}
}

func (p *parser) triple() [3]int {
	out := [3]int{1, 1, 1}
	for i := range out {
		pos := p.pos()
		out[i] = int(p.integer())
		if out[i] < 1 {
			fail(pos, "a dimension of %d", out[i])
		}
		if !p.accept(",") {
			break
		}
	}
	return out
}
