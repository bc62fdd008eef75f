package llvm

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgc/codegen/link/linktest"
	"pgc/ir/scalar"
	"pgc/ir/target"
	"pgc/ir/tile"
	"pgc/runtime/cpufeature"
)

// targets lists the targets that this machine can run.
func targets(t testing.TB) []target.Target {
	var out []target.Target
	for _, name := range []string{"x86-64-v3", "x86-64-v4"} {
		tgt, err := target.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := cpufeature.Check(tgt.Features); err != nil {
			t.Logf("%s skipped: %v", name, err)
			continue
		}
		out = append(out, tgt)
	}
	return out
}

func compile(t testing.TB, tgt target.Target, ks ...*tile.Kernel) *linktest.Code {
	t.Helper()
	for _, k := range ks {
		if err := tile.Verify(k); err != nil {
			t.Fatal(err)
		}
	}
	m, err := Emit(ks)
	if err != nil {
		t.Fatal(err)
	}
	obj, err := Assemble(context.Background(), []byte(m.String()), tgt)
	if err != nil {
		t.Fatalf("%v\n%s", err, m)
	}
	return linktest.Load(t, obj)
}

func bytesOf(v []float32) tile.Buffer {
	b := make(tile.Buffer, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(x))
	}
	return b
}

// opsKernel computes out[i] = expression of x[i], y[i], z[i] for n elements with a tail, lanes at a time.
func opsKernel(t *testing.T, name string, lanes int, body func(b *tile.Builder, x, y, z *tile.Value) *tile.Value) *tile.Kernel {
	k, err := tile.Build(name, func(b *tile.Builder) {
		px, py, pz, out, n := b.Ptr("x", tile.F32), b.Ptr("y", tile.F32), b.Ptr("z", tile.F32), b.Ptr("out", tile.F32), b.Scalar("n")
		full := b.Mul(b.Div(n, b.Int(int64(lanes))), b.Int(int64(lanes)))
		b.Range(b.Int(0), full, b.Int(int64(lanes)), func(i *tile.Value) {
			b.Store(out, i, body(b, b.Load(px, i, lanes), b.Load(py, i, lanes), b.Load(pz, i, lanes)))
		})
		b.When(b.Compare(tile.LT, full, n), func() {
			rest := b.Sub(n, full)
			b.StoreTail(out, full, body(b, b.LoadTail(px, full, lanes, rest), b.LoadTail(py, full, lanes, rest), b.LoadTail(pz, full, lanes, rest)), rest)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestOpsMatchInterpreter(t *testing.T) {
	bodies := map[string]func(b *tile.Builder, x, y, z *tile.Value) *tile.Value{
		"arith": func(b *tile.Builder, x, y, z *tile.Value) *tile.Value {
			return b.Sub(b.Div(b.Mul(x, y), b.Add(b.Unary(tile.Abs, z), b.Float(1, x.Type.Lanes))), b.Max(b.Min(x, y), z))
		},
		"fma": func(b *tile.Builder, x, y, z *tile.Value) *tile.Value { return b.FMA(x, b.Unary(tile.Neg, y), z) },
		"rounding": func(b *tile.Builder, x, y, z *tile.Value) *tile.Value {
			return b.Add(b.Unary(tile.Floor, x), b.Add(b.Unary(tile.Rint, y), b.Unary(tile.Sqrt, b.Unary(tile.Abs, z))))
		},
		"select": func(b *tile.Builder, x, y, z *tile.Value) *tile.Value {
			return b.Select(b.Logic(tile.And, b.Compare(tile.LE, x, y), b.Compare(tile.LT, y, z)), x, b.Cast(tile.IToF, b.Cast(tile.FToI, y)))
		},
		"reduce": func(b *tile.Builder, x, y, z *tile.Value) *tile.Value {
			s := b.Add(b.Reduce(tile.ReduceAdd, x), b.Reduce(tile.ReduceMax, y))
			return b.Add(b.Splat(s, x.Type.Lanes), b.Splat(b.Lane(z, x.Type.Lanes-1), x.Type.Lanes))
		},
		"iota": func(b *tile.Builder, x, y, z *tile.Value) *tile.Value {
			return b.Mul(x, b.Cast(tile.IToF, b.Iota(x.Type.Lanes)))
		},
	}
	for _, op := range []scalar.Op{scalar.Exp, scalar.Tanh, scalar.Sin, scalar.Log} {
		e := scalar.Lower(scalar.Fn(op, scalar.X(0, scalar.F32)))
		bodies[op.String()] = func(b *tile.Builder, x, y, z *tile.Value) *tile.Value {
			return b.Expr(e, []*tile.Value{x}, x.Type.Lanes)
		}
	}
	for _, tgt := range targets(t) {
		var ks []*tile.Kernel
		for name, body := range bodies {
			for _, lanes := range []int{1, tgt.Lanes} {
				ks = append(ks, opsKernel(t, fmt.Sprintf("%s_%d", name, lanes), lanes, body))
			}
		}
		code := compile(t, tgt, ks...)
		rng := rand.New(rand.NewPCG(1, 2))
		for _, k := range ks {
			for _, n := range []int{1, 7, 16, 37} {
				in := make([][]float32, 4)
				for i := range in {
					in[i] = make([]float32, n)
					for j := range in[i] {
						in[i][j] = float32(rng.NormFloat64() * 3)
					}
				}
				want := bytesOf(in[3])
				if err := tile.Run(k, []any{bytesOf(in[0]), bytesOf(in[1]), bytesOf(in[2]), want, int64(n)}, 1); err != nil {
					t.Fatal(err)
				}
				code.Run(t, linktest.Call{Symbol: k.Name, Tasks: 1, Args: []any{in[0], in[1], in[2], in[3], n}, Flush: true})
				if string(bytesOf(in[3])) != string(want) {
					t.Errorf("%s %s n=%d: native differs from the interpreter", tgt.Name, k.Name, n)
				}
			}
		}
	}
}

func TestSixteenBitLoads(t *testing.T) {
	for _, elem := range []tile.Elem{tile.BF16, tile.F16} {
		k, err := tile.Build("widen", func(b *tile.Builder) {
			x, out := b.Ptr("x", elem), b.Ptr("out", tile.F32)
			b.Store(out, b.Int(0), b.Load(x, b.Int(0), 8))
			b.StoreTail(out, b.Int(8), b.LoadTail(x, b.Int(8), 8, b.Int(3)), b.Int(3))
			b.Store(out, b.Int(11), b.Load(x, b.Int(11), 1))
		})
		if err != nil {
			t.Fatal(err)
		}
		x := make([]uint16, 12)
		raw := make(tile.Buffer, 24)
		for i := range x {
			x[i] = uint16(0x3c00 + 977*i)
			binary.LittleEndian.PutUint16(raw[2*i:], x[i])
		}
		want := make(tile.Buffer, 48)
		if err := tile.Run(k, []any{raw, want}, 1); err != nil {
			t.Fatal(err)
		}
		for _, tgt := range targets(t) {
			got := make([]float32, 12)
			compile(t, tgt, k).Run(t, linktest.Call{Symbol: "widen", Tasks: 1, Args: []any{x, got}, Flush: true})
			if string(bytesOf(got)) != string(want) {
				t.Errorf("%s %s: got %v", tgt.Name, elem, got)
			}
		}
	}
}

func TestInterpreterCatchesStrayAccess(t *testing.T) {
	k, _ := tile.Build("stray", func(b *tile.Builder) {
		x := b.Ptr("x", tile.F32)
		b.Store(x, b.Int(1), b.Load(x, b.Int(2), 8))
	})
	err := tile.Run(k, []any{make(tile.Buffer, 36)}, 1)
	if err == nil {
		t.Fatal("an access past the end was not reported")
	}
	t.Log(err)
}
