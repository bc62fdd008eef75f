package passes

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgc/frontend/text"
	"pgc/ir"
)

const checked = `symbol S <= 9
symbol past <= 4

func @f(
    %x: input f32[S,12],
    %w: weight "w" bf16[12,12],
    %c: state f32[13,2,6]) {
  %0 = convert %w {dtype=f32} : f32[12,12]
  %1 = einsum %x, %0 {spec="ab,cb->ac"} : f32[S,12]
  %2 = exp %1 : f32[S,12]
  %3 = reduce_sum %2 : f32[S,1]
  %4 = div %2, %3 : f32[S,12]
  %5 = reshape %4 {shape=[S,2,6]} : f32[S,2,6]
  %6 = symbol {name=past} : i32[]
  %7 = dynamic_update_slice %c, %5, %6 : f32[13,2,6]
  %8 = einsum %4, %0 {spec="ab,cb->ac"} : f32[S,12]
  %9 = tanh %8 : f32[S,12]
  %10 = einsum %9, %0 {spec="ab,cb->ac"} : f32[S,12]
  %11 = mul %10, %1 : f32[S,12]
  return update %c=%7, y=%11 : f32[S,12], z=%9 : f32[S,12]
}
`

func plannedModule(t *testing.T) *ir.Func {
	t.Helper()
	m, err := text.Parse("f.pgir", checked)
	if err != nil {
		t.Fatal(err)
	}
	if err := Optimize(m, Options{Check: true}); err != nil {
		t.Fatal(err)
	}
	return m.Funcs[0]
}

// Every fault that is planted into a good plan is found.
func TestCheckPlan(t *testing.T) {
	find := func(f *ir.Func, what func(op *ir.Op) bool) *ir.Op {
		for _, op := range f.Ops {
			if what(op) {
				return op
			}
		}
		t.Fatalf("no such operation in\n%s", f)
		return nil
	}
	inArena := func(op *ir.Op) bool { return op.Result().Buf.Space == ir.Arena && op.Result().Buf.Owner }
	for want, plant := range map[string]func(f *ir.Func){
		"overlap in the arena": func(f *ir.Func) {
			for _, op := range f.Ops {
				if inArena(op) {
					op.Result().Buf.Offset = 0
				}
			}
		},
		"no multiple of 64": func(f *ir.Func) { find(f, inArena).Result().Buf.Offset += 4 },
		"has no place":      func(f *ir.Func) { find(f, inArena).Result().Buf = nil },
		"no memory of its":  func(f *ir.Func) { f.Results[2].Value.Buf.Result = 1 },
		"not written into": func(f *ir.Func) {
			find(f, func(op *ir.Op) bool { return op.Def == ir.OpDynamicUpdateSlice }).In[1].Buf.Space = ir.Arena
		},
		"result old is %c": func(f *ir.Func) { f.Return("old", f.Param("c")) },
		"is overwritten in place by then": func(f *ir.Func) {
			v := ir.NewBuilder(f).Op(ir.OpReduceSum, nil, f.Param("c"))
			v.Buf = &ir.Buffer{Space: ir.Arena, Owner: true, Offset: 1 << 20}
		},
		"does not lie there": func(f *ir.Func) { f.Results[0].Value.Buf.Space = ir.Arena },
		"outside of its memory": func(f *ir.Func) {
			b := find(f, inArena).Result().Buf
			b.Strides = slices.Clone(b.Strides)
			b.Strides[1] = 2
		},
		"reads its element [0 1 0]": func(f *ir.Func) {
			b := find(f, func(op *ir.Op) bool { return op.Def == ir.OpReshape }).Result().Buf
			b.Strides = slices.Clone(b.Strides)
			b.Strides[1] = 0
		},
	} {
		f := plannedModule(t)
		if err := CheckPlan(f); err != nil {
			t.Fatalf("a good plan: %v", err)
		}
		plant(f)
		if err := CheckPlan(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("planted %q: %v", want, err)
		}
	}
}

// Views of views have the strides of what they read: a broadcast repeats its element in whatever shape it gets.
func TestViewsOfViews(t *testing.T) {
	m := &ir.Module{Symbols: []ir.Symbol{{Name: "S", Max: 9}}}
	x, s := ir.Dims, ir.Sym("S")
	for _, c := range []struct {
		from    []ir.Dim
		strides []int64
		to      []ir.Dim
		want    []int64 // nil where strides cannot express it
	}{
		{x(1, 5), []int64{0, 0}, x(5, 1), []int64{0, 0}},
		{x(3, 4), []int64{0, 0}, x(12), []int64{0}},
		{x(3, 4), []int64{0, 1}, x(12), nil},
		{x(3, 4), []int64{1, 0}, x(12), nil},
		{x(3, 4), []int64{4, 1}, x(2, 6), []int64{6, 1}},
		{x(12), []int64{7}, x(3, 1, 4), []int64{28, 28, 7}},
		{x(1, 1), []int64{5, 1}, x(1), []int64{1}},
		{[]ir.Dim{s, ir.D(3), ir.D(4)}, []int64{4, 0, 1}, []ir.Dim{s, ir.D(12)}, nil},
		{[]ir.Dim{s, ir.D(3), ir.D(4)}, []int64{1, 0, 0}, []ir.Dim{s, ir.D(12)}, []int64{1, 0}},
		{[]ir.Dim{ir.D(2), s, ir.D(6)}, []int64{6, 24, 1}, []ir.Dim{ir.D(2), s, ir.D(2), ir.D(3)}, []int64{6, 24, 3, 1}},
		{x(2, 0, 3), []int64{0, 3, 1}, x(3, 0), []int64{0, 1}},
	} {
		got, ok := reshaped(m, c.from, c.strides, c.to)
		if ok != (c.want != nil) || ok && !slices.Equal(got, c.want) {
			t.Errorf("%s with the strides %v as %s: %v, %v, expected %v", ir.FormatDims(c.from), c.strides, ir.FormatDims(c.to), got, ok, c.want)
		}
	}
}

// A pass whose result depends on the order of operations that have none is found.
func TestOrderIsChecked(t *testing.T) {
	m, err := text.Parse("f.pgir", checked)
	if err != nil {
		t.Fatal(err)
	}
	// It removes the first exponential or hyperbolic tangent only.
	first := Pass{Name: "first", Run: func(f *ir.Func, _ *Budget) int {
		for _, op := range f.Ops {
			if op.Def == ir.OpExp || op.Def == ir.OpSymbol && len(f.Ops) > 0 {
				if op.Def == ir.OpExp {
					f.ReplaceAllUses(op.Result(), op.In[0])
				}
				return f.RemoveDead()
			}
		}
		return 0
	}}
	err = Run(m, []Pass{first}, Options{Check: true})
	var failure *Failure
	if !errors.As(err, &failure) || !strings.Contains(err.Error(), "depends on the order of operations") || !strings.Contains(failure.Before, "= exp") {
		t.Errorf("the planted dependence was reported as %v", err)
	}
}

// Shuffling keeps a function valid, and does shuffle.
func TestShuffle(t *testing.T) {
	m, err := text.Parse("f.pgir", checked)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	texts := map[string]bool{}
	for range 20 {
		shuffle(m.Funcs[0], rng)
		if err := m.Verify(); err != nil {
			t.Fatal(err)
		}
		texts[m.String()] = true
	}
	if len(texts) < 5 {
		t.Errorf("only %d orders", len(texts))
	}
}

// A state may be read before it is updated in place, and not afterwards.
func TestReadThenUpdate(t *testing.T) {
	const product = `{spec="ab,bc->ac"} : f32[4,4]`
	for _, c := range []struct{ body, want string }{
		{"%1 = einsum %x, %s " + product + "\n  %2 = einsum %1, %x " + product + "\n  %3 = dynamic_update_slice %s, %2, %0 : f32[4,4]\n  return update %s=%3", ""},
		{"%1 = einsum %x, %x " + product + "\n  %2 = dynamic_update_slice %s, %1, %0 : f32[4,4]\n  %3 = einsum %s, %1 " + product +
			"\n  return update %s=%2, y=%3 : f32[4,4]", "nothing reads from then on"},
	} {
		m, err := text.Parse("f.pgir", "func @f(\n    %x: input f32[4,4],\n    %s: state f32[4,4]) {\n  %0 = constant {dtype=i32, shape=[], values=[0]} : i32[]\n  "+c.body+"\n}\n")
		if err != nil {
			t.Fatal(err)
		}
		err = Optimize(m, Options{})
		if c.want == "" && err == nil {
			err = CheckPlan(m.Funcs[0])
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, expected %q", c.body, err, c.want)
		}
	}
}

// A kernel that reads rows of the state that it overwrites, through a view or as an operand of its own, gets no plan; and no plan
// of such a kernel passes the check.
func TestReadsOverwritten(t *testing.T) {
	for name, source := range map[string]string{
		"view": `func @f(%x: input f32[5,1,4], %positions: input i32[5], %cache: state f32[5,7,4]) {
  %0 = slice %cache {axis=1, start=1, limit=2} : f32[5,1,4]
  %1 = map %0, %x, %cache, %positions {exprs=[add($0, $1)], scatter=[2, 3]} : f32[5,7,4]
  return update %cache=%1
}`,
		"operand": `func @f(%x: input i32[5,1], %positions: input i32[5], %cache: state f32[5,1,4]) {
  %0 = map %cache, %cache, %positions {exprs=[mul($0, 2.0)], scatter=[1, 2]} : f32[5,1,4]
  return update %cache=%0
}`,
	} {
		m, err := text.Parse(name+".pgir", source)
		if err != nil {
			t.Fatal(err)
		}
		f := m.Funcs[0]
		if err := Plan(f); err == nil || !strings.Contains(err.Error(), "that nothing reads from then on") {
			t.Errorf("%s: planning said %v", name, err)
		}
		for _, p := range f.Params {
			space := map[ir.ParamKind]ir.Space{ir.Input: ir.Inputs, ir.State: ir.States}[p.Kind]
			p.Buf = &ir.Buffer{Space: space, Param: p, Strides: m.DenseStrides(p.Type.Shape)}
		}
		state := f.Param("cache").Buf
		for _, op := range f.Ops {
			if op.Result().Buf = state; isView(op) {
				op.Result().Buf, _ = viewBuffer(m, op, state)
			}
		}
		if err := CheckPlan(f); err == nil || !strings.Contains(err.Error(), "reads %cache, which is overwritten in place by then") {
			t.Errorf("%s: the check said %v", name, err)
		}
		if err := Optimize(m, Options{Check: true}); err != nil {
			t.Errorf("%s: the pipeline said %v", name, err)
		}
	}
}
