package text

import (
	"strconv"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"

	"pgc/ir"
)

// end is the end of the text.
type end struct{}

// Parse succeeds at the end of the text.
func (*end) Parse(lex *lexer.PeekingLexer) error {
	c := &cursor{lex: lex}
	switch t := lex.Peek(); {
	case t.EOF():
	case t.Value == "symbol":
		c.err = participle.Errorf(t.Pos, "symbols are declared before the functions")
	case t.Value == "func":
		lex.Next()
		c.next(tokenFunc, "the name of the function, such as @f")
		if c.err == nil {
			c.expect("(", " and the parameters of the function")
		}
	default:
		c.fail("symbol, func or the end of the text")
	}
	return c.err
}

// symbols is the list of declarations a module begins with.
type symbols struct{ list []symbol }

// symbol declares a run-time number: symbol S <= 1024.
type symbol struct{ name, bound lexer.Token }

// Parse reads declarations until something else begins.
func (s *symbols) Parse(lex *lexer.PeekingLexer) error {
	c := &cursor{lex: lex}
	for t := lex.Peek(); c.err == nil && t.Type == tokenIdent && t.Value == "symbol"; t = lex.Peek() {
		lex.Next()
		name := c.next(tokenIdent, "the name of a symbol")
		c.expect("<=", " and the bound of the symbol")
		s.list = append(s.list, symbol{name, c.next(tokenNumber, "the bound of the symbol, an integer")})
	}
	return c.err
}

// parameters is the list of a function's parameters with the bracket that closes it.
type parameters struct{ list []*parameter }

// parameter is %w: weight "embed.weight" bf16[257216,2048].
type parameter struct {
	name, kind lexer.Token
	key        string
	typ        typ
}

// results is the list of a function's results with the bracket that closes the function.
type results struct{ list []*result }

// result is logits=%9 : f32[S,100], or update %k0=%12.
type result struct {
	name, state, value lexer.Token // name or state
	typ                *typ        // or nil
}

// typ is a type: f32[S,2048].
type typ struct {
	pos   lexer.Position
	dtype string
	shape []lexer.Token // numbers and symbols
}

// operations is the body of a function up to its return.
type operations struct{ list []*operation }

// operation is one line: %2 = slice %1 {axis=0, start=0, limit=S} : f32[S,8]. One of several results has a list of
// names and of types.
type operation struct {
	out   []lexer.Token
	name  lexer.Token
	in    []lexer.Token
	attrs []attribute
	types []typ
}

// attribute is name=value.
type attribute struct {
	name  lexer.Token
	value *expression
}

// expression is an attribute's value: 1.5, "ab,bc->ac", $0, S, [0, 1], mul($0, @1), &0=exp($0) or &0. Its kind is that
// of its first token.
type expression struct {
	token lexer.Token
	str   string        // of a string, unquoted
	call  bool          // an identifier with arguments
	items []*expression // arguments, elements of a list, or what &0 names
}

// cursor reads tokens and remembers the first error.
type cursor struct {
	lex   *lexer.PeekingLexer
	err   error
	depth int // of &0=&1=…, which no brackets bound
}

// fail notes that the next token is not what was expected.
func (c *cursor) fail(want string) {
	if c.err == nil {
		t := c.lex.Peek()
		c.err = participle.Errorf(t.Pos, "unexpected %s, expected %s", describe(*t), want)
	}
}

// next consumes a token of the given kind; want describes it.
func (c *cursor) next(kind lexer.TokenType, want string) lexer.Token {
	if c.err != nil {
		return lexer.Token{}
	}
	if c.lex.Peek().Type != kind {
		c.fail(want)
		return lexer.Token{}
	}
	return *c.lex.Next()
}

// at reports whether the next token is the given punctuation.
func (c *cursor) at(punct string) bool {
	t := c.lex.Peek()
	return c.err == nil && t.Type == tokenPunct && t.Value == punct
}

// accept consumes the given punctuation if it is next.
func (c *cursor) accept(punct string) bool {
	if c.at(punct) {
		c.lex.Next()
		return true
	}
	return false
}

// expect consumes the given punctuation; after says what may come instead, for the message.
func (c *cursor) expect(punct, after string) {
	if !c.accept(punct) {
		c.fail(strconv.Quote(punct) + after)
	}
}

// list reads items separated by commas up to the closing bracket.
func (c *cursor) list(closing string, item func()) {
	for !c.accept(closing) && c.err == nil {
		item()
		if !c.at(closing) {
			c.expect(",", " or "+strconv.Quote(closing))
			if c.at(closing) {
				c.fail("another item after the comma")
			}
		}
	}
}

// Parse reads parameters up to the closing bracket.
func (p *parameters) Parse(lex *lexer.PeekingLexer) error {
	c := &cursor{lex: lex}
	c.list(")", func() {
		q := &parameter{name: c.next(tokenValue, "a parameter such as %x: input f32[8]")}
		c.expect(":", "")
		q.kind = c.next(tokenIdent, "input, weight, state or slots")
		if c.err == nil && paramKinds[q.kind.Value] == ir.NotParam {
			c.err = participle.Errorf(q.kind.Pos, "unexpected %s, expected input, weight, state or slots", describe(q.kind))
		}
		if c.err == nil && q.kind.Value == "weight" {
			q.key = c.next(tokenString, "the name of the tensor in quotes").Value
		}
		c.typ(&q.typ)
		p.list = append(p.list, q)
	})
	return c.err
}

var paramKinds = map[string]ir.ParamKind{"input": ir.Input, "weight": ir.Weight, "state": ir.State, "slots": ir.State}

// Parse reads results up to the end of the function.
func (r *results) Parse(lex *lexer.PeekingLexer) error {
	c := &cursor{lex: lex}
	c.list("}", func() {
		q := &result{name: c.next(tokenIdent, "a named result such as y=%0 : f32[8], or update %k=%0")}
		if q.name.Value == "update" {
			q.name, q.state = lexer.Token{}, c.next(tokenValue, "the state to update")
		}
		c.expect("=", "")
		q.value = c.next(tokenValue, "a value")
		if c.accept(":") {
			q.typ = &typ{}
			c.typ(q.typ)
		}
		r.list = append(r.list, q)
	})
	return c.err
}

func (c *cursor) typ(t *typ) {
	t.pos = c.lex.Peek().Pos
	t.dtype = c.next(tokenIdent, "a type such as f32[S,8]").Value
	c.expect("[", " and the shape of the type")
	c.list("]", func() {
		if d := c.lex.Peek(); d.Type == tokenNumber || d.Type == tokenIdent {
			t.shape = append(t.shape, *c.lex.Next())
		} else {
			c.fail("a dimension: a number or a symbol")
		}
	})
}

// Parse reads operations until something else than one begins.
func (o *operations) Parse(lex *lexer.PeekingLexer) error {
	c := &cursor{lex: lex}
	for c.err == nil && lex.Peek().Type == tokenValue {
		op := &operation{}
		c.operation(op)
		o.list = append(o.list, op)
	}
	if t := lex.Peek(); c.err == nil && (t.Type != tokenIdent || t.Value != "return") {
		c.fail("an operation such as %0 = neg %x : f32[8], or return")
	}
	return c.err
}

func (c *cursor) operation(op *operation) {
	op.out = []lexer.Token{c.next(tokenValue, "a value")}
	for c.accept(",") {
		op.out = append(op.out, c.next(tokenValue, "another result after the comma"))
	}
	c.expect("=", "")
	op.name = c.next(tokenIdent, "the name of an operation")
	if c.at("(") {
		c.fail("operands without brackets, such as %0 = neg %x : f32[8]")
	}
	for c.lex.Peek().Type == tokenValue && c.err == nil {
		op.in = append(op.in, *c.lex.Next())
		if !c.accept(",") {
			break
		}
		switch c.lex.Peek().Type {
		case tokenValue:
		case tokenNumber:
			c.fail("a value as operand: a number is one by %c = constant {dtype=f32, shape=[], values=[1]} : f32[]")
		default:
			c.fail("another operand after the comma")
		}
	}
	if c.accept("{") {
		c.list("}", func() {
			name := c.next(tokenIdent, "the name of an attribute")
			c.expect("=", "")
			op.attrs = append(op.attrs, attribute{name, c.expression()})
		})
	}
	c.expect(":", " and the type of the result")
	for range op.out {
		if len(op.types) > 0 {
			c.expect(",", " and the type of the next result")
		}
		op.types = append(op.types, typ{})
		c.typ(&op.types[len(op.types)-1])
	}
}

func (c *cursor) expression() *expression {
	e := &expression{token: *c.lex.Peek()}
	switch e.token.Type {
	case tokenNumber:
		c.lex.Next()
	case tokenRef:
		c.lex.Next()
		if e.token.Value[0] == '&' && c.accept("=") {
			if c.depth++; c.depth > maxDepth {
				c.fail("less nesting")
			}
			e.items = []*expression{c.expression()}
			c.depth--
		}
	case tokenString:
		e.str = c.lex.Next().Value // participle has unquoted it
	case tokenIdent:
		c.lex.Next()
		if e.call = c.accept("("); e.call {
			c.list(")", func() { e.items = append(e.items, c.expression()) })
		}
	default:
		if c.accept("[") {
			c.list("]", func() { e.items = append(e.items, c.expression()) })
			return e
		}
		c.fail("the value of an attribute")
	}
	return e
}
