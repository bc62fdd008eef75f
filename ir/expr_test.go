package ir

import (
	"math"
	"strings"
	"testing"

	"pgc/ir/scalar"
)

func TestExprText(t *testing.T) {
	x := Operand(0)
	for want, e := range map[string]*Expr{
		"mul(gelu_tanh(@0), @1)":                    Call(OpMul, Call(OpGeluTanh, Acc(0)), Acc(1)),
		"mul($0, rsqrt(add(div(#0, 16.0), 1e-06)))": Call(OpMul, x, Call(OpRsqrt, Call(OpAdd, Call(OpDiv, Reduced(0), Num(16)), Num(1e-6)))),
		"mul(&0=exp($0), &0)":                       Call(OpMul, Call(OpExp, x), Call(OpExp, Operand(0))),
		"sub(&0=add(&1=exp($0), &1), neg(mul(&0, &1)))": func() *Expr {
			e := Call(OpExp, x)
			s := Call(OpAdd, e, e)
			return Call(OpSub, s, Call(OpNeg, Call(OpMul, s, e)))
		}(),
		"select(true, f32(3), -inf)": Call(OpSelect, ConstExpr(Bool, 1), Cast(F32, ConstExpr(I32, 3)), Num(math.Inf(-1))),
		"add(-0.0, nan)":             Call(OpAdd, Num(math.Copysign(0, -1)), Num(math.NaN())),
	} {
		if got := e.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if Num(0).Equal(Num(math.Copysign(0, -1))) || Num(1).Equal(ConstExpr(I32, 1)) || !Num(math.NaN()).Equal(Num(math.NaN())) {
		t.Error("constants are told apart wrongly")
	}
}

// An expression whose tree has 2^60 nodes is printed, compared, rewritten, typed and built in no time.
func TestExprSharing(t *testing.T) {
	chain := func(e *Expr) *Expr {
		for range 60 {
			e = Call(OpMul, Call(OpAdd, e, e), Num(0.5))
		}
		return e
	}
	e := chain(Call(OpExp, Operand(0)))
	if n := len(e.String()); n > 60*50 {
		t.Errorf("its text has %d bytes", n)
	}
	if !e.Equal(chain(Call(OpExp, Operand(0)))) || e.Equal(chain(Call(OpNeg, Operand(0)))) {
		t.Error("comparison is wrong")
	}
	r := e.Rewrite(func(l *Expr) *Expr {
		if l.Kind == ExprOperand {
			return Operand(l.Index + 3)
		}
		return l
	})
	if refs := refsOf(r); !refs[3] || len(refs) != 1 {
		t.Errorf("rewritten, it refers to %v", refs)
	}
	s, err := e.Scalar(func(l *Expr) (*scalar.Expr, error) { return scalar.X(l.Index, scalar.F32), nil })
	if err != nil || scalar.Eval(s, []float64{0}) != 1 {
		t.Errorf("as a scalar expression it is wrong: %v", err)
	}
	f := (&Module{}).NewFunc("f")
	x := f.AddParam(Input, "x", "", T(F32, D(3)))
	NewBuilder(f).Expr(e, func(*Expr) *Value { return x })
	if n := len(f.Ops); n != 1+60*3 {
		t.Errorf("%d operations were built, want 181", n)
	}
}

func TestExprTypeErrors(t *testing.T) {
	x := []Type{T(BF16, D(3)), T(I32, D(3))}
	for want, e := range map[string]*Expr{
		"add operands x and y are f32 and i32, expected one type": Call(OpAdd, Operand(0), Operand(1)),
		"exp operand x is i32, expected f32":                      Call(OpExp, Operand(1)),
		"convert is not elementwise":                              Call(OpConvert, Operand(1)),
		"expression refers to $2, the operation has 2 operands":   Operand(2),
		"expression refers to @0":                                 Acc(0),
		"add has 1 operand, expected 2":                           Call(OpAdd, Operand(0)),
	} {
		if _, err := OpMap.InferType(x, MapAttrs{Exprs: []*Expr{e}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestBroadcast(t *testing.T) {
	s := Sym("S")
	for _, c := range []struct{ a, b, want []Dim }{
		{Dims(3, 1), Dims(5), Dims(3, 5)},
		{[]Dim{s, D(1)}, Dims(4), []Dim{s, D(4)}},
		{nil, []Dim{s}, []Dim{s}},
		{Dims(0, 5), Dims(5), Dims(0, 5)},
		{Dims(0), Dims(1), Dims(0)},
		{[]Dim{s}, []Dim{Sym("T")}, nil},
		{[]Dim{s}, Dims(7), nil},
		{Dims(2), Dims(3), nil},
	} {
		for range 2 {
			got, err := Broadcast(c.a, c.b)
			if (err != nil) != (c.want == nil) || FormatDims(got) != FormatDims(c.want) {
				t.Errorf("%s with %s: got %s, %v, want %s", FormatDims(c.a), FormatDims(c.b), FormatDims(got), err, FormatDims(c.want))
			}
			c.a, c.b = c.b, c.a
		}
	}
}

// The schema of every operation's attributes is complete: each field has a name and a kind that prints.
func TestAttributeSchemas(t *testing.T) {
	for _, def := range Ops() {
		seen := map[string]bool{}
		for _, f := range def.Fields() {
			if f.Name == "" || seen[f.Name] {
				t.Errorf("%s: attribute %d has no name of its own", def.Name, f.Index)
			}
			seen[f.Name] = true
		}
		if def.Doc == "" {
			t.Errorf("%s has no documentation", def.Name)
		}
		if OpNamed(def.Name) != def || def.String() != def.Name {
			t.Errorf("%s is not found by its name", def.Name)
		}
	}
}

// Equal reports whether e and x compute the same by the same operations.
func (e *Expr) Equal(x *Expr) bool { return e == x || e.String() == x.String() }
