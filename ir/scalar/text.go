package scalar

import (
	"fmt"
	"strconv"
	"strings"
)

// String prints e as nested calls, operands as $0, $1, …. A call that occurs again is named where it first stands, as
// in mul(&0=exp($0), &0), so the text is no longer than e has different parts, and tells e apart from any other
// expression over operands of the same types.
func (e *Expr) String() string {
	p := &printer{node: map[*Expr]int{}, same: map[string]int{}}
	root := p.intern(e)
	p.write(root)
	return p.out.String()
}

// printer numbers the different parts of an expression and prints each once.
type printer struct {
	node  map[*Expr]int
	same  map[string]int // by head and the numbers of the arguments
	parts []part
	names int
	out   strings.Builder
}

type part struct {
	head string // the operation, or the whole text of a leaf
	args []int
	uses int
	name int // plus one, once it is printed
}

func (p *printer) intern(e *Expr) int {
	if n, ok := p.node[e]; ok {
		return n
	}
	q := part{head: head(e), args: make([]int, len(e.Args))}
	for i, a := range e.Args {
		q.args[i] = p.intern(a)
	}
	key := fmt.Sprint(q.head, q.args)
	n, ok := p.same[key]
	if !ok {
		n = len(p.parts)
		p.same[key] = n
		p.parts = append(p.parts, q)
		for _, a := range q.args {
			p.parts[a].uses++
		}
	}
	p.node[e] = n
	return n
}

func head(e *Expr) string {
	switch e.Op {
	case Arg:
		return "$" + strconv.Itoa(e.Index)
	case Const:
		switch e.Type {
		case Bool:
			return strconv.FormatBool(e.Val != 0)
		case I32:
			return strconv.FormatInt(int64(e.Val), 10)
		}
		text := strconv.FormatFloat(e.Val, 'g', -1, 64)
		if !strings.ContainsAny(text, ".eIN") { // not Inf or NaN, which tell their type
			text += ".0"
		}
		return text
	}
	return e.Op.String()
}

func (p *printer) write(n int) {
	q := &p.parts[n]
	switch {
	case len(q.args) == 0:
		p.out.WriteString(q.head)
		return
	case q.name > 0:
		p.out.WriteString("&" + strconv.Itoa(q.name-1))
		return
	case q.uses > 1:
		p.out.WriteString("&" + strconv.Itoa(p.names) + "=")
		p.names++
		q.name = p.names
	}
	p.out.WriteString(q.head)
	for i, a := range q.args {
		if i == 0 {
			p.out.WriteByte('(')
		} else {
			p.out.WriteString(", ")
		}
		p.write(a)
	}
	p.out.WriteByte(')')
}
