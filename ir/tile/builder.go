package tile

import (
	"fmt"
	"regexp"
	"slices"
)

// Builder appends instructions to a kernel. Its methods panic on type misuse; Build turns that into an error.
type Builder struct {
	kernel *Kernel
	block  *Block
	consts map[constKey]*Value
	known  []map[addressKey]*Value // what addresses are made of in the blocks around this place, the innermost last
	kept   bool                    // control flow that is known stays
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
	b.dropConstants()
	if err := Verify(b.kernel); err != nil {
		return nil, err
	}
	return b.kernel, nil
}

// dropConstants removes constants that were needed while the kernel was built only.
func (b *Builder) dropConstants() {
	used := map[*Value]bool{}
	var in func(blk *Block)
	note := func(vs []*Value) {
		for _, v := range vs {
			if v.isConst() {
				used[v] = true
			}
		}
	}
	in = func(blk *Block) {
		note(blk.Yield)
		for _, i := range blk.Insts {
			note(i.Args)
			for _, inner := range i.Blocks {
				in(inner)
			}
		}
	}
	in(b.kernel.Body)
	b.kernel.Body.Insts = slices.DeleteFunc(b.kernel.Body.Insts, func(i *Inst) bool { return i.Op == Const && !used[i.Out[0]] })
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

// For runs body for lo, lo+step, … below hi with carried values, and returns the last ones. The step is positive. What is
// known to run once or never is no loop.
func (b *Builder) For(lo, hi, step *Value, carried []*Value, body func(i *Value, c []*Value) []*Value) []*Value {
	if runs, ok := turns(lo, hi, step); ok && runs == 0 && !b.kept {
		return carried
	} else if ok && runs == 1 && !b.kept {
		last := body(lo, carried)
		carries(len(carried), last)
		return last
	}
	in := &Inst{Op: For, Args: append([]*Value{lo, hi, step}, carried...)}
	blk := &Block{Args: []*Value{b.value(Scalar(I64), nil)}}
	for _, c := range carried {
		blk.Args = append(blk.Args, b.value(c.Type, nil))
		in.Out = append(in.Out, b.value(c.Type, in))
	}
	b.fill(blk, func() []*Value { return body(blk.Args[0], blk.Args[1:]) })
	in.Blocks = []*Block{blk}
	carries(len(carried), blk.Yield)
	b.append(in)
	return in.Out
}

// carries checks that the body of a loop yields as many values as the loop carries.
func carries(n int, yield []*Value) {
	if len(yield) != n {
		fail("a loop carries %d values and yields %d", n, len(yield))
	}
}

// turns counts how often a loop between constants runs, of which more than two count as two.
func turns(lo, hi, step *Value) (n int, ok bool) {
	from, ok0 := ConstInt(lo)
	to, ok1 := ConstInt(hi)
	by, ok2 := ConstInt(step)
	switch {
	case !ok0 || !ok1 || lo.Type != Scalar(I64) || hi.Type != lo.Type || ok2 && by <= 0:
		return 0, false
	case from >= to:
		return 0, true
	case !ok2:
		return 0, false
	case by >= to-from:
		return 1, true
	}
	return 2, true
}

// KeepControl makes loops and branches stay, those that are known to run once, too: a backend moves nothing out of a loop, and
// what runs while Flush is on must be in one. It comes before all of them.
func (b *Builder) KeepControl() { b.kept = true }

// Range runs body for lo, lo+step, … below hi, without carried values.
func (b *Builder) Range(lo, hi, step *Value, body func(i *Value)) {
	b.For(lo, hi, step, nil, func(i *Value, _ []*Value) []*Value { body(i); return nil })
}

// If runs one of two bodies; both give values of the same types. A missing one does nothing. There is no code for one that
// is known not to run.
func (b *Builder) If(c *Value, then, otherwise func() []*Value) []*Value {
	if holds, ok := ConstInt(c); ok && c.Type == Scalar(I1) && !b.kept {
		body := then
		if holds == 0 {
			body = otherwise
		}
		if body == nil {
			return nil
		}
		return body()
	}
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
