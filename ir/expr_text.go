package ir

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
)

// String returns the canonical text of e. It prints equal calls once, whether or not they are one node, so that equal
// expressions have equal text, whose length is proportional to the number of distinct subexpressions.
func (e *Expr) String() string {
	p := &exprPrinter{node: map[*Expr]int{}, same: map[string]int{}}
	root := p.intern(e)
	p.write(root)
	return p.out.String()
}

// exprPrinter numbers the distinct subexpressions of an expression and prints each once.
type exprPrinter struct {
	node  map[*Expr]int  // number of a node
	same  map[string]int // number of a part by its structure
	parts []exprPart
	names int
	out   strings.Builder
}

type exprPart struct {
	expr *Expr
	args []int // parts
	uses int   // by other parts
	name int   // plus one, once it is printed
}

// intern returns the number of the subexpression e.
func (p *exprPrinter) intern(e *Expr) int {
	if n, ok := p.node[e]; ok {
		return n
	}
	key := []byte{byte(e.Kind), byte(e.DType)}
	key = binary.AppendVarint(key, int64(e.Index))
	key = binary.AppendUvarint(key, math.Float64bits(e.Val))
	args := make([]int, len(e.Args))
	for i, a := range e.Args {
		args[i] = p.intern(a)
		key = binary.AppendUvarint(key, uint64(args[i]))
	}
	if e.Kind == ExprCall {
		key = append(key, e.Def.Name...)
	}
	n, ok := p.same[string(key)]
	if !ok {
		n = len(p.parts)
		p.same[string(key)] = n
		p.parts = append(p.parts, exprPart{expr: e, args: args})
		for _, a := range args {
			p.parts[a].uses++
		}
	}
	p.node[e] = n
	return n
}

func (p *exprPrinter) write(n int) {
	part := &p.parts[n]
	e := part.expr
	switch {
	case e.Kind == ExprOperand || e.Kind == ExprReduce || e.Kind == ExprAcc:
		p.out.WriteByte("$#@"[e.Kind])
		p.out.WriteString(strconv.Itoa(e.Index))
		return
	case e.Kind == ExprConst:
		p.out.WriteString(formatConst(e.DType, e.Val))
		return
	case part.name > 0:
		p.out.WriteString("&" + strconv.Itoa(part.name-1))
		return
	case part.uses > 1:
		p.out.WriteString("&" + strconv.Itoa(p.names) + "=")
		p.names++
		part.name = p.names
	}
	if e.Kind == ExprCall {
		p.out.WriteString(e.Def.Name)
	} else {
		p.out.WriteString(e.DType.String())
	}
	for i, a := range part.args {
		p.out.WriteString([]string{", ", "("}[btoi(i == 0)])
		p.write(a)
	}
	p.out.WriteByte(')')
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// formatConst prints a constant so that its text tells its type.
func formatConst(d DType, v float64) string {
	switch d {
	case Bool:
		return strconv.FormatBool(v != 0)
	case I32:
		return strconv.FormatInt(int64(v), 10)
	}
	s := formatFloat(v)
	if strings.ContainsAny(s, ".einf") { // "inf", "nan" and exponents already tell
		return s
	}
	return s + ".0"
}

// formatFloat prints the shortest text that reads back as v; infinities and NaN are inf, -inf and nan.
func formatFloat(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "inf"
	case math.IsInf(v, -1):
		return "-inf"
	case math.IsNaN(v):
		return "nan"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
