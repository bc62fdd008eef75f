// Package fuzz builds random well-typed functions, for tests that run them in two ways and compare: passes against the
// plain graph, kernels against the reference evaluator. What it builds is well conditioned (no comparison of computed
// floats, no unbounded growth), so that a large difference is a wrong compiler and not rounding.
package fuzz

import (
	"fmt"
	"math/rand/v2"

	"pgc/ir"
)

// The bounds of the symbols: S rows of a call, past rows before them in a state, T of both together, prefix of those
// that see each other, slot of the batch slots.
const (
	batchSlots = 3
	maxRows    = 9
	maxPast    = 11
	// Rows is how many rows the tables of lookups have: integers from 0 to Rows-1 are ids.
	Rows = 4
)

// NewModule returns an empty module with the symbols that functions use.
func NewModule() *ir.Module {
	return &ir.Module{Symbols: []ir.Symbol{{Name: "S", Max: maxRows}, {Name: "T", Max: maxRows + maxPast},
		{Name: "past", Max: maxPast}, {Name: "prefix", Max: maxRows + maxPast}, {Name: "slot", Max: batchSlots - 1}}}
}

// Syms returns values of the symbols that f can be called with.
func Syms(f *ir.Func, seed uint64) map[string]int {
	rng := rand.New(rand.NewPCG(seed, 3))
	bound := func(name string, most int) int {
		if n, ok := f.Module.Bound(name); ok {
			most = min(most, n)
		}
		return most
	}
	syms := map[string]int{}
	for _, s := range f.Module.Symbols { // of other names
		syms[s.Name] = rng.IntN(s.Max + 1)
	}
	total := bound("T", maxRows+maxPast)
	rows, past := 1+rng.IntN(min(total, bound("S", maxRows))), 0
	if single(f) {
		rows = 1
	}
	past = rng.IntN(min(total-rows, bound("past", maxPast)) + 1)
	syms["S"], syms["past"], syms["T"] = rows, past, rows+past
	syms["prefix"] = rng.IntN(bound("prefix", rows+past) + 1)
	return syms
}

// single reports whether f updates states by one row, so that S must be 1.
func single(f *ir.Func) bool {
	for _, op := range f.Ops {
		if op.Def == ir.OpDynamicUpdateSlice && op.In[1].Type.Shape[len(op.In)-3] == ir.D(1) {
			return true
		}
	}
	return false
}

// Rough reports whether f rounds computed values to integers or to 16 bits: then float32 and float64 may round to
// neighbors.
func Rough(f *ir.Func) bool {
	for _, op := range f.Ops {
		if op.Def == ir.OpConvert && !op.Result().Type.DType.IsArithmetic() && !op.In[0].IsParam() {
			return true
		}
	}
	return false
}

// grower builds one function.
type grower struct {
	rng  *rand.Rand
	f    *ir.Func
	b    *ir.Builder
	pool []*ir.Value // f32 values to build on
	ends []*ir.Value // values that are results only

	// Functions of one theme share sizes and types, and so kernels.
	sizes           []ir.Dim
	vectors, stored []ir.DType
}

// theme is how many functions share sizes and types.
const theme = 64

func newGrower(f *ir.Func, seed uint64) *grower {
	g := &grower{rng: rand.New(rand.NewPCG(seed, 99)), f: f, b: ir.NewBuilder(f)}
	common := rand.New(rand.NewPCG(seed/theme, 98))
	g.sizes = some(common, 4, ir.D(1), ir.D(2), ir.D(3), ir.D(5), ir.D(7), ir.D(17), ir.D(33))
	g.vectors = some(common, 2, ir.F32, ir.BF16, ir.F16)
	g.stored = some(common, 3, append([]ir.DType{ir.F32, ir.BF16, ir.F16}, ir.Groups.List()...)...)
	return g
}

// Func adds a random function to m, a module of NewModule. Equal seeds give equal functions; names are unique by seed.
func Func(m *ir.Module, seed uint64) *ir.Func {
	f := m.NewFunc(fmt.Sprintf("f%d", seed))
	g := newGrower(f, seed)
	for range 1 + g.rng.IntN(3) {
		var shape []ir.Dim
		if g.chance(2) {
			shape = append(shape, ir.Sym("S"))
		}
		for range 1 + g.rng.IntN(2) {
			shape = append(shape, g.size())
		}
		g.pool = append(g.pool, g.input(ir.F32, shape...))
	}
	if g.chance(3) {
		g.try((*grower).attentionOfInputs)
	}
	if g.chance(3) {
		g.try((*grower).decoderLayer)
	}
	for range 4 + g.rng.IntN(14) {
		g.try(steps[g.rng.IntN(len(steps))])
	}
	for i, v := range g.ends {
		f.Return(fmt.Sprintf("%s.end%d", f.Name, i), v)
	}
	for i := range 1 + g.rng.IntN(2) {
		f.Return(fmt.Sprintf("%s.y%d", f.Name, i), g.pool[max(0, len(g.pool)-1-i*3)])
	}
	f.RemoveDead()
	f.RemoveUnusedParams()
	return f
}

// try adds what a step builds to the pool; a step whose operands do not fit adds nothing.
func (g *grower) try(step func(*grower) *ir.Value) {
	defer func() {
		switch e := recover().(type) {
		case nil, *ir.Error, misfit:
		default:
			panic(e)
		}
	}()
	if v := step(g); v != nil {
		g.pool = append(g.pool, v)
	}
}

// misfit is the panic of a step that cannot be done.
type misfit struct{}

// want leaves the step unless ok.
func want(ok bool) {
	if !ok {
		panic(misfit{})
	}
}

// chance is true once in n times.
func (g *grower) chance(n int) bool { return g.rng.IntN(n) == 0 }

func (g *grower) pick() *ir.Value { return oneOf(g, g.pool...) }

func oneOf[T any](g *grower, of ...T) T { return of[g.rng.IntN(len(of))] }

func (g *grower) size() ir.Dim { return oneOf(g, g.sizes...) }

// upTo is a dimension from 1 to n.
func (g *grower) upTo(n int) ir.Dim { return ir.D(1 + g.rng.IntN(n)) }

// matrix is x of two dimensions, the last one constant.
func (g *grower) matrix() *ir.Value {
	x := g.pick()
	want(x.Type.Rank() == 2 && x.Type.Last().IsConst())
	return x
}

// op adds an operation; one that is not well typed or too large ends the step.
func (g *grower) op(def *ir.OpDef, attrs any, in ...*ir.Value) *ir.Value {
	o, err := ir.NewOp(def, attrs, in...)
	want(err == nil)
	n := 1
	for _, d := range o.Result().Type.Shape {
		n *= g.f.Module.MaxDim(d)
	}
	want(n <= 5000)
	return g.b.Op(def, attrs, in...)
}

func (g *grower) call(def *ir.OpDef, in ...*ir.Value) *ir.Value { return g.op(def, nil, in...) }

func (g *grower) number(v float64) *ir.Value { return g.b.Const(ir.F32, v) }

func (g *grower) symbol(name ir.Ident) *ir.Value {
	return g.op(ir.OpSymbol, ir.SymbolAttrs{Name: name})
}

// input is a new input.
func (g *grower) input(d ir.DType, dims ...ir.Dim) *ir.Value {
	return g.f.AddParam(ir.Input, fmt.Sprintf("%s.x%d", g.f.Name, len(g.f.Params)), "", ir.T(d, dims...))
}

// weight is a new weight of the module, read as f32.
func (g *grower) weight(d ir.DType, dims ...ir.Dim) *ir.Value {
	return g.b.Convert(g.matrixOf(d, dims...), ir.F32)
}

// matrixOf is a new weight as it is stored.
func (g *grower) matrixOf(d ir.DType, dims ...ir.Dim) *ir.Value {
	name := fmt.Sprintf("%s.w%d", g.f.Name, len(g.f.Params))
	return g.f.AddParam(ir.Weight, name, name, ir.T(d, dims...))
}

// some picks n of a list.
func some[T any](rng *rand.Rand, n int, of ...T) []T {
	rng.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
	return of[:n]
}
