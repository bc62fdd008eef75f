package ir

import (
	"slices"
	"strings"
	"testing"
)

// diamond returns a function y = exp(x) + neg(exp(x)) with a state and one dead operation.
func diamond() *Func {
	f := (&Module{Symbols: []Symbol{{"S", 7}}}).NewFunc("f")
	x := f.AddParam(Input, "x", "", T(F32, Sym("S"), D(3)))
	k := f.AddParam(State, "k", "", T(F32, D(9), D(3)))
	f.AddParam(Weight, "w", "unused.weight", T(BF16, D(5)))
	b := NewBuilder(f)
	e := b.Op(OpExp, nil, x)
	b.Op(OpAbs, nil, e)
	n := b.Op(OpNeg, nil, e)
	f.Return("y", b.Op(OpAdd, nil, e, n))
	f.Update(k, b.Op(OpDynamicUpdateSlice, nil, k, x, b.Const(I32, 0)))
	return f
}

func names(f *Func) string {
	var s []string
	for _, op := range f.Ops {
		s = append(s, op.Def.Name)
	}
	return strings.Join(s, " ")
}

func verify(t *testing.T, f *Func) {
	t.Helper()
	if err := f.Module.Verify(); err != nil {
		t.Errorf("%v\n%s", err, f)
	}
}

func TestUsesAndDeadCode(t *testing.T) {
	f := diamond()
	verify(t, f)
	exp, add := f.Ops[0], f.Ops[3]
	uses := f.Uses()
	if got := uses.Of(exp.Result()); len(got) != 3 || got[2] != (Use{add, 0}) {
		t.Errorf("exp is used at %v", got)
	}
	if got := uses.Of(add.Result()); len(got) != 1 || got[0] != (Use{nil, 0}) {
		t.Errorf("add is used at %v", got)
	}
	if n := f.RemoveDead(); n != 1 || names(f) != "exp neg add constant dynamic_update_slice" {
		t.Errorf("%d removed, left %s", n, names(f))
	}
	if n := f.RemoveUnusedParams(); n != 1 || len(f.Params) != 2 {
		t.Errorf("%d parameters removed, left %d", n, len(f.Params))
	}
	verify(t, f)
}

func TestReplaceFollowsReplacements(t *testing.T) {
	f := diamond()
	x, exp, neg, add := f.Params[0], f.Ops[0], f.Ops[2], f.Ops[3]
	f.Replace(map[*Value]*Value{add.Result(): neg.Result(), neg.Result(): exp.Result(), exp.Result(): x})
	if f.Results[0].Value != x {
		t.Errorf("the result is %v", f.Results[0].Value)
	}
	f.RemoveDead()
	if names(f) != "constant dynamic_update_slice" {
		t.Errorf("left %s", names(f))
	}
	verify(t, f)
}

func TestInsertBeforeAndSort(t *testing.T) {
	f := diamond()
	add := f.Ops[3]
	b := Before(f, add)
	twice := b.Op(OpMul, nil, add.In[0], b.Const(F32, 2))
	add.In[0] = twice
	if got, want := names(f), "exp abs neg constant mul add constant dynamic_update_slice"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	verify(t, f)
	slices.Reverse(f.Ops)
	if f.Verify() == nil {
		t.Error("reversed operations verify")
	}
	f.Sort()
	verify(t, f)
}

func TestCloneSharesNothingMutable(t *testing.T) {
	f := diamond()
	f.Ops[0].Result().Buf = &Buffer{Space: States, Param: f.Params[1], Strides: []int64{3, 1}}
	m := f.Module.Clone()
	g, before := m.Func("f"), f.String()
	if g.String() != before {
		t.Errorf("the copy is\n%s", g)
	}
	if g.Ops[0].Result().Buf.Param != g.Params[1] {
		t.Error("the copy's buffer is of the original's state")
	}
	g.ReplaceAllUses(g.Ops[0].Result(), g.Params[0])
	g.RemoveDead()
	g.Params[0].Name = "z"
	g.Results[0].Name = "z"
	if f.String() != before {
		t.Errorf("the original changed to\n%s", f)
	}
	verify(t, g)
}

// What the verifier must find: each case breaks a correct function.
func TestVerifyFindsDefects(t *testing.T) {
	for want, damage := range map[string]func(f *Func){
		"@f %0 exp: operand 0 (%2) is not defined before it":           func(f *Func) { f.Ops[0].In[0] = f.Ops[2].Result() },
		"has the type i32[S,3], its operands make it f32[S,3]":         func(f *Func) { f.Ops[0].Result().Type.DType = I32 },
		"@f %3 add: has 1 operand, expected 2":                         func(f *Func) { f.Ops[3].In = f.Ops[3].In[:1] },
		"is defined twice":                                             func(f *Func) { f.Ops = append(f.Ops, f.Ops[0]) },
		"abs: is defined twice, or its number is another value's":      func(f *Func) { f.Ops[1].Result().ID = f.Ops[0].Result().ID },
		"exp: is defined twice, or its number is another value's":      func(f *Func) { f.Ops[0].Result().ID = 1 << 20 },
		"x: is not a parameter value of its own":                       func(f *Func) { f.Params[0].ID = -1 },
		"has attributes of type ir.AxisAttrs, expected <nil>":          func(f *Func) { f.Ops[0].Attrs = AxisAttrs{} },
		"symbol S is not declared":                                     func(f *Func) { f.Module.Symbols = nil },
		"@f return y: result 0 is not defined":                         func(f *Func) { f.Results[0].Value = &Value{} },
		"is not an update of a state, or its second":                   func(f *Func) { f.Results[1].State = f.Params[0] },
		"occurs twice or is a keyword":                                 func(f *Func) { f.Return("y", f.Params[0]) },
		"parameter name is not an identifier or occurs twice":          func(f *Func) { f.Params[0].Name = "k" },
		"a weight, and nothing else, has a checkpoint name":            func(f *Func) { f.Params[2].Key = "" },
		"state has the type f32[S,3], expected constant dimensions":    func(f *Func) { f.Params[1].Type.Shape[0] = Sym("S") },
		"is not in the table of operations":                            func(f *Func) { f.Ops[0].Def = &OpDef{Name: "exp", In: one(Floats), Infer: OpExp.Infer} },
		"operation without definition":                                 func(f *Func) { f.Ops[0].Result().Def = nil },
		`function "f" is defined twice`:                                func(f *Func) { f.Clone(f.Module) },
		"symbol S has the bound -1":                                    func(f *Func) { f.Module.Symbols[0].Max = -1 },
		"dimension 0 of the update is up to 10, that of the state 9":   func(f *Func) { f.Module.Symbols[0].Max = 10 },
		"state is f32[9,3], its update f32[S,3]":                       func(f *Func) { f.Results[1].Value = f.Params[0] },
		`weight "unused.weight" is bf16[6] here and bf16[5] elsewhere`: func(f *Func) { c := f.Clone(f.Module); c.Name = "g"; c.Params[2].Type.Shape = Dims(6) },
		"dimension 4294967296 is not from 0 to":                        func(f *Func) { f.Params[2].Type.Shape = Dims(1 << 32) },
		`attributes {spec="ij,kj->ik"} are not in canonical form`:      func(f *Func) { badEinsum(f) },
		"expression refers to @1, the operation has 1 accumulator":     func(f *Func) { badMatmul(f) },
		"symbol past is not declared":                                  func(f *Func) { f.Insert(nil, must(NewOp(OpSymbol, SymbolAttrs{"past"}))) },
		"slice limit S (at most 7) may exceed axis 0 of bf16[5]":       func(f *Func) { f.Insert(nil, must(NewOp(OpSlice, SliceAttrs{0, D(0), Sym("S")}, f.Params[2]))) },
		"@f %0 exp: operand 0 () is not defined before it":             func(f *Func) { f.Ops[0].In[0] = (&Func{}).AddParam(Input, "x", "", f.Params[0].Type) },
		"state k has batch slots here or elsewhere, expected the same": func(f *Func) { c := f.Clone(f.Module); c.Name = "g"; c.Params[1].PerSlot = true },
		"state k2 has 8 batch slots, others have 9": func(f *Func) {
			f.Params[1].PerSlot = true
			f.AddParam(State, "k2", "", T(F32, D(8))).PerSlot = true
		},
		"@f %x: a state of one dimension or more, and nothing else, has batch slots": func(f *Func) { f.Params[0].PerSlot = true },
		"@f %k: is not a parameter value of its own":                                 func(f *Func) { f.Params[1].Def = f.Ops[0] },
		"function \"\" is defined twice or its name is not an identifier":            func(f *Func) { f.Name = "" },
	} {
		f := diamond()
		damage(f)
		if err := f.Module.Verify(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func must(op *Op, err error) *Op {
	if err != nil {
		panic(err)
	}
	return op
}

func badEinsum(f *Func) {
	v := NewBuilder(f).Op(OpEinsum, EinsumAttrs{"ij,kj->ik"}, f.Params[0], f.Params[1])
	if got := v.Def.Attrs.(EinsumAttrs).Spec; got != "ab,cb->ac" {
		panic("the builder does not make the spec canonical: " + got)
	}
	v.Def.Attrs = EinsumAttrs{"ij,kj->ik"}
}

func badMatmul(f *Func) {
	v := NewBuilder(f).Op(OpMatmul, MatmulAttrs{Accs: 1, Epilogue: []*Expr{Acc(0)}}, f.Params[0], f.Params[1])
	v.Def.Attrs = MatmulAttrs{Accs: 1, Epilogue: []*Expr{Acc(1)}}
}

func TestBuilderPanicsWithTheOperation(t *testing.T) {
	f := diamond()
	defer func() {
		e, ok := recover().(*Error)
		if !ok || e.Error() != "m.go:3: @f add: shapes do not broadcast: [S,3] and [9,3]" {
			t.Errorf("got %v", e)
		}
	}()
	b := NewBuilder(f)
	b.Loc = Loc{File: "m.go", Line: 3}
	b.Op(OpAdd, nil, f.Params[0], f.Params[1])
}

// An operation of several results lives as long as one of them is needed, and is copied and replaced with all of them.
func TestSeveralResults(t *testing.T) {
	m := &Module{}
	f := m.NewFunc("f")
	x := f.AddParam(Input, "x", "", T(F32, Dims(2, 3)...))
	w := f.AddParam(Weight, "w", "w", T(F32, Dims(4, 3)...))
	b := NewBuilder(f)
	product := b.Add(OpMatmul, MatmulAttrs{Accs: 2, Epilogue: []*Expr{Acc(0), Call(OpTanh, Acc(1))}}, x, w, w)
	b.Op(OpNeg, nil, product.Results[0])
	f.Return("y", b.Op(OpExp, nil, product.Results[1]))
	verify(t, f)
	const want = "%0, %1 = matmul %x, %w, %w {accs=2, epilogue=[@0, tanh(@1)]} : f32[2,4], f32[2,4]"
	if got := f.String(); !strings.Contains(got, want) || !strings.Contains(got, "%3 = exp %1") {
		t.Errorf("printed as\n%s", got)
	}
	if n := f.RemoveDead(); n != 1 || len(f.Ops) != 2 {
		t.Errorf("%d operations removed, expected the negation only:\n%s", n, f)
	}
	g := m.Clone().Funcs[0]
	verify(t, g)
	if g.Ops[1].In[0] != g.Ops[0].Results[1] || g.Ops[0].Results[1] == product.Results[1] {
		t.Error("the copy does not use a result of its own")
	}
	g.ExpandFused()
	verify(t, g)
	if got := g.String(); strings.Contains(got, "matmul") || strings.Count(got, "einsum") != 1 {
		t.Errorf("expanded to\n%s", got)
	}
	product.Results[0].Type = T(F32, Dims(2, 5)...)
	if err := f.Verify(); err == nil || !strings.Contains(err.Error(), "has the type f32[2,5], f32[2,4], its operands make it f32[2,4], f32[2,4]") {
		t.Errorf("a wrong type of one result: %v", err)
	}
	product.Results = product.Results[:1]
	if err := f.Verify(); err == nil || !strings.Contains(err.Error(), "is not defined before it") {
		t.Errorf("a result that is missing: %v", err)
	}
}
