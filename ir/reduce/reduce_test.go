package reduce_test

import (
	"strings"
	"testing"

	"pgc/ir"
	"pgc/ir/fuzz"
	"pgc/ir/reduce"
)

// tanhOfSum reports whether m holds the pattern that stands for a defect.
func tanhOfSum(m *ir.Module) bool {
	for _, f := range m.Funcs {
		for _, op := range f.Ops {
			if op.Def == ir.OpTanh && op.In[0].Def != nil && op.In[0].Def.Def == ir.OpReduceSum {
				return true
			}
		}
	}
	return false
}

// What is left of forty random functions is the pattern and nothing else, and the original is untouched.
func TestModule(t *testing.T) {
	m := fuzz.NewModule()
	for i := range uint64(40) {
		fuzz.Func(m, 1+i)
	}
	if !tanhOfSum(m) {
		t.Fatal("no function holds the pattern")
	}
	before := m.String()
	small, tried := reduce.Module(m, tanhOfSum), 0
	if m.String() != before {
		t.Error("the module was changed")
	}
	f := small.Funcs[0]
	if len(small.Funcs) != 1 || len(f.Ops) != 2 || len(f.Params) != 1 || len(f.Results) != 1 || len(small.Symbols) != 0 {
		t.Errorf("not small:\n%s", small)
	}
	if s := f.Params[0].Type.String(); strings.Trim(s, "f32[1,]") != "" {
		t.Errorf("the input is %s, expected dimensions of 1", s)
	}
	again := reduce.Module(m, func(m *ir.Module) bool { tried++; return tanhOfSum(m) })
	if again.String() != small.String() {
		t.Errorf("reduced again it is another module:\n%s", again)
	}
	t.Logf("%d candidates, of %d bytes are left:\n%s", tried, len(before), small)
}

// Of an operation with several results, those stay that show the defect.
func TestSeveralResults(t *testing.T) {
	m := &ir.Module{}
	f := m.NewFunc("f")
	x := f.AddParam(ir.Input, "x", "", ir.T(ir.F32, ir.Dims(3, 5)...))
	w := f.AddParam(ir.Weight, "w", "w", ir.T(ir.F32, ir.Dims(7, 5)...))
	v := f.AddParam(ir.Weight, "v", "v", ir.T(ir.F32, ir.Dims(7, 5)...))
	b := ir.NewBuilder(f)
	product := b.Add(ir.OpMatmul, ir.MatmulAttrs{Accs: 2, Epilogue: []*ir.Expr{ir.Acc(0), ir.Call(ir.OpExp, ir.Acc(1))}}, x, w, v)
	f.Return("y", b.Op(ir.OpNeg, nil, product.Results[0]))
	f.Return("z", b.Op(ir.OpTanh, nil, b.Op(ir.OpReduceSum, nil, b.Op(ir.OpTanh, nil, product.Results[1]))))
	if err := m.Verify(); err != nil {
		t.Fatal(err)
	}
	// The second result of a matmul is read by a tanh.
	small := reduce.Module(m, func(m *ir.Module) bool {
		for _, op := range m.Funcs[0].Ops {
			if d := op.In[0].Def; op.Def == ir.OpTanh && d != nil && d.Def == ir.OpMatmul && op.In[0] == d.Results[1] {
				return true
			}
		}
		return false
	})
	if f := small.Funcs[0]; len(f.Ops) != 2 || len(f.Results) != 1 || small.Verify() != nil {
		t.Errorf("not small:\n%s", small)
	}
}
