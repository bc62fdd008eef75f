package ptx

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"pgc/ir/tile"
)

// class is a kind of register.
type class int

const (
	pred  class = iota
	half        // 16 bits
	word        // 32 bits, integer
	long        // 64 bits, integer
	float       // f32
	numClasses
)

// classes are the types that registers are declared with and the prefixes of their names.
var classes = [numClasses]struct{ typ, prefix string }{{"pred", "%p"}, {"b16", "%h"}, {"b32", "%r"}, {"b64", "%d"}, {"f32", "%f"}}

// sharedName is the block's shared memory.
const sharedName = "shared_memory"

// asm collects the instructions of an entry. Operands are text: registers, immediates, addresses in brackets.
type asm struct {
	text   strings.Builder
	used   [numClasses]int
	labels int
	// directives are lines about how the entry is compiled.
	directives string
}

// reg returns a fresh register.
func (a *asm) reg(c class) string {
	a.used[c]++
	return classes[c].prefix + strconv.Itoa(a.used[c]-1)
}

// regs returns n fresh registers.
func (a *asm) regs(c class, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = a.reg(c)
	}
	return out
}

// do appends an instruction.
func (a *asm) do(op string, operands ...string) {
	a.text.WriteString("\t" + op)
	if len(operands) > 0 {
		a.text.WriteString(" " + strings.Join(operands, ", "))
	}
	a.text.WriteString(";\n")
}

// to appends an instruction whose first operand is a fresh register, and returns that.
func (a *asm) to(c class, op string, operands ...string) string {
	d := a.reg(c)
	a.do(op, append([]string{d}, operands...)...)
	return d
}

// onlyIf appends an instruction that runs in threads where the predicate holds.
func (a *asm) onlyIf(p, op string, operands ...string) { a.do("@"+p+" "+op, operands...) }

// note appends a comment.
func (a *asm) note(text string) { a.text.WriteString("\n\t// " + text + "\n") }

// label returns a fresh label; place puts it here.
func (a *asm) label(what string) string {
	a.labels++
	return "$" + what + strconv.Itoa(a.labels-1)
}

func (a *asm) place(label string) { a.text.WriteString(label + ":\n") }

// repeat runs body for first, first+step, … below limit.
func (a *asm) repeat(first string, limit, step int64, body func(i string)) {
	i := a.to(word, "mov.b32", first)
	loop, end := a.label("repeat"), a.label("end")
	a.place(loop)
	a.onlyIf(a.to(pred, "setp.ge.s32", i, num(limit)), "bra", end)
	body(i)
	a.do("add.s32", i, i, num(step))
	a.do("bra", loop)
	a.place(end)
}

// vector is operands in braces.
func vector(operands ...string) string { return "{" + strings.Join(operands, ", ") + "}" }

// at is an address: a register and a constant.
func at(register string, offset int64) string {
	if offset == 0 {
		return "[" + register + "]"
	}
	return fmt.Sprintf("[%s+%d]", register, offset)
}

func num(v int64) string { return strconv.FormatInt(v, 10) }

// floatNum is an f32 immediate.
func floatNum(v float64) string { return fmt.Sprintf("0f%08X", math.Float32bits(float32(v))) }

// classOf is where a value of the type lives.
func classOf(t tile.Type) class {
	switch {
	case t.Ptr || t.Elem == tile.I64:
		return long
	case t.Elem == tile.I1:
		return pred
	case t.Elem == tile.F32:
		return float
	}
	return word
}

// suffix is the arithmetic type of a fragment.
func suffix(t tile.Type) string {
	return [numClasses]string{"pred", "b16", "s32", "s64", "f32"}[classOf(t)]
}
