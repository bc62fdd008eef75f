// Package tile is the kernel IR: what a kernel does to fixed-size fragments of memory, in SSA form with structured
// control flow.
//
// Kernel templates (codegen/kernels) build it; backends (codegen/llvm, codegen/ptx) emit it; Run interprets it, as their
// oracle. A fragment is a scalar or a short vector in a register; loads and stores name their element type, alignment and
// tail. Accumulators are values carried by loops, never memory.
//
// Every kernel has the native signature void(i64 *args, i64 task, i8 *scratch): args holds one pointer or integer per
// parameter, task is the index of the work item, and scratch is memory of the calling thread.
//
// An operation is one row of a table (ops.go): its name, the types it takes and what it computes on a lane. Builder,
// Verify, Print and Run derive from it; a backend adds one emission per row.
package tile

import "fmt"

// Elem is the type of one lane.
type Elem uint8

// The element types. Integers are signed. BF16 and F16 exist in memory only: loads and stores convert them to and from
// F32.
const (
	I1 Elem = iota
	I8
	I16
	I32
	I64
	F32
	BF16
	F16
	numElems
)

var elemNames = [numElems]string{"i1", "i8", "i16", "i32", "i64", "f32", "bf16", "f16"}
var elemBytes = [numElems]int{1, 1, 2, 4, 8, 4, 2, 2}

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

// MaxLanes bounds the lanes of a fragment.
const MaxLanes = 128

// valid reports whether values of type t exist: 16-bit floats are never in registers, lanes are a power of two.
func (t Type) valid() bool {
	if t.Ptr {
		return t.Elem < numElems && t.Elem != I1 && t.Lanes == 1
	}
	return t.Elem < numElems && t.Elem.Register() == t.Elem && t.Lanes > 0 && t.Lanes <= MaxLanes && t.Lanes&(t.Lanes-1) == 0
}

// Value is an SSA value: the result of an instruction or an argument of a block.
type Value struct {
	ID   int
	Type Type
	Def  *Inst // nil for block arguments
}

func (v *Value) isConst() bool { return v.Def != nil && v.Def.Op == Const }

// Inst is an instruction.
type Inst struct {
	Op     Op
	Args   []*Value
	Out    []*Value  // one for most; none for stores; the carried values of For and If
	Imm    int64     // of Const, Param, Lane, Prefetch, Flush
	Num    float64   // of Const, floats
	Mask   []int     // of Shuffle
	Tiles  []int     // of tile operations: numbers of tile registers
	Table  []float32 // of Lookup, as long as a power of two
	Fold   Op        // of Reduce: the operation that joins two halves
	Blocks []*Block  // the body of For; then and else of If
}

// Half is the step of a Reduce that joins two halves of n lanes.
func (in *Inst) Half(n int) *Inst {
	v := &Value{Type: Vec(in.Args[0].Type.Elem, n)}
	return &Inst{Op: in.Fold, Args: []*Value{v, v}, Out: []*Value{v}}
}

// Block is a straight list of instructions with arguments and the values it yields.
type Block struct {
	Args  []*Value
	Insts []*Inst
	Yield []*Value
}

// Before reports whether v was made before the index of a loop, which all values that the loop's body makes follow.
func (v *Value) Before(index *Value) bool { return v.ID < index.ID }

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

// NumValues returns how many values a kernel has. Their ids are smaller.
func (k *Kernel) NumValues() int { return k.values }
