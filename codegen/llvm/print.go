package llvm

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/llir/llvm/ir"
	"github.com/llir/llvm/ir/constant"
	"github.com/llir/llvm/ir/types"
	"github.com/llir/llvm/ir/value"
)

// text is a module's text, byte for byte what llir's Module.String gives, in a fraction of its time. Instructions that it
// does not know, llir prints; flags of those that it knows must not be set.
func text(m *ir.Module) ([]byte, error) {
	const line = 64 // bytes of an instruction, about: the text is long, and should not be copied as it grows
	lines := 0
	for _, f := range m.Funcs {
		for _, b := range f.Blocks {
			lines += 2 + len(b.Insts)
		}
	}
	p := &printer{text: make([]byte, 0, line*lines), ints: map[int64]string{}, floats: map[float64]string{}, names: map[value.Value]string{}}
	for i, f := range m.Funcs {
		if i > 0 {
			p.text = append(p.text, '\n')
		}
		if len(f.Blocks) == 0 {
			p.add(f.LLString(), "\n")
			continue
		}
		if err := f.AssignIDs(); err != nil {
			return nil, fmt.Errorf("kernel %s: LLVM IR: %w", f.Name(), err)
		}
		p.function(f)
	}
	return p.text, nil
}

// printer appends to a text. What takes long to print, it prints once.
type printer struct {
	text   []byte
	ints   map[int64]string
	floats map[float64]string
	names  map[value.Value]string
}

func (p *printer) add(parts ...string) {
	for _, s := range parts {
		p.text = append(p.text, s...)
	}
}

func (p *printer) function(f *ir.Func) {
	head := ir.NewFunc(f.Name(), f.Sig.RetType, f.Params...)
	head.FuncAttrs = f.FuncAttrs
	p.add("define", strings.TrimPrefix(head.LLString(), "declare"), " {\n")
	for i, b := range f.Blocks {
		if i > 0 {
			p.add("\n")
		}
		p.add(b.Name(), ":\n")
		for _, in := range b.Insts {
			p.add("\t")
			p.instruction(in)
			p.add("\n")
		}
		p.add("\t")
		p.terminator(b.Term)
		p.add("\n")
	}
	p.add("}\n")
}

func (p *printer) terminator(t ir.Terminator) {
	switch t := t.(type) {
	case *ir.TermBr:
		p.add("br ")
		p.operand(t.Target)
	case *ir.TermCondBr:
		p.add("br ")
		p.operands(t.Cond, t.TargetTrue, t.TargetFalse)
	default:
		p.add(t.LLString())
	}
}

func (p *printer) instruction(in ir.Instruction) {
	switch in := in.(type) {
	case *ir.InstFAdd:
		p.binary(in, "fadd", in.X, in.Y)
	case *ir.InstAdd:
		p.binary(in, "add", in.X, in.Y)
	case *ir.InstFSub:
		p.binary(in, "fsub", in.X, in.Y)
	case *ir.InstSub:
		p.binary(in, "sub", in.X, in.Y)
	case *ir.InstFMul:
		p.binary(in, "fmul", in.X, in.Y)
	case *ir.InstFDiv:
		p.binary(in, "fdiv", in.X, in.Y)
	case *ir.InstSDiv:
		p.binary(in, "sdiv", in.X, in.Y)
	case *ir.InstSRem:
		p.binary(in, "srem", in.X, in.Y)
	case *ir.InstMul:
		p.binary(in, "mul", in.X, in.Y)
	case *ir.InstAnd:
		p.binary(in, "and", in.X, in.Y)
	case *ir.InstOr:
		p.binary(in, "or", in.X, in.Y)
	case *ir.InstXor:
		p.binary(in, "xor", in.X, in.Y)
	case *ir.InstShl:
		p.binary(in, "shl", in.X, in.Y)
	case *ir.InstLShr:
		p.binary(in, "lshr", in.X, in.Y)
	case *ir.InstAShr:
		p.binary(in, "ashr", in.X, in.Y)
	case *ir.InstICmp:
		p.binary(in, "icmp "+in.Pred.String(), in.X, in.Y)
	case *ir.InstFCmp:
		p.binary(in, "fcmp "+in.Pred.String(), in.X, in.Y)
	case *ir.InstBitCast:
		p.cast(in, "bitcast", in.From, in.To)
	case *ir.InstSExt:
		p.cast(in, "sext", in.From, in.To)
	case *ir.InstZExt:
		p.cast(in, "zext", in.From, in.To)
	case *ir.InstTrunc:
		p.cast(in, "trunc", in.From, in.To)
	case *ir.InstSIToFP:
		p.cast(in, "sitofp", in.From, in.To)
	case *ir.InstFPToSI:
		p.cast(in, "fptosi", in.From, in.To)
	case *ir.InstIntToPtr:
		p.cast(in, "inttoptr", in.From, in.To)
	case *ir.InstSelect:
		p.result(in, "select ")
		p.operands(in.Cond, in.ValueTrue, in.ValueFalse)
	case *ir.InstExtractElement:
		p.result(in, "extractelement ")
		p.operands(in.X, in.Index)
	case *ir.InstInsertElement:
		p.result(in, "insertelement ")
		p.operands(in.X, in.Elem, in.Index)
	case *ir.InstShuffleVector:
		p.result(in, "shufflevector ")
		p.operands(in.X, in.Y, in.Mask)
	case *ir.InstGetElementPtr:
		p.result(in, "getelementptr ")
		p.typ(in.ElemType)
		p.add(", ")
		p.operand(in.Src)
		for _, index := range in.Indices {
			p.add(", ")
			p.operand(index)
		}
	case *ir.InstLoad:
		p.result(in, "load ")
		p.typ(in.ElemType)
		p.add(", ")
		p.operand(in.Src)
		p.align(in.Align)
	case *ir.InstStore:
		p.add("store ")
		p.operands(in.Src, in.Dst)
		p.align(in.Align)
	case *ir.InstPhi:
		p.result(in, "phi ")
		p.typ(in.Typ)
		for i, inc := range in.Incs {
			p.add([]string{" [ ", ", [ "}[min(i, 1)])
			p.ident(inc.X)
			p.add(", ")
			p.ident(inc.Pred)
			p.add(" ]")
		}
	case *ir.InstCall:
		if in.Type().Equal(types.Void) {
			p.add("call ")
		} else {
			p.result(in, "call ")
		}
		p.typ(in.Type())
		p.add(" ", p.name(in.Callee), "(")
		p.operands(in.Args...)
		p.add(")")
	default:
		p.add(in.LLString())
	}
}

// result begins an instruction that has one.
func (p *printer) result(in value.Value, op string) {
	p.ident(in)
	p.add(" = ", op)
}

func (p *printer) binary(in value.Value, op string, x, y value.Value) {
	p.result(in, op)
	p.add(" ")
	p.operand(x)
	p.add(", ")
	p.ident(y)
}

func (p *printer) cast(in value.Value, op string, from value.Value, to types.Type) {
	p.result(in, op)
	p.add(" ")
	p.operand(from)
	p.add(" to ")
	p.typ(to)
}

func (p *printer) align(a ir.Align) {
	if a != 0 {
		p.add(", align ")
		p.text = strconv.AppendUint(p.text, uint64(a), 10)
	}
}

func (p *printer) operands(vs ...value.Value) {
	for i, v := range vs {
		if i > 0 {
			p.add(", ")
		}
		p.operand(v)
	}
}

func (p *printer) operand(v value.Value) {
	p.typ(v.Type())
	p.add(" ")
	p.ident(v)
}

func (p *printer) typ(t types.Type) {
	switch t := t.(type) {
	case *types.IntType:
		p.add("i")
		p.text = strconv.AppendUint(p.text, t.BitSize, 10)
	case *types.PointerType:
		p.typ(t.ElemType)
		p.add("*")
	case *types.VectorType:
		p.add("<")
		p.text = strconv.AppendUint(p.text, t.Len, 10)
		p.add(" x ")
		p.typ(t.ElemType)
		p.add(">")
	default:
		p.add(t.String())
	}
}

func (p *printer) ident(v value.Value) {
	switch v := v.(type) {
	case *constant.Int:
		p.integer(v)
	case *constant.Float:
		p.float(v)
	case *constant.Vector:
		p.vector(v)
	case interface {
		IsUnnamed() bool
		ID() int64
	}:
		if v.IsUnnamed() {
			p.add("%")
			p.text = strconv.AppendInt(p.text, v.ID(), 10)
			return
		}
		p.add(p.name(v.(value.Value)))
	default:
		p.add(v.Ident())
	}
}

// name is the text of a value that has a name: a block, a parameter or a function.
func (p *printer) name(v value.Value) string {
	name, ok := p.names[v]
	if !ok {
		name = v.Ident()
		p.names[v] = name
	}
	return name
}

func (p *printer) integer(c *constant.Int) {
	if c.Typ.BitSize == 1 || !c.X.IsInt64() {
		p.add(c.Ident())
		return
	}
	n := c.X.Int64()
	if n < 0x1000 { // llir may print larger ones in hexadecimal
		p.text = strconv.AppendInt(p.text, n, 10)
		return
	}
	if p.ints[n] == "" {
		p.ints[n] = c.Ident()
	}
	p.add(p.ints[n])
}

func (p *printer) float(c *constant.Float) {
	x, _ := c.X.Float64()
	if c.NaN || c.Typ != types.Float || x == 0 && math.Signbit(x) {
		p.add(c.Ident())
		return
	}
	if p.floats[x] == "" {
		p.floats[x] = c.Ident()
	}
	p.add(p.floats[x])
}

// vector copies the text of an element that is equal to the one before it.
func (p *printer) vector(c *constant.Vector) {
	p.add("<")
	var last [2]int
	for i, e := range c.Elems {
		if i > 0 {
			p.add(", ")
		}
		start := len(p.text)
		if i > 0 && e == c.Elems[i-1] {
			p.text = append(p.text, p.text[last[0]:last[1]]...)
		} else {
			p.operand(e)
		}
		last = [2]int{start, len(p.text)}
	}
	p.add(">")
}
