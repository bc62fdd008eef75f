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
