// Package tile is the kernel IR: what a kernel does to fixed-size fragments of memory, in SSA form with structured
// control flow.
//
// Kernel templates (codegen/kernels) build it; backends (codegen/llvm) emit it; Run interprets it, as the oracle of
// both. A fragment is a scalar or a short vector in a register; loads and stores name their element type, alignment and
// tail. Accumulators are values carried by loops, never memory.
//
// Every kernel has the native signature void(i64 *args, i64 task, i8 *scratch): args holds one pointer or integer per
// parameter, task is the index of the work item, and scratch is memory of the calling thread.
//
// The package imports ir/scalar and nothing else of the project.
package tile

import "fmt"

// Elem is the type of one lane.
type Elem uint8

// The element types. BF16 and F16 exist in memory only: loads and stores convert them from and to F32.
const (
	I1 Elem = iota
	I8
	I32
	I64
	F32
	BF16
	F16
	numElems
)

var elemNames = [numElems]string{"i1", "i8", "i32", "i64", "f32", "bf16", "f16"}
var elemBytes = [numElems]int{1, 1, 4, 8, 4, 2, 2}

// String returns the name of e, such as f32.
func (e Elem) String() string { return elemNames[e] }

// Bytes returns the size of e in memory.
func (e Elem) Bytes() int { return elemBytes[e] }

// Register returns the element type that a load of e yields: F32 for the 16-bit floats.
func (e Elem) Register() Elem {
	if e == BF16 || e == F16 {
		return F32
	}
	return e
}

// Type is the type of a fragment: Lanes elements; a pointer to elements if Ptr.
type Type struct {
	Elem  Elem
	Lanes int
	Ptr   bool
}

// Scalar returns the one-lane type of e.
func Scalar(e Elem) Type { return Type{Elem: e, Lanes: 1} }

// Vec returns the vector type of lanes elements e.
func Vec(e Elem, lanes int) Type { return Type{Elem: e, Lanes: lanes} }

// String prints t as in f32, f32x8 or *bf16.
func (t Type) String() string {
	switch {
	case t.Ptr:
		return "*" + t.Elem.String()
	case t.Lanes == 1:
		return t.Elem.String()
	}
	return fmt.Sprintf("%sx%d", t.Elem, t.Lanes)
}

// IsFloat reports whether t is a float fragment.
func (t Type) IsFloat() bool { return !t.Ptr && t.Elem == F32 }

// Op is the operation of an instruction.
type Op uint8

// The operations. Operands are fragments of one type unless said.
const (
	Param     Op = iota // parameter Imm of the kernel
	Task                // index of the work item, i64
	Scratch             // the thread's scratch memory as *f32
	Const               // Imm for integers, Num for floats, splat to all lanes
	Add                 // arithmetic, integer or float by type; integers wrap
	Sub                 //
	Mul                 //
	Div                 // integer division truncates
	Rem                 // integers
	Min                 // floats: the second operand if either is NaN
	Max                 //
	FMA                 // x*y + z rounded once, floats
	Neg                 // floats
	Abs                 // floats
	Sqrt                // floats
	Floor               // floats
	Rint                // floats, ties to even
	And                 // integers and i1
	Or                  //
	Xor                 //
	Shl                 // integers
	LT                  // comparisons give i1 lanes; ordered for floats, signed for integers
	LE                  //
	EQ                  //
	Select              // i1 lanes, x, y
	IToF                // i32 to f32
	FToI                // f32 to i32, truncating
	BitF                // i32 reinterpreted as f32
	BitI                // f32 reinterpreted as i32
	Widen               // i32 to i64
	Narrow              // i64 to i32
	Splat               // scalar to Lanes lanes
	Lane                // lane Imm of a vector
	Iota                // 0, 1, 2, … (i32)
	ReduceAdd           // lanes added by halves: (x[0..n/2) + x[n/2..n)) until one is left
	ReduceMax           // likewise the greatest
	PtrAdd              // pointer, i64 elements
	PtrCast             // pointer to another element type
	Load                // pointer, i64 offset in elements
	LoadTail            // pointer, offset, i64 count: lanes from count on are zero and their memory is not touched
	Store               // pointer, offset, value
	StoreTail           // pointer, offset, value, count
	Prefetch            // pointer, offset
	For                 // lo, hi, step (i64), carried…; body of (index, carried…) yields the carried values
	If                  // i1, then and else blocks that yield values of the same types
	numOps
)

var opNames = [numOps]string{"param", "task", "scratch", "const", "add", "sub", "mul", "div", "rem", "min", "max", "fma",
	"neg", "abs", "sqrt", "floor", "rint", "and", "or", "xor", "shl", "lt", "le", "eq", "select", "itof", "ftoi", "bitf",
	"biti", "widen", "narrow", "splat", "lane", "iota", "reduce_add", "reduce_max", "ptr_add", "ptr_cast", "load",
	"load_tail", "store", "store_tail", "prefetch", "for", "if"}

// String returns the name of the operation.
func (op Op) String() string { return opNames[op] }

// Value is an SSA value: the result of an instruction or an argument of a block.
type Value struct {
	ID   int
	Type Type
	Def  *Inst // nil for block arguments
}

// Inst is an instruction.
type Inst struct {
	Op     Op
	Args   []*Value
	Out    []*Value // one for most; none for stores; the carried values of For and If
	Imm    int64
	Num    float64
	Blocks []*Block // the body of For; then and else of If
}

// Block is a straight list of instructions with arguments and the values it yields.
type Block struct {
	Args  []*Value
	Insts []*Inst
	Yield []*Value
}

// KernelParam is a parameter: a pointer to elements, or an i64 if not Ptr.
type KernelParam struct {
	Name string
	Type Type
}

// Kernel is one kernel.
type Kernel struct {
	Name         string
	Params       []KernelParam
	Body         *Block
	ScratchBytes int64 // per thread
	values       int
}
