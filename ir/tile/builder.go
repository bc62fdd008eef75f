package tile

import (
	"fmt"
	"regexp"
)

// Builder appends instructions to a kernel. Its methods panic on type misuse; Build turns that into an error.
type Builder struct {
	kernel *Kernel
	block  *Block
	consts map[constKey]*Value
	known  []map[addressKey]*Value // what addresses are made of in the blocks around this place, the innermost last
}

// addressKey identifies arithmetic of i64 and of pointers.
type addressKey struct {
	op   Op
	t    Type
	x, y *Value
}

type constKey struct {
	t   Type
	imm int64
	num uint64 // bits of the float64
}

// symbol matches names of kernels that LLVM IR and PTX take.
var symbol = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Build makes a kernel and verifies it. Errors name the kernel.
func Build(name string, f func(b *Builder)) (k *Kernel, err error) {
	b := &Builder{kernel: &Kernel{Name: name, Body: &Block{}}, consts: map[constKey]*Value{}, known: []map[addressKey]*Value{{}}}
	b.block = b.kernel.Body
	defer func() {
		if r := recover(); r != nil {
			if s, ok := r.(misuse); ok {
				k, err = nil, fmt.Errorf("kernel %s: %s", name, string(s))
				return
			}
			panic(r)
		}
	}()
	f(b)
	if err := Verify(b.kernel); err != nil {
		return nil, err
	}
	return b.kernel, nil
}

type misuse string

func fail(format string, args ...any) { panic(misuse(fmt.Sprintf(format, args...))) }

func (b *Builder) value(t Type, def *Inst) *Value {
	b.kernel.values++
	return &Value{ID: b.kernel.values - 1, Type: t, Def: def}
}

// append checks an instruction against the table of operations and adds it.
func (b *Builder) append(in *Inst) {
	if err := check(in); err != nil {
		fail("%v", err)
	}
	b.block.Insts = append(b.block.Insts, in)
}

func (b *Builder) inst(in *Inst, t Type) *Value {
	v := b.value(t, in)
	in.Out = []*Value{v}
	b.append(in)
	return v
}

func (b *Builder) emit(op Op, t Type, args ...*Value) *Value {
	return b.inst(&Inst{Op: op, Args: args}, t)
}

func (b *Builder) effect(op Op, args ...*Value) { b.append(&Inst{Op: op, Args: args}) }

// Ptr adds a pointer parameter.
func (b *Builder) Ptr(name string, e Elem) *Value { return b.param(name, pointerTo(e)) }

// Scalar adds an i64 parameter.
func (b *Builder) Scalar(name string) *Value { return b.param(name, Scalar(I64)) }

func (b *Builder) param(name string, t Type) *Value {
	if b.block != b.kernel.Body {
		fail("parameter %s declared inside a loop", name)
	}
	b.kernel.Params = append(b.kernel.Params, KernelParam{name, t})
	return b.inst(&Inst{Op: Param, Imm: int64(len(b.kernel.Params) - 1)}, t)
}

// Task returns the index of the work item.
func (b *Builder) Task() *Value { return b.emit(Task, Scalar(I64)) }

// Scratch returns n fresh float32 elements of the thread's scratch memory, 64-byte aligned. What they hold is
// undefined.
func (b *Builder) Scratch(n int) *Value {
	base := b.emit(Scratch, pointerTo(F32))
	off := b.kernel.ScratchBytes
	b.kernel.ScratchBytes += int64(n*4+63) / 64 * 64
	return b.PtrAdd(base, b.Int(off/4))
}

// For runs body for lo, lo+step, … below hi with carried values, and returns the last ones. The step is positive.
func (b *Builder) For(lo, hi, step *Value, carried []*Value, body func(i *Value, c []*Value) []*Value) []*Value {
	in := &Inst{Op: For, Args: append([]*Value{lo, hi, step}, carried...)}
	blk := &Block{Args: []*Value{b.value(Scalar(I64), nil)}}
	for _, c := range carried {
		blk.Args = append(blk.Args, b.value(c.Type, nil))
		in.Out = append(in.Out, b.value(c.Type, in))
	}
	b.fill(blk, func() []*Value { return body(blk.Args[0], blk.Args[1:]) })
	in.Blocks = []*Block{blk}
	if len(blk.Yield) != len(carried) {
		fail("a loop carries %d values and yields %d", len(carried), len(blk.Yield))
	}
	b.append(in)
	return in.Out
}

// Range runs body for lo, lo+step, … below hi, without carried values.
func (b *Builder) Range(lo, hi, step *Value, body func(i *Value)) {
	b.For(lo, hi, step, nil, func(i *Value, _ []*Value) []*Value { body(i); return nil })
}

// If runs one of two bodies; both give values of the same types. A missing one does nothing.
func (b *Builder) If(c *Value, then, otherwise func() []*Value) []*Value {
	in := &Inst{Op: If, Args: []*Value{c}, Blocks: []*Block{{}, {}}}
	b.fill(in.Blocks[0], then)
	b.fill(in.Blocks[1], otherwise)
	for _, y := range in.Blocks[0].Yield {
		in.Out = append(in.Out, b.value(y.Type, in))
	}
	b.append(in)
	return in.Out
}

// When runs body if c holds.
func (b *Builder) When(c *Value, body func()) {
	b.If(c, func() []*Value { body(); return nil }, nil)
}

// Either runs one of two bodies.
func (b *Builder) Either(c *Value, then, otherwise func()) {
	b.If(c, func() []*Value { then(); return nil }, func() []*Value { otherwise(); return nil })
}

// fill runs f with blk as the place where instructions go.
func (b *Builder) fill(blk *Block, f func() []*Value) {
	outer := b.block
	b.block, b.known = blk, append(b.known, map[addressKey]*Value{})
	if f != nil {
		blk.Yield = f()
	}
	b.block, b.known = outer, b.known[:len(b.known)-1]
}
