package codegen_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgc/ir"
	"pgc/ir/eval"
	"pgc/ir/target/targettest"
)

var (
	graphs = flag.Int("graphs", 120, "how many random functions to compile and compare")
	seed   = flag.Uint64("seed", 1, "where their seeds begin")
)

// grower builds a random well-typed function. What it builds is well conditioned (no comparison of computed floats, no
// unbounded growth), so that a large difference is a wrong compiler and not rounding.
type grower struct {
	rng  *rand.Rand
	f    *ir.Func
	b    *ir.Builder
	pool []*ir.Value // f32 values
}

var sizes = []ir.Dim{ir.D(1), ir.D(2), ir.D(3), ir.D(5), ir.D(7), ir.D(17), ir.D(33)}

// bounded are the unary operations whose results stay small.
var bounded = []*ir.OpDef{ir.OpNeg, ir.OpAbs, ir.OpTanh, ir.OpSin, ir.OpCos, ir.OpRelu, ir.OpSigmoid, ir.OpSilu, ir.OpGeluTanh}

func (g *grower) pick() *ir.Value { return g.pool[g.rng.IntN(len(g.pool))] }

func (g *grower) size() ir.Dim { return sizes[g.rng.IntN(len(sizes))] }

// op adds an operation if it is well typed.
func (g *grower) op(def *ir.OpDef, attrs any, in ...*ir.Value) *ir.Value {
	o, err := ir.NewOp(def, attrs, in...)
	if err != nil || g.elements(o.Out.Type) > 5000 {
		return nil
	}
	return g.b.Op(def, attrs, in...)
}

func (g *grower) elements(t ir.Type) int {
	n := 1
	for _, d := range t.Shape {
		n *= g.f.Module.MaxDim(d)
	}
	return n
}

func (g *grower) call(def *ir.OpDef, in ...*ir.Value) *ir.Value { return g.op(def, nil, in...) }

func (g *grower) number(v float64) *ir.Value { return g.b.Const(ir.F32, v) }

// weight is a new weight of the module.
func (g *grower) weight(d ir.DType, dims ...ir.Dim) *ir.Value {
	name := fmt.Sprintf("w%d", len(g.f.Params))
	w := g.f.AddParam(ir.Weight, name, g.f.Name+"."+name, ir.T(d, dims...))
	return g.b.Convert(w, ir.F32)
}

// step returns a new value made of old ones, or nil if what was tried does not fit.
func (g *grower) step() *ir.Value {
	x := g.pick()
	rank := x.Type.Rank()
	switch g.rng.IntN(14) {
	case 0, 1:
		return g.call(bounded[g.rng.IntN(len(bounded))], x)
	case 2, 3:
		defs := []*ir.OpDef{ir.OpAdd, ir.OpSub, ir.OpMax, ir.OpMin}
		return g.call(defs[g.rng.IntN(len(defs))], x, g.pick())
	case 4:
		return g.call(ir.OpMul, g.call(ir.OpTanh, x), g.pick())
	case 5: // division, roots and exponentials where they are tame
		y := g.call(ir.OpAdd, g.call(ir.OpAbs, g.pick()), g.number(1))
		defs := []*ir.OpDef{ir.OpSqrt, ir.OpRsqrt, ir.OpLog}
		return g.call(ir.OpDiv, x, g.call(defs[g.rng.IntN(2)], y))
	case 6:
		if rank == 0 {
			return nil
		}
		defs := []*ir.OpDef{ir.OpReduceSum, ir.OpReduceMean, ir.OpReduceMax}
		return g.call(ir.OpTanh, g.call(defs[g.rng.IntN(3)], x))
	case 7: // softmax
		if rank == 0 {
			return nil
		}
		e := g.call(ir.OpExp, g.call(ir.OpSub, x, g.call(ir.OpReduceMax, x)))
		return g.call(ir.OpDiv, e, g.call(ir.OpReduceSum, e))
	case 8: // RMSNorm or LayerNorm
		if rank == 0 || !x.Type.Last().IsConst() {
			return nil
		}
		if g.rng.IntN(2) == 0 {
			x = g.call(ir.OpSub, x, g.call(ir.OpReduceMean, x))
		}
		scale := g.call(ir.OpRsqrt, g.call(ir.OpAdd, g.call(ir.OpReduceMean, g.call(ir.OpMul, x, x)), g.number(0.1)))
		return g.call(ir.OpMul, g.call(ir.OpMul, x, scale), g.call(ir.OpAdd, g.weight(ir.BF16, x.Type.Last()), g.number(1)))
	case 9: // a product with a weight
		if rank != 2 && rank != 3 || !x.Type.Last().IsConst() {
			return nil
		}
		d := []ir.DType{ir.F32, ir.BF16, ir.F16}[g.rng.IntN(3)]
		w := g.weight(d, g.size(), x.Type.Last())
		spec := map[int]string{2: "ab,cb->ac", 3: "abc,dc->abd"}[rank]
		y := g.op(ir.OpEinsum, ir.EinsumAttrs{Spec: spec}, x, w)
		if y != nil && g.rng.IntN(2) == 0 {
			y = g.call(ir.OpAdd, y, g.weight(ir.F32, y.Type.Last()))
		}
		return y
	case 10:
		perm := g.rng.Perm(rank)
		return g.op(ir.OpTranspose, ir.TransposeAttrs{Perm: perm}, x)
	case 11: // a reshape: two dimensions become one, or a one appears
		if rank >= 2 && g.rng.IntN(2) == 0 {
			i := g.rng.IntN(rank - 1)
			a, b := x.Type.Shape[i], x.Type.Shape[i+1]
			if !a.IsConst() || !b.IsConst() {
				return nil
			}
			shape := append(append(append([]ir.Dim{}, x.Type.Shape[:i]...), ir.D(a.N*b.N)), x.Type.Shape[i+2:]...)
			return g.op(ir.OpReshape, ir.ShapeAttrs{Shape: shape}, x)
		}
		i := g.rng.IntN(rank + 1)
		shape := append(append(append([]ir.Dim{}, x.Type.Shape[:i]...), ir.D(1)), x.Type.Shape[i:]...)
		return g.op(ir.OpReshape, ir.ShapeAttrs{Shape: shape}, x)
	case 12: // a slice or a concatenation
		if rank == 0 {
			return nil
		}
		axis := g.rng.IntN(rank)
		d := x.Type.Shape[axis]
		if !d.IsConst() || d.N < 2 {
			return nil
		}
		if g.rng.IntN(2) == 0 {
			return g.op(ir.OpConcat, ir.AxisAttrs{Axis: axis}, x, g.call(ir.OpTanh, x))
		}
		from := g.rng.IntN(d.N - 1)
		return g.op(ir.OpSlice, ir.SliceAttrs{Axis: axis, Start: ir.D(from), Limit: ir.D(from + 1 + g.rng.IntN(d.N-from))}, x)
	default: // a mask of positions
		if rank == 0 {
			return nil
		}
		axis := g.rng.IntN(rank)
		shape := make([]ir.Dim, rank)
		for i := range shape {
			shape[i] = ir.D(1)
		}
		shape[axis] = x.Type.Shape[axis]
		at := g.op(ir.OpIota, ir.IotaAttrs{Shape: shape, Axis: axis})
		if at == nil {
			return nil
		}
		return g.call(ir.OpSelect, g.call(ir.OpLt, at, g.b.Const(ir.I32, float64(1+g.rng.IntN(4)))), x, g.number(0.25))
	}
}

// attention is softmax(mask(cap(scale·q·kᵀ)))·v for grouped heads in one of the forms that the fusion knows, or in one
// near it that it must leave alone.
func (g *grower) attention() *ir.Value {
	b, n := g.b, func(most int) ir.Dim { return ir.D(1 + g.rng.IntN(most)) }
	rows, keys, groups, per, dim := ir.Sym("S"), ir.Sym("T"), n(3), n(3), n(19)
	input := func(name string, dims ...ir.Dim) *ir.Value {
		return g.f.AddParam(ir.Input, g.f.Name+"."+name, "", ir.T(ir.F32, dims...))
	}
	q, k, v := input("q", rows, groups, per, dim), input("k", keys, groups, dim), input("v", keys, groups, dim)
	scores := b.Op(ir.OpEinsum, ir.EinsumAttrs{Spec: "abcd,ebd->bcae"}, q, k)
	if g.rng.IntN(3) > 0 {
		scores = b.Op(ir.OpMul, nil, scores, g.number(0.3))
	}
	if g.rng.IntN(3) == 0 {
		scores = b.Op(ir.OpMul, nil, b.Op(ir.OpTanh, nil, b.Op(ir.OpDiv, nil, scores, g.number(2))), g.number([]float64{2, 3}[g.rng.IntN(2)]))
	}
	if g.rng.IntN(4) > 0 {
		symbol := func(name ir.Ident) *ir.Value { return b.Op(ir.OpSymbol, ir.SymbolAttrs{Name: name}) }
		key := b.Op(ir.OpIota, ir.IotaAttrs{Shape: []ir.Dim{ir.D(1), keys}, Axis: 1})
		query := b.Op(ir.OpAdd, nil, b.Op(ir.OpIota, ir.IotaAttrs{Shape: []ir.Dim{rows, ir.D(1)}, Axis: 0}), symbol("past"))
		seen := b.Op([]*ir.OpDef{ir.OpLe, ir.OpLe, ir.OpLe, ir.OpEq}[g.rng.IntN(4)], nil, key, query)
		if g.rng.IntN(2) == 0 {
			window := b.Const(ir.I32, float64(1+g.rng.IntN(6)))
			seen = b.Op(ir.OpAnd, nil, seen, b.Op(ir.OpGt, nil, key, b.Op(ir.OpSub, nil, query, window)))
		}
		if g.rng.IntN(2) == 0 {
			prefix := symbol("prefix")
			seen = b.Op(ir.OpOr, nil, seen, b.Op(ir.OpAnd, nil, b.Op(ir.OpLt, nil, query, prefix), b.Op(ir.OpLt, nil, key, prefix)))
		}
		scores = b.Op(ir.OpSelect, nil, seen, scores, g.number(-math.MaxFloat32))
	}
	e := b.Op(ir.OpExp, nil, b.Op(ir.OpSub, nil, scores, b.Op(ir.OpReduceMax, nil, scores)))
	soft := b.Op(ir.OpDiv, nil, e, b.Op(ir.OpReduceSum, nil, e))
	y := b.Op(ir.OpEinsum, ir.EinsumAttrs{Spec: "abcd,dae->cabe"}, soft, v)
	return b.Op(ir.OpReshape, ir.ShapeAttrs{Shape: []ir.Dim{rows, ir.D(groups.N * per.N * dim.N)}}, y)
}

// grow adds a random function to m.
func grow(m *ir.Module, seed uint64) *ir.Func {
	f := m.NewFunc(fmt.Sprintf("f%d", seed))
	g := &grower{rng: rand.New(rand.NewPCG(seed, 99)), f: f, b: ir.NewBuilder(f)}
	for i := range 1 + g.rng.IntN(3) {
		var shape []ir.Dim
		if g.rng.IntN(2) == 0 {
			shape = append(shape, ir.Sym("S"))
		}
		for range 1 + g.rng.IntN(2) {
			shape = append(shape, g.size())
		}
		g.pool = append(g.pool, f.AddParam(ir.Input, fmt.Sprintf("%s.x%d", f.Name, i), "", ir.Type{DType: ir.F32, Shape: shape}))
	}
	if g.rng.IntN(3) == 0 {
		y := g.attention()
		g.pool = append(g.pool, y)
		f.Return(f.Name+".attention", y)
	}
	for range 4 + g.rng.IntN(14) {
		func() {
			defer func() { _ = recover() }() // an operand did not fit: this step adds nothing
			if v := g.step(); v != nil {
				g.pool = append(g.pool, v)
			}
		}()
	}
	for i := range 1 + g.rng.IntN(2) {
		f.Return(fmt.Sprintf("%s.y%d", f.Name, i), g.pool[max(0, len(g.pool)-1-i*3)])
	}
	f.RemoveDead()
	f.RemoveUnusedParams()
	return f
}

// TestRandomGraphs compiles random functions and compares them with the evaluator on the plain ones: after the passes,
// and natively on every target.
func TestRandomGraphs(t *testing.T) {
	const batch = 60
	for first := 0; first < *graphs; first += batch {
		t.Run(fmt.Sprint(*seed+uint64(first)), func(t *testing.T) { randomBatch(t, *seed+uint64(first), min(batch, *graphs-first)) })
	}
}

// randomBatch compiles n random functions at once.
func randomBatch(t *testing.T, first uint64, n int) {
	plain := &ir.Module{Symbols: []ir.Symbol{{Name: "S", Max: 9}, {Name: "T", Max: 20}, {Name: "past", Max: 11}, {Name: "prefix", Max: 20}}}
	for i := range n {
		grow(plain, first+uint64(i))
	}
	if err := plain.Verify(); err != nil {
		t.Fatal(err)
	}
	w := randomWeights(t, plain)
	for _, tgt := range targettest.Runnable(t) {
		m := plain.Clone()
		e := compiled(t, m, w, tgt, 2)
		for _, f := range plain.Funcs {
			rng := rand.New(rand.NewPCG(3, first))
			syms := map[string]int{"S": 1 + rng.IntN(9), "past": rng.IntN(12)}
			syms["T"] = syms["S"] + syms["past"]
			syms["prefix"] = rng.IntN(syms["T"] + 1)
			in := map[string]*eval.Tensor{}
			for _, p := range f.Params {
				if p.Kind != ir.Input {
					continue
				}
				x, err := eval.Random(rng, p.Type, syms, ir.Range{Lo: -2, Hi: 2})
				if err != nil {
					t.Fatal(err)
				}
				in[p.Name] = x
				scatter(m, e.Port(p.Name), p.Type, x)
			}
			want := reference(t, f, in, w, syms)
			fused := reference(t, m.Func(f.Name), in, w, syms)
			call(t, e, f.Name, syms)
			for _, r := range f.Results {
				x := want[r.Name]
				got := eval.New(ir.F32, x.Shape...)
				gather(t, m, e.Port(r.Name), r.Value.Type, got)
				if d := difference(fused[r.Name], x); !(d < 1e-9) {
					t.Errorf("@%s %s: the passes change it by %g of the largest:\n%s", f.Name, r.Name, d, f)
				} else if d := difference(got, x); !(d < 2e-4) {
					t.Errorf("@%s %s on %s: %g of the largest away:\n%s\nbecame\n%s", f.Name, r.Name, tgt.Name, d, f, m.Func(f.Name))
				}
			}
		}
	}
}

// difference is the greatest difference in parts of the largest magnitude, or of 1e-3 if that is less.
func difference(got, want *eval.Tensor) float64 {
	worst, top := 0.0, 1e-3
	for i, v := range want.Data {
		if d := math.Abs(got.Data[i] - v); d > worst || math.IsNaN(d) {
			worst = d
		}
		top = math.Max(top, math.Abs(v))
	}
	return worst / top
}
