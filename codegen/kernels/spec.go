// Package kernels turns fused operations into tile kernels.
//
// There are five templates: Map (elementwise over a broadcast domain, with gathers), Row (reductions along the last
// axis, then an elementwise result), Matmul (packed weights, an epilogue), Attention (flash style) and Einsum (any
// other contraction); Epilogue is the end of a Matmul alone, for a backend whose loop is its own. Of an Argmax, which is a
// Matmul, and of a Top, the greatest elements of rows, backends make several kernels. A template takes a Spec, plain data
// that says everything the code depends on, so that equal specs share one kernel. Elementwise meaning comes as scalar
// expressions, and fusion composes them instead of multiplying templates.
//
// The package never sees a graph or a backend.
package kernels

import (
	"fmt"
	"reflect"
	"strings"

	"pgc/codegen/schedule"
	"pgc/ir/target"
	"pgc/ir/tile"
)

// Size is an extent: a constant, or what the kernel gets at run time, which is a symbol's value or a number that every launch has
// of its own, so that launches of several share a kernel.
type Size struct {
	N   int64  // the constant, or the upper bound of what is not one
	Sym string // "" for no symbol
	Own int    // which of the launch's numbers, counted from 1; 0 for none
}

// Const returns a constant extent.
func Const(n int64) Size { return Size{N: n} }

// OperandKind tells where an operand's elements come from.
type OperandKind uint8

const (
	Tensor OperandKind = iota // memory
	Index                     // the index along domain dimension Dim, i32; 0 if Dim is -1
	Symbol                    // the value of the runtime symbol Sym, i32
)

// Operand says how a kernel reads one input over its domain.
type Operand struct {
	Kind    OperandKind
	Elem    tile.Elem
	Strides []int64 // elements per step along each domain dimension; 0 broadcasts
	Dim     int
	Sym     string
	// Aligned says that the first element of the operand lies at a multiple of 16 bytes.
	Aligned bool
	// Rows, if not nil, adds the row that another operand names: a lookup in a table.
	Rows *Lookup
}

// Lookup reads the row of a table that an i32 operand of the same kernel names.
type Lookup struct {
	Index  int   // which operand
	Stride int64 // elements per row of a plain table
	Panel  int64 // elements per row if the table is packed in panels, else 0
	Group  Group // of the elements of a packed table, if they are quantized
	VNNI2  bool  // it is packed in pairs of k
	// Fragments says that the table lies as type Fragments has it: Panel and Group are set, Stride and VNNI2 are not.
	Fragments bool
}

// Out says how a kernel writes a result over its domain.
type Out struct {
	Elem    tile.Elem
	Strides []int64
	Offset  int64 // elements from the buffer's start
	Aligned bool  // the buffer starts at a multiple of 16 bytes
}

// Scatter moves what a kernel writes, for every index of dimension 0 of its domain, by the i32 that operand Positions,
// which has a stride along that dimension alone, holds for it: by so many rows of a state, Stride elements apart. What then
// lies outside the Rows there are is not written. The zero Scatter moves nothing.
type Scatter struct {
	Positions int // which operand, of a matmul's part which extra one
	Along     int // the dimension whose index counts rows, too, or 0 where there is one for every index of dimension 0
	Stride    int64
	Rows      int64
}

// Behind returns s for operands that come behind n others.
func (s Scatter) Behind(n int) Scatter {
	if s != (Scatter{}) {
		s.Positions += n
	}
	return s
}

// ArgKind tells what an argument of a kernel is.
type ArgKind uint8

const (
	ArgIn    ArgKind = iota // pointer of operand Index
	ArgOut                  // pointer of result Index
	ArgSym                  // value of the symbol Sym
	ArgLocal                // what the kernel around an Epilogue supplies, by Index
	ArgGrain                // value of the grain Index
	ArgOwn                  // the launch's number Index, counted from 1
	ArgWork                 // pointer, Index bytes into the memory that a backend's kernels for one spec hand on to each other
)

// Arg is one argument of a kernel, in order.
type Arg struct {
	Kind  ArgKind
	Index int
	Sym   string
	// Aligned says that a pointer is a multiple of 16.
	Aligned bool
}

// Factor is one factor of the number of tasks: ceil(Size / Div).
type Factor struct {
	Size Size
	Div  int64
}

// Grain is how much a task takes: a number of units, from 1 on, which is chosen where the threads are known. Results do
// not depend on it. It makes a factor of the number of tasks: the sum over its shares.
type Grain []Share

// Share is work that one grain divides: ceil(Size / Unit) units, of which a task takes as many as the grain says, and
// Most at most.
type Share struct {
	Size       Size
	Unit, Most int64
}

// Most is the largest grain that makes a difference.
func (g Grain) Most() (most int64) {
	for _, s := range g {
		most = max(most, s.Most)
	}
	return most
}

// Kernel is a built kernel, its arguments, and the number of its tasks (the product of the factors and of those that
// grains make). LHS and RHS are the types of x and of the weights that a matmul multiplies, of its first part if there are
// several; None for other kernels.
type Kernel struct {
	Tile     *tile.Kernel
	Args     []Arg
	Tasks    []Factor
	Grains   []Grain
	LHS, RHS DType
}

// Spec is a kernel to build.
type Spec interface{ build(g *gen) }

// Kind returns the name of a spec's template: that of its type, in lower case.
func Kind(s Spec) string { return strings.ToLower(reflect.TypeOf(s).Elem().Name()) }

// Build makes the kernel of a spec for a target. Errors name the kernel.
func Build(name string, s Spec, t target.Target) (*Kernel, error) {
	return BuildBy(schedule.Default, name, s, t)
}

// BuildBy is Build with the schedules of a table; one that a kernel cannot be blocked by is an error.
func BuildBy(table *schedule.Table, name string, s Spec, t target.Target) (*Kernel, error) {
	g := &gen{table: table, target: t, lanes: t.Lanes, syms: map[string]*tile.Value{}, own: map[int]*tile.Value{}}
	k, err := tile.Build(name, func(b *tile.Builder) {
		g.b = b
		s.build(g)
	})
	if err != nil {
		return nil, err
	}
	if g.err != nil {
		return nil, fmt.Errorf("kernel %s: %w", name, g.err)
	}
	g.out.Tile = k
	return &g.out, nil
}

// gen builds one kernel.
type gen struct {
	b      *tile.Builder
	table  *schedule.Table
	target target.Target
	lanes  int
	err    error // of the spec or the schedule
	out    Kernel
	syms   map[string]*tile.Value
	own    map[int]*tile.Value
}

func (g *gen) in(i int, e tile.Elem) *tile.Value {
	g.out.Args = append(g.out.Args, Arg{Kind: ArgIn, Index: i})
	return g.b.Ptr(fmt.Sprintf("in%d", i), e)
}

// resultOf is the pointer of a result.
func (g *gen) resultOf(i int, o Out) *tile.Value {
	p := g.result(i, memory(o.Elem))
	g.out.Args[len(g.out.Args)-1].Aligned = o.Aligned
	return p
}

func (g *gen) result(i int, e tile.Elem) *tile.Value {
	g.out.Args = append(g.out.Args, Arg{Kind: ArgOut, Index: i})
	return g.b.Ptr(fmt.Sprintf("out%d", i), e)
}

// sym returns a symbol's value; all symbols must be asked for outside loops.
func (g *gen) sym(name string) *tile.Value {
	if v, ok := g.syms[name]; ok {
		return v
	}
	g.out.Args = append(g.out.Args, Arg{Kind: ArgSym, Sym: name})
	v := g.b.Scalar(name)
	g.syms[name] = v
	return v
}

// number returns a number of the launch; like symbols, all must be asked for outside loops.
func (g *gen) number(i int) *tile.Value {
	v, ok := g.own[i]
	if !ok {
		g.out.Args = append(g.out.Args, Arg{Kind: ArgOwn, Index: i})
		v = g.b.Scalar(fmt.Sprintf("number%d", i))
		g.own[i] = v
	}
	return v
}

func (g *gen) size(s Size) *tile.Value {
	switch {
	case s.Sym != "":
		return g.sym(s.Sym)
	case s.Own > 0:
		return g.number(s.Own)
	}
	return g.b.Int(s.N)
}

// grain declares a grain and returns how many units of each share a task takes; it must be asked for outside loops. What
// has one unit a task at most is a plain factor.
func (g *gen) grain(shares ...Share) []*tile.Value {
	b := g.b
	most := Grain(shares).Most()
	if most <= 1 && len(shares) == 1 {
		g.out.Tasks = append(g.out.Tasks, Factor{shares[0].Size, shares[0].Unit})
		return []*tile.Value{b.Int(1)}
	}
	v := b.Scalar(fmt.Sprintf("grain%d", len(g.out.Grains)))
	g.out.Args = append(g.out.Args, Arg{Kind: ArgGrain, Index: len(g.out.Grains)})
	g.out.Grains = append(g.out.Grains, shares)
	return collect(len(shares), func(i int) *tile.Value {
		if shares[i].Most == most {
			return v
		}
		return b.Min(v, b.Int(shares[i].Most))
	})
}

// over divides a number of units by how many a task takes.
func (g *gen) over(units, grain *tile.Value) *tile.Value {
	b := g.b
	return b.Div(b.Add(units, b.Sub(grain, b.Int(1))), grain)
}

// at returns the sum of index times stride.
func (g *gen) at(index []*tile.Value, strides []int64) *tile.Value {
	off := g.b.Int(0)
	for d, i := range index {
		if strides[d] != 0 {
			off = g.b.Add(off, g.b.Mul(i, g.b.Int(strides[d])))
		}
	}
	return off
}

// collect returns f(0), …, f(n-1).
func collect(n int, f func(i int) *tile.Value) []*tile.Value {
	out := make([]*tile.Value, n)
	for i := range out {
		out[i] = f(i)
	}
	return out
}

// clear sets n elements to zero, whole vectors of them.
func (g *gen) clear(p, n *tile.Value) {
	b := g.b
	b.Range(b.Int(0), n, b.Int(int64(g.lanes)), func(i *tile.Value) { b.Store(p, i, b.Float(0, g.lanes)) })
}

// steps runs body at 0, step, … below n, in a loop unless it is once.
func (g *gen) steps(n, step int64, body func(i *tile.Value)) {
	if n <= step {
		body(g.b.Int(0))
		return
	}
	g.b.Range(g.b.Int(0), g.b.Int(n), g.b.Int(step), body)
}

// atFirst runs body in the first of steps.
func (g *gen) atFirst(i *tile.Value, body func()) {
	if _, once := tile.ConstInt(i); once {
		body()
		return
	}
	g.b.When(g.b.Compare(tile.EQ, i, g.b.Int(0)), body)
}

// vectors runs body over [0, n) a vector at a time; count is nil for whole vectors, else the lanes left.
func (g *gen) vectors(n *tile.Value, lanes int, body func(i, count *tile.Value)) {
	b := g.b
	l := b.Int(int64(lanes))
	full := b.Mul(b.Div(n, l), l)
	b.Range(b.Int(0), full, l, func(i *tile.Value) { body(i, nil) })
	if c, ok := tile.ConstInt(n); ok && c%int64(lanes) == 0 || lanes == 1 {
		return
	}
	b.When(b.Compare(tile.LT, full, n), func() { body(full, b.Sub(n, full)) })
}

func (g *gen) load(p, off *tile.Value, lanes int, count *tile.Value) *tile.Value {
	if count == nil {
		return g.b.Load(p, off, lanes)
	}
	return g.b.LoadTail(p, off, lanes, count)
}

func (g *gen) store(p, off, v, count *tile.Value) {
	if count == nil {
		g.b.Store(p, off, v)
	} else {
		g.b.StoreTail(p, off, v, count)
	}
}
