package codegen_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgc/frontend/text"
	"pgc/ir"
	"pgc/ir/eval"
	"pgc/ir/quant"
	"pgc/ir/scalar"
	"pgc/ir/target"
	"pgc/ir/target/targettest"
	"pgc/passes"
)

// softsign is all that adding an elementwise operation takes; the conformance run below finds it in the table.
var softsign = ir.Define(ir.OpDef{Name: "softsign", Doc: "x/(1+|x|)", In: []ir.Operands{{Name: "x", Types: ir.Floats}}, Tol: ir.Tol{ULP: 2},
	Scalar: func(x []*scalar.Expr) *scalar.Expr {
		return scalar.Fn(scalar.Div, x[0], scalar.Fn(scalar.Add, scalar.C(1), scalar.Fn(scalar.Abs, x[0])))
	}})

// noKernel are the cases that are for the compiler, not for kernels, with the reason.
var noKernel = map[string]string{
	"convert i8g32[3,53]": "groups of integers are read by products and lookups only",
	"convert f32[2,131]":  "only weights are stored in 4 bits, by the compiler",
}

// conformance puts every case of the given operations, as a function of its own, into one module. Operands that only a
// weight or a state can be become one.
func conformance(t testing.TB, ops []*ir.OpDef) (*ir.Module, map[string]*eval.Case, weights) {
	t.Helper()
	m, byFunc, w := &ir.Module{}, map[string]*eval.Case{}, weights{}
	rng := rand.New(rand.NewPCG(9, 10))
	for _, def := range ops {
		cases, err := eval.Cases(def)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range cases {
			if why := noKernel[c.Name]; why != "" {
				t.Logf("%s is not compiled: %s", c.Name, why)
				continue
			}
			if !slices.ContainsFunc(c.Func.Results, func(r ir.Result) bool { return ir.Overwritten(r.Value) != nil }) {
				c.Widen()
			}
			f := c.Func.Clone(m)
			f.Name = fmt.Sprintf("%s.%d", def.Name, i)
			byFunc[f.Name] = c
			op := f.Ops[0]
			for j, p := range f.Params {
				p.Name = fmt.Sprintf("%s.%s", f.Name, p.Name)
				if def == ir.OpMatmul && slices.Contains(matricesOf(f.Ops[0]), p) {
					p.Kind, p.Key = ir.Weight, p.Name
					name := fmt.Sprintf("x%d", j)
					w[p.Key] = c.Inputs[name]
					if p.Type.DType.IsQuantized() { // again from floats, which the compiler quantizes
						if w[p.Key], err = eval.Random(rng, raw(p.Type), nil, ir.Range{Lo: -1, Hi: 1}); err != nil {
							t.Fatal(err)
						}
						c.Inputs[name] = w[p.Key].Convert(p.Type.DType)
						if err := c.Evaluate(); err != nil {
							t.Fatal(err)
						}
					}
				}
				for k, r := range f.Results {
					if p == ir.Overwritten(r.Value) {
						p.Kind, f.Results[k] = ir.State, ir.Result{State: p, Value: r.Value}
					}
				}
				if def == ir.OpDynamicUpdateSlice && j >= 2 { // where an update begins is a symbol or a constant
					op.In[j] = ir.Before(f, op).Const(ir.I32, c.Inputs[fmt.Sprintf("x%d", j)].Data[0])
				}
			}
			if y := f.Results[0].Value; c.Want[0].DType.IsQuantized() { // a product reads it, and its memory is looked at
				key := f.Name + ".w"
				matrix := f.AddParam(ir.Weight, key, key, ir.T(y.Type.DType, ir.D(3), y.Type.Last()))
				if w[key], err = eval.Random(rng, raw(matrix.Type), nil, ir.Range{Lo: -1, Hi: 1}); err != nil {
					t.Fatal(err)
				}
				f.Results[0].Value = ir.NewBuilder(f).Op(ir.OpMatmul, ir.MatmulAttrs{Accs: 1, Epilogue: []*ir.Expr{ir.Acc(0)}}, y, matrix)
			}
			for k, r := range f.Results {
				if r.State == nil {
					f.Results[k].Name = f.Name + "." + r.Name
				}
			}
			for name, n := range c.Syms {
				k := slices.IndexFunc(m.Symbols, func(s ir.Symbol) bool { return s.Name == name })
				if k < 0 {
					k = len(m.Symbols)
					m.Symbols = append(m.Symbols, ir.Symbol{Name: name})
				}
				m.Symbols[k].Max = max(m.Symbols[k].Max, n+2)
			}
		}
	}
	return m, byFunc, w
}

// matricesOf lists the matrices that a matmul multiplies by.
func matricesOf(op *ir.Op) []*ir.Value {
	a := ir.ViewMatmul(op)
	list := slices.Clone(a.Weights)
	for _, s := range a.Second {
		list = append(list, s.W)
	}
	return list
}

// TestConformance compiles every operation of the table and runs it on its cases against the reference evaluator.
func TestConformance(t *testing.T) {
	// These bound symbols by the rows of an operand, so they have a module of their own.
	bounded := []*ir.OpDef{ir.OpDynamicUpdateSlice, ir.OpSlice}
	others := slices.DeleteFunc(ir.Ops(), func(def *ir.OpDef) bool { return slices.Contains(bounded, def) })
	for _, tgt := range targettest.Runnable(t) {
		t.Run(tgt.Name, func(t *testing.T) {
			conform(t, tgt, bounded)
			if names := conform(t, tgt, others); !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, softsign.Name+".") }) {
				t.Error("the new operation was not among them")
			}
		})
	}
}

// conform runs the cases of some operations and returns their names.
func conform(t *testing.T, tgt target.Target, ops []*ir.OpDef) (names []string) {
	m, cases, w := conformance(t, ops)
	plain := m.Clone()
	e := compiled(t, m, w, tgt, 2)
	worst, at := 0.0, ""
	for _, f := range plain.Funcs {
		names = append(names, f.Name)
		c := cases[f.Name]
		for j, p := range f.Params {
			if p.Kind == ir.Input {
				putTensor(t, e, m, f.Name, p.Name, p.Type, c.Inputs[fmt.Sprintf("x%d", j)])
			}
		}
		name := func(r ir.Result) string {
			if r.State == nil {
				return r.Name
			}
			return r.State.Name
		}
		for _, r := range f.Results {
			if r.State != nil {
				putTensor(t, e, m, f.Name, name(r), r.State.Type, c.Inputs[fmt.Sprintf("x%d", slices.Index(f.Params, r.State))])
			}
		}
		call(t, e, f.Name, c.Syms)
		var got []*eval.Tensor
		for k, r := range f.Results {
			x := eval.New(c.Want[k].DType, c.Want[k].Shape...)
			if x.DType.IsQuantized() {
				groups := groupsOf(m.Func(f.Name), x.DType)
				data := make([]byte, m.Bytes(groups.Type))
				if err := e.Arena().GetBytes(groups.Buf.Offset, data); err != nil {
					t.Fatal(err)
				}
				gatherGroups(t, data, x)
			} else {
				getTensor(t, e, m, f.Name, name(r), r.Value.Type, x)
			}
			got = append(got, x)
		}
		share, bad := c.Check(got...)
		if bad != nil {
			t.Errorf("@%s: %v", f.Name, bad)
		}
		if share > worst {
			worst, at = share, f.Name
		}
	}
	t.Logf("%d cases of %d operations: at most %.2g of the error allowed (%s)", len(names), len(ops), worst, at)
	return names
}

// elements calls f with the number of every element of a tensor and the bytes of memory where it lies: in row-major
// order with symbols at their bounds, booleans as i32.
func elements(m *ir.Module, memory []byte, t ir.Type, x *eval.Tensor, f func(i int, at []byte)) {
	strides, size := m.DenseStrides(t.Shape), t.DType.MemoryBytes()
	for i := range x.Data {
		off, rest := int64(0), i
		for d := len(x.Shape) - 1; d >= 0; d-- {
			off += int64(rest%x.Shape[d]) * strides[d]
			rest /= x.Shape[d]
		}
		f(i, memory[off*size:(off+1)*size])
	}
}

func stored(d ir.DType) ir.DType {
	if d == ir.Bool {
		return ir.I32
	}
	return d
}

func scatter(m *ir.Module, memory []byte, t ir.Type, x *eval.Tensor) {
	elements(m, memory, t, x, func(i int, at []byte) {
		one := eval.Tensor{DType: stored(t.DType), Data: x.Data[i : i+1]}
		copy(at, one.Encode())
	})
}

func gather(t testing.TB, m *ir.Module, memory []byte, typ ir.Type, x *eval.Tensor) {
	elements(m, memory, typ, x, func(i int, at []byte) {
		one, err := eval.Decode(stored(typ.DType), at)
		if err != nil {
			t.Fatal(err)
		}
		x.Data[i] = one.Data[0]
	})
}

// groupsOf is the first value of f that is stored as d.
func groupsOf(f *ir.Func, d ir.DType) *ir.Value {
	i := slices.IndexFunc(f.Ops, func(op *ir.Op) bool { return op.Results[0].Type.DType == d })
	return f.Ops[i].Results[0]
}

// gatherGroups reads rows of 8-bit groups, whose sums must be those of their integers.
func gatherGroups(t *testing.T, memory []byte, x *eval.Tensor) {
	t.Helper()
	le := binary.LittleEndian
	_, group := x.DType.Group()
	k := x.Shape[len(x.Shape)-1]
	row := quant.RowLayout(int64(k), int64(group))
	for i := range x.Data {
		at := memory[int64(i/k)*row.Bytes:]
		number := 4 * int64(i%k/group)
		scale := math.Float32frombits(le.Uint32(at[row.Scales+number:]))
		x.Data[i] = float64(float32(int8(at[i%k])) * scale)
		if i%k%group > 0 {
			continue
		}
		total := 0
		for _, q := range at[i%k : min(i%k+group, k)] {
			total += int(int8(q))
		}
		sum, offset := math.Float32frombits(le.Uint32(at[row.Sums+number:])), int32(le.Uint32(at[row.Offsets+number:]))
		if sum != float32(total)*scale || offset != int32(-quant.Offset*total) {
			t.Errorf("group at %d: sum %g and offset %d, expected %g and %d", i, sum, offset, float32(total)*scale, -quant.Offset*total)
		}
	}
}

// A new elementwise operation fuses as the old ones do.
func TestNewOperationFuses(t *testing.T) {
	m, err := text.Parse("f.pgir", `func @f(%x: input f32[3,5], %w: weight "w" f32[7,5]) {
  %0 = einsum %x, %w {spec="ab,cb->ac"} : f32[3,7]
  %1 = softsign %0 : f32[3,7]
  %2 = softsign %x : f32[3,5]
  %3 = exp %2 : f32[3,5]
  return y=%1 : f32[3,7], z=%3 : f32[3,5]
}`)
	if err != nil {
		t.Fatal(err)
	}
	if err := passes.Optimize(m, passes.Options{Check: true}); err != nil {
		t.Fatal(err)
	}
	got := m.String()
	if len(m.Funcs[0].Ops) != 2 || !strings.Contains(got, "epilogue=[softsign(@0)") || !strings.Contains(got, "exprs=[exp(softsign($0))]") {
		t.Errorf("not fused:\n%s", got)
	}
}
