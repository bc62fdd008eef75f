package ptx

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgc/codegen/kernels"
	"pgc/codegen/packing"
	"pgc/codegen/ptx/emu"
	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// rowCase is a kernel from one of the templates, and the sizes of its operands and result. Over the symbol S there are
// 5 rows.
type rowCase struct {
	name string
	spec kernels.Spec
	in   []any // lengths, or i32 values
	out  int
}

const rowsOfS = 5

var overS = kernels.Size{N: 90, Sym: "S"}

func dense(c int64) kernels.Operand {
	return kernels.Operand{Elem: tile.F32, Strides: []int64{c, 1}, Aligned: true}
}

func column(e tile.Elem) kernels.Operand {
	return kernels.Operand{Elem: e, Strides: []int64{0, 1}, Aligned: true}
}

func fn(op scalar.Op, args ...*scalar.Expr) *scalar.Expr { return scalar.Fn(op, args...) }

// rowCases are norms, softmax, rotary embeddings, lookups and a chain.
func rowCases() []rowCase {
	var cases []rowCase
	add := func(name string, s kernels.Spec, out int, in ...any) {
		cases = append(cases, rowCase{name, s, in, out})
	}
	add1 := scalar.C(1)
	for name, c := range map[string]int64{"row_rms_1": 1, "row_rms_45": 45, "row_rms_300": 300} {
		mean := fn(scalar.Div, f32(2), scalar.C(float64(c)))
		r := fn(scalar.Div, add1, fn(scalar.Sqrt, fn(scalar.Add, mean, scalar.C(1e-6))))
		add(name, &kernels.Row{Outer: []kernels.Size{overS}, C: kernels.Const(c), In: []kernels.Operand{dense(c), column(tile.BF16)},
			Reduce: []kernels.Reduction{{Kind: scalar.Sum, Expr: fn(scalar.Mul, f32(0), f32(0))}},
			Expr:   fn(scalar.Mul, fn(scalar.Mul, f32(0), r), fn(scalar.Add, add1, f32(1))),
			Out:    kernels.Out{Elem: tile.BF16, Strides: []int64{c, 1}, Aligned: true}}, int(rowsOfS*c), int(rowsOfS*c), int(c))
	}
	for name, c := range map[string]int64{"row_layernorm_39": 39, "row_layernorm_64": 64} {
		n := scalar.C(float64(c))
		centered := fn(scalar.Sub, f32(0), fn(scalar.Div, f32(3), n))
		std := fn(scalar.Sqrt, fn(scalar.Add, fn(scalar.Div, f32(4), n), scalar.C(1e-6)))
		add(name, &kernels.Row{Outer: []kernels.Size{overS}, C: kernels.Const(c), In: []kernels.Operand{dense(c), column(tile.F32), column(tile.F32)},
			Reduce: []kernels.Reduction{{Kind: scalar.Sum, Expr: f32(0)}, {Kind: scalar.Sum, Expr: fn(scalar.Mul, centered, centered)}},
			Expr:   fn(scalar.Add, fn(scalar.Mul, fn(scalar.Div, centered, std), f32(1)), f32(2)),
			Out:    kernels.Out{Elem: tile.F32, Strides: []int64{c, 1}}}, int(rowsOfS*c), int(rowsOfS*c), int(c), int(c))
	}
	for name, c := range map[string]int64{"row_softmax_7": 7, "row_softmax_71": 71} {
		e := fn(scalar.Exp, fn(scalar.Sub, f32(0), f32(1)))
		add(name, &kernels.Row{Outer: []kernels.Size{overS}, C: kernels.Const(c), In: []kernels.Operand{dense(c)},
			Reduce: []kernels.Reduction{{Kind: scalar.Maximum, Expr: f32(0)}, {Kind: scalar.Sum, Expr: e}}, Expr: fn(scalar.Div, e, f32(2)),
			Out: kernels.Out{Elem: tile.F32, Strides: []int64{c, 1}}}, int(rowsOfS*c), int(rowsOfS*c))
	}
	// A sum along the columns of a matrix that lies transposed, one element a row: no vectors.
	add("row_sum_transposed", &kernels.Row{Outer: []kernels.Size{overS}, C: kernels.Const(13),
		In:     []kernels.Operand{{Elem: tile.F32, Strides: []int64{1, 90}}},
		Reduce: []kernels.Reduction{{Kind: scalar.Sum, Expr: f32(0)}}, Expr: f32(1), Out: kernels.Out{Elem: tile.F32, Strides: []int64{1, 0}}}, rowsOfS, 90*13)
	// Rotary embedding of 3 heads of 2·7: both halves are results; the angle comes of the position and a table of
	// frequencies.
	half := kernels.Operand{Elem: tile.F32, Strides: []int64{42, 14, 1}}
	angle := fn(scalar.Mul, fn(scalar.ToF32, fn(scalar.Add, scalar.X(2, scalar.I32), scalar.X(4, scalar.I32))), f32(3))
	add("map_rotary", &kernels.Map{Dims: []kernels.Size{overS, kernels.Const(3), kernels.Const(7)},
		In: []kernels.Operand{half, {Elem: tile.F32, Strides: []int64{42, 14, 1}}, {Kind: kernels.Index, Dim: 0, Elem: tile.I32, Strides: []int64{0, 0, 0}},
			{Elem: tile.F32, Strides: []int64{0, 0, 1}}, {Kind: kernels.Symbol, Sym: "past", Elem: tile.I32, Strides: []int64{0, 0, 0}}},
		Exprs: []*scalar.Expr{
			fn(scalar.Sub, fn(scalar.Mul, f32(0), fn(scalar.Cos, angle)), fn(scalar.Mul, f32(1), fn(scalar.Sin, angle))),
			fn(scalar.Add, fn(scalar.Mul, f32(1), fn(scalar.Cos, angle)), fn(scalar.Mul, f32(0), fn(scalar.Sin, angle)))},
		Outs: []kernels.Out{{Elem: tile.F32, Strides: []int64{42, 14, 1}}, {Elem: tile.F32, Strides: []int64{42, 14, 1}, Offset: 7}}},
		rowsOfS*42, rowsOfS*42+7, rowsOfS*42+7, 0, 7)
	// Lookups in a plain table and in one packed for products on the CPU, which has no vectors.
	ids := []int32{49, 0, 17, 33, 16}
	for name, table := range map[string]kernels.Operand{
		"map_embedding":        {Elem: tile.BF16, Strides: []int64{0, 1}, Rows: &kernels.Lookup{Index: 1, Stride: 45}},
		"map_embedding_packed": {Elem: tile.BF16, Strides: []int64{0, packing.PanelWidth}, Rows: &kernels.Lookup{Index: 1, Panel: 45}}} {
		add(name, &kernels.Map{Dims: []kernels.Size{overS, kernels.Const(45)},
			In:    []kernels.Operand{table, {Elem: tile.I32, Strides: []int64{1, 0}}},
			Exprs: []*scalar.Expr{fn(scalar.Mul, f32(0), scalar.C(6.7))}, Outs: []kernels.Out{{Elem: tile.F32, Strides: []int64{45, 1}}}},
			rowsOfS*45, int(packing.Len(1, 50, 45)), ids)
	}
	// A row of tasks, with a residual in bfloat16, and the same from an address where no four lie together.
	for name, aligned := range map[string]bool{"map_wide": true, "map_wide_unaligned": false} {
		add(name, &kernels.Map{Dims: []kernels.Size{overS, kernels.Const(1500)}, In: []kernels.Operand{{Elem: tile.F32, Strides: []int64{1500, 1}, Aligned: aligned},
			{Elem: tile.BF16, Strides: []int64{1500, 1}, Aligned: true}, {Elem: tile.F32, Strides: []int64{1, 0}, Aligned: true}},
			Exprs: []*scalar.Expr{fn(scalar.FMA, f32(0), f32(2), f32(1))}, Outs: []kernels.Out{{Elem: tile.F16, Strides: []int64{1500, 1}, Aligned: true}}},
			rowsOfS*1500, rowsOfS*1500, rowsOfS*1500, rowsOfS)
	}
	// A chain over 5003 elements in one dimension, more than a task of a warp.
	inner := fn(scalar.Mul, scalar.C(0.79788456), fn(scalar.FMA, fn(scalar.Mul, f32(0), scalar.C(0.044715)), fn(scalar.Mul, f32(0), f32(0)), f32(0)))
	gelu := fn(scalar.Mul, fn(scalar.Mul, scalar.C(0.5), f32(0)), fn(scalar.Add, add1, fn(scalar.Tanh, inner)))
	add("map_chain", &kernels.Map{Dims: []kernels.Size{kernels.Const(5003)}, In: []kernels.Operand{{Elem: tile.F32, Strides: []int64{1}}, {Elem: tile.F16, Strides: []int64{1}}},
		Exprs: []*scalar.Expr{fn(scalar.Mul, gelu, f32(1))}, Outs: []kernels.Out{{Elem: tile.F16, Strides: []int64{1}}}}, 5003, 5003, 5003)
	slices.SortFunc(cases, func(a, b rowCase) int { return map[bool]int{true: -1, false: 1}[a.name < b.name] })
	return cases
}

func (c rowCase) kernel(t testing.TB) *Kernel {
	t.Helper()
	k, _, err := widest(c.name, c.spec)
	if err != nil {
		t.Fatal(err)
	}
	return emitted(t, k)
}

// The templates built for warps give the interpreter's bits.
func TestRowsMatchInterpreter(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, c := range rowCases() {
		c.compare(t, rng)
	}
}

// compare runs the kernel on random operands as PTX and in the interpreter.
func (c rowCase) compare(t *testing.T, rng *rand.Rand) {
	t.Helper()
	k, _, err := widest(c.name, c.spec)
	if err != nil {
		t.Fatal(err)
	}
	var args []any
	for i, a := range k.Args {
		switch a.Kind {
		case kernels.ArgIn:
			if v, ok := c.in[a.Index].([]int32); ok {
				args = append(args, v)
				continue
			}
			args = append(args, inputs(rng, k.Tile.Params[i].Type.Elem, c.in[a.Index].(int)))
		case kernels.ArgOut:
			args = append(args, inputs(rng, k.Tile.Params[i].Type.Elem, c.out))
		case kernels.ArgSym:
			args = append(args, map[string]int{"S": rowsOfS, "past": 11}[a.Sym])
		}
	}
	tasks := int64(1)
	for _, f := range k.Tasks {
		n := f.Size.N
		if f.Size.Sym != "" {
			n = rowsOfS
		}
		tasks *= (n + f.Div - 1) / f.Div
	}
	compareWithInterpreter(t, k, tasks, args...)
}

// A warp's work is one instruction for 32 elements: so many are executed that a kernel without vectors is seen.
func TestRowsUseTheWarp(t *testing.T) {
	e := one(t, "scale", &kernels.Map{Dims: []kernels.Size{kernels.Const(1024)}, In: []kernels.Operand{{Elem: tile.F32, Strides: []int64{1}, Aligned: true}},
		Exprs: []*scalar.Expr{fn(scalar.Mul, f32(0), scalar.C(2))}, Outs: []kernels.Out{{Elem: tile.F32, Strides: []int64{1}, Aligned: true}}})
	for _, access := range []string{"ld.global.v4.f32", "st.global.v4.f32"} {
		if !strings.Contains(e.Text, access) {
			t.Errorf("no %s", access)
		}
	}
	x := randoms(rand.New(rand.NewPCG(7, 8)), 1024)
	out := emu.Pointer{Memory: &emu.Memory{Data: make([]byte, 4096)}}
	stats := launch(t, parsed(t, e), e, (1024+e.Tasks[0].Div-1)/e.Tasks[0].Div, memory(t, x), out)
	for i := range x {
		if got := element(tile.F32, out.Memory.Data, i); got != 2*float64(x[i]) {
			t.Fatalf("element %d is %g, want %g", i, got, 2*x[i])
		}
	}
	if stats.Instructions > 300 {
		t.Errorf("%d instructions for 1024 elements", stats.Instructions)
	}
}
