package tile

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestMisuseIsAnErrorThatNamesIt(t *testing.T) {
	for _, test := range []struct {
		want string
		f    func(b *Builder)
	}{
		{"add of (f32x8, f32) giving (f32x8): expected fragments of one type with lanes i8 or i16 or i32 or i64 or f32",
			func(b *Builder) { b.Add(b.Float(1, 8), b.Float(1, 1)) }},
		{"add of (*f32, *f32)", func(b *Builder) { p := b.Ptr("p", F32); b.Add(p, p) }},
		{"sqrt of (i32)", func(b *Builder) { b.Unary(Sqrt, b.Int32(4, 1)) }},
		{"and of (f32, f32)", func(b *Builder) { b.Logic(And, b.Float(1, 1), b.Float(2, 1)) }},
		{"shl of (i64, i64) giving (i64): expected integers of one type, the second a constant below their width",
			func(b *Builder) { b.Logic(Shl, b.Int(1), b.Scalar("n")) }},
		{"shr of (i32, i32)", func(b *Builder) { b.Logic(Shr, b.Int32(1, 1), b.Int32(32, 1)) }},
		{"select of (i1, f32x4, f32x4)", func(b *Builder) { b.Select(b.Bool(true, 1), b.Float(1, 4), b.Float(2, 4)) }},
		{"lane of (f32x4) giving (f32): expected a vector and a lane of it", func(b *Builder) { b.Lane(b.Splat(b.Load(b.Ptr("p", F32), b.Int(0), 1), 4), 4) }},
		{"const of () giving (f32x3)", func(b *Builder) { b.Float(1, 3) }},
		{"widen of (i64)", func(b *Builder) { b.Cast(Widen, b.Int(1)) }},
		{"shuffle of (f32x2, f32x2) giving (f32x2): expected vectors of one type and a mask of their lanes",
			func(b *Builder) { v := b.Float(1, 2); b.Shuffle(v, v, 0, 4) }},
		{"lookup of (i32x4) giving (f32x4): expected i32 lanes giving f32 lanes and a table as long as a power of two",
			func(b *Builder) { b.Lookup(b.Int32(0, 4), make([]float32, 3)) }},
		{"load of (i64, i64)", func(b *Builder) { b.Load(b.Scalar("n"), b.Int(0), 1) }},
		{"load of (*f32, i32)", func(b *Builder) { b.Load(b.Ptr("p", F32), b.Int32(0, 1), 1) }},
		{"store of (*i32, i64, f32) giving ()", func(b *Builder) { b.Store(b.Ptr("p", I32), b.Int(0), b.Float(1, 1)) }},
		{"param of () giving (*i1)", func(b *Builder) { b.Ptr("p", I1) }},
		{"for of (i64, i64, i64)", func(b *Builder) { b.Range(b.Int(0), b.Int(1), b.Int(0), func(*Value) {}) }},
		{"a loop carries 1 values and yields 0", func(b *Builder) {
			b.For(b.Int(0), b.Int(2), b.Int(1), []*Value{b.Int(0)}, func(*Value, []*Value) []*Value { return nil })
		}},
		{"a loop carries 1 values and yields 0", func(b *Builder) {
			b.For(b.Int(0), b.Int(1), b.Int(1), []*Value{b.Int(0)}, func(*Value, []*Value) []*Value { return nil })
		}},
		{"if of (i1) giving (f32): expected an i1 and two blocks that yield values of the same types", func(b *Builder) {
			b.If(b.Compare(LT, b.Task(), b.Int(1)), func() []*Value { return []*Value{b.Float(1, 1)} }, nil)
		}},
		{"parameter n declared inside a loop", func(b *Builder) {
			b.Range(b.Int(0), b.Int(2), b.Int(1), func(*Value) { b.Scalar("n") })
		}},
		{"flush in a kernel that does not keep its control flow", func(b *Builder) { b.Flush(true) }},
		{"operand 0 of add is used before it is defined or outside its block", func(b *Builder) {
			var inner *Value
			b.Range(b.Int(0), b.Int(9), b.Int(1), func(i *Value) { inner = b.Mul(i, i) })
			b.Add(inner, b.Int(1))
		}},
	} {
		_, err := Build("bad", test.f)
		if err == nil || !strings.HasPrefix(err.Error(), "kernel bad: "+test.want) {
			t.Errorf("got %v, expected %q", err, test.want)
		}
	}
	if _, err := Build("no name", func(*Builder) {}); err == nil {
		t.Error("a name that is no symbol was taken")
	}
}

// What the builder cannot make, the verifier finds.
func TestVerifyFindsDamage(t *testing.T) {
	for name, damage := range map[string]func(k *Kernel){
		"operand missing":    func(k *Kernel) { k.Body.Insts[2].Args = k.Body.Insts[2].Args[:1] },
		"operand nil":        func(k *Kernel) { k.Body.Insts[2].Args[0] = nil },
		"type changed":       func(k *Kernel) { k.Body.Insts[2].Out[0].Type = Scalar(I32) },
		"order changed":      func(k *Kernel) { k.Body.Insts[1], k.Body.Insts[2] = k.Body.Insts[2], k.Body.Insts[1] },
		"defined twice":      func(k *Kernel) { k.Body.Insts = append(k.Body.Insts, k.Body.Insts[2]) },
		"parameter missing":  func(k *Kernel) { k.Params = k.Params[:1] },
		"number beyond all":  func(k *Kernel) { k.Body.Insts[2].Out[0].ID = 99 },
		"body yields":        func(k *Kernel) { k.Body.Yield = k.Body.Insts[2].Out },
		"unseen value given": func(k *Kernel) { k.Body.Yield = []*Value{{}} },
	} {
		k, err := Build("k", func(b *Builder) { b.Add(b.Scalar("x"), b.Scalar("y")) })
		if err != nil {
			t.Fatal(err)
		}
		damage(k)
		if err := Verify(k); err == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

func TestPrint(t *testing.T) {
	k, err := Build("sum", func(b *Builder) {
		x, out, n := b.Ptr("x", BF16), b.Ptr("out", F32), b.Scalar("n")
		acc := b.For(b.Int(0), n, b.Int(8), []*Value{b.Float(0, 8)}, func(i *Value, c []*Value) []*Value {
			return []*Value{b.Add(c[0], b.Load(x, i, 8))}
		})[0]
		half := b.Shuffle(acc, acc, 4, 5, 6, 7)
		b.When(b.Compare(LT, b.Int(0), n), func() { b.Store(out, b.Task(), b.Reduce(Add, half)) })
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `kernel sum(x: *bf16, out: *f32, n: i64) scratch=0 {
  %0: f32x8 = const 0
  %1: i64 = const 8
  %2: i64 = const 0
  %3: *bf16 = param #0
  %4: *f32 = param #1
  %5: i64 = param #2
  %6: f32x8 = for %2, %5, %1, %0 {(%7: i64, %8: f32x8)
    %9: f32x8 = load %3, %7
    %10: f32x8 = add %8, %9
    yield %10
  }
  %11: f32x4 = shuffle %6, %6 [4 5 6 7]
  %12: i1 = lt %2, %5
  if %12 {()
    %13: i64 = task
    %14: f32 = reduce %11 add
    store %4, %13, %14
  } {()
  }
}
`
	if k.String() != want {
		t.Errorf("got\n%s", k)
	}
}

// A loop that is known to run once is its body, and one of two known branches the code.
func TestKnownTurnsLeaveNoControl(t *testing.T) {
	var sum, none, chosen *Value
	k, err := Build("k", func(b *Builder) {
		out, n := b.Ptr("out", I64), b.Scalar("n")
		more := func(i *Value, c []*Value) []*Value { return []*Value{b.Add(b.Mul(c[0], c[0]), i)} }
		sum = b.For(b.Int(3), b.Int(5), b.Int(2), []*Value{n}, more)[0]
		none = b.For(b.Int(5), b.Int(5), n, []*Value{sum}, more)[0]
		b.When(b.Compare(LT, b.Int(2), b.Int(2)), func() { b.Store(out, n, n) })
		chosen = b.If(b.Compare(LE, b.Int(2), b.Int(2)), func() []*Value { return []*Value{none} },
			func() []*Value { return more(n, []*Value{n}) })[0]
		b.Store(out, b.Int(0), chosen)
		b.Range(b.Int(0), b.Int(2), b.Int(1), func(i *Value) { b.Store(out, i, n) })
	})
	if err != nil {
		t.Fatal(err)
	}
	if none != sum || chosen != sum {
		t.Error("what runs never gave values of its own")
	}
	count := map[Op]int{}
	for _, in := range k.Body.Insts {
		count[in.Op]++
	}
	if count[For] != 1 || count[If] != 0 || count[Mul] != 1 || count[Store] != 1 {
		t.Errorf("got\n%s", k)
	}
	memory := make(Buffer, 16)
	if err := Run(k, []any{memory, int64(4)}, 1); err != nil || memory[0] != 4 || memory[8] != 4 {
		t.Errorf("ran to %v, %v", memory, err)
	}
}

func TestStaticSizesLeaveNoCode(t *testing.T) {
	k, err := Build("k", func(b *Builder) {
		out := b.Ptr("out", I64)
		n := b.Add(b.Mul(b.Int(6), b.Int(7)), b.Rem(b.Int(9), b.Int(4)))
		b.Store(out, b.Mul(b.Add(b.Task(), b.Int(0)), b.Int(1)), b.Max(b.Div(n, b.Int(2)), b.Sub(n, n)))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range k.Body.Insts {
		switch in.Op {
		case Param, Task, Const, Store:
		default:
			t.Errorf("%s is left in\n%s", in.Op, k)
		}
	}
	out := make(Buffer, 8)
	if err := Run(k, []any{out}, 1); err != nil || binary.LittleEndian.Uint64(out) != 21 {
		t.Errorf("got %v, %v", out, err)
	}
}

// Addresses in an unrolled body differ in a constant alone, and each is computed once.
func TestConstantsMoveOutward(t *testing.T) {
	_, err := Build("k", func(b *Builder) {
		n := b.Scalar("n")
		x := b.Mul(n, b.Int(16))
		for _, y := range []*Value{
			b.Add(b.Mul(b.Add(n, b.Int(2)), b.Int(16)), b.Int(8)), b.Mul(b.Int(16), b.Add(b.Int(5), b.Sub(n, b.Int(3)))),
			b.Add(b.Int(7), b.Add(x, b.Int(1))), b.Sub(b.Mul(n, b.Int(16)), b.Int(-6)),
		} {
			if base, c := Displaced(y); base != x || c == 0 {
				t.Errorf("%v is %v and %d, expected %v and a constant", y.Def, base.Def, c, x.Def)
			}
		}
		two := b.Add(b.Add(n, b.Int(3)), b.Add(x, b.Int(4)))
		if sum, c := Displaced(two); sum != b.Add(n, x) || c != 7 {
			t.Errorf("a sum of two sums is %v and %d", sum.Def, c)
		}
		var inner *Value
		b.When(b.Compare(LT, n, b.Int(3)), func() { inner = b.Mul(n, b.Int(48)) })
		if b.Mul(n, b.Int(48)) == inner {
			t.Error("what a branch computes is used behind it")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The interpreter's errors; the bounds of every kind of access.
func TestTraps(t *testing.T) {
	for _, test := range []struct {
		want string
		f    func(b *Builder, p, n *Value)
	}{
		{"access to bytes 32…36 of argument p, which has 32", func(b *Builder, p, n *Value) { b.Load(p, b.Int(1), 8) }},
		{"access to bytes -4…0 of argument p", func(b *Builder, p, n *Value) { b.Load(b.PtrAdd(p, b.Int(-2)), b.Int(1), 1) }},
		{"access to bytes 32…36 of argument p", func(b *Builder, p, n *Value) { b.LoadTail(p, b.Int(3), 8, b.Int(6)) }},
		{"access to bytes 32…36 of argument p", func(b *Builder, p, n *Value) { b.StoreTail(p, b.Int(3), b.Float(0, 8), b.Int(6)) }},
		{"access to bytes 64…68 of scratch, which has 64", func(b *Builder, p, n *Value) { b.Store(b.Scratch(3), b.Int(16), b.Float(0, 1)) }},
		{"division by zero", func(b *Builder, p, n *Value) { b.Rem(b.Int(1), n) }},
		{"a loop advances by 0", func(b *Builder, p, n *Value) { b.Range(b.Int(0), b.Int(5), n, func(*Value) {}) }},
		{"", func(b *Builder, p, n *Value) { b.LoadTail(p, b.Int(3), 8, b.Int(5)) }},
		{"", func(b *Builder, p, n *Value) { b.LoadTail(p, b.Int(300), 8, n) }},
		{"", func(b *Builder, p, n *Value) { b.Prefetch(p, b.Int(1<<40), 1) }},
	} {
		k, err := Build("k", func(b *Builder) { test.f(b, b.Ptr("p", F32), b.Scalar("n")) })
		if err != nil {
			t.Fatal(err)
		}
		err = Run(k, []any{make(Buffer, 32), int64(0)}, 1)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "kernel k: "+test.want)) {
			t.Errorf("got %v, expected %q", err, test.want)
		}
	}
	k, err := Build("k", func(b *Builder) { b.Ptr("p", F32) })
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]any{{}, {int64(1)}, {[]float32{1}}} {
		if err := Run(k, args, 1); err == nil {
			t.Errorf("arguments %v were taken", args)
		}
	}
}

// Scratch holds nothing of the task before.
func TestScratchIsFresh(t *testing.T) {
	k, err := Build("k", func(b *Builder) {
		out, s := b.Ptr("out", F32), b.Scratch(1)
		b.Store(out, b.Task(), b.Load(s, b.Int(0), 1))
		b.Store(s, b.Int(0), b.Float(1, 1))
	})
	if err != nil {
		t.Fatal(err)
	}
	out := make(Buffer, 8)
	if err := Run(k, []any{out}, 2); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if f := math.Float32frombits(binary.LittleEndian.Uint32(out[4*i:])); f == f {
			t.Errorf("task %d reads %g from scratch that it has not written", i, f)
		}
	}
}

// fma rounds once: against arithmetic of 300 bits on numbers that cancel, overflow, and round to subnormals.
func TestFMARoundsOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	number := func() float32 {
		f := math.Float32frombits(rng.Uint32())
		if f != f || math.IsInf(float64(f), 0) {
			return 1 + 1.0/(1<<23)
		}
		return f
	}
	bigf := func(f float32) *big.Float { return new(big.Float).SetPrec(600).SetFloat64(float64(f)) }
	doubly := 0
	for range 200000 {
		x, y, z := number(), number(), number()
		switch rng.IntN(3) {
		case 0: // near -x·y, so that most digits cancel
			z = math.Float32frombits(math.Float32bits(float32(-float64(x)*float64(y))) + uint32(rng.IntN(5)) - 2)
		case 1: // a product that is often half way between two floats, and a sum beyond the digits of a double
			x, y = 1+float32(rng.IntN(4096))/4096, 1+float32(rng.IntN(4096))/4096
			z = float32(math.Ldexp(rng.Float64()-0.5, -40-rng.IntN(60)))
		}
		if math.IsInf(float64(z), 0) || z != z {
			continue
		}
		exact := new(big.Float).SetPrec(600).Mul(bigf(x), bigf(y))
		exact.Add(exact, bigf(z))
		want, _ := exact.Float32()
		got := fma(nil, []word{floatWord(x), floatWord(y), floatWord(z)}).float()
		if got != want {
			t.Fatalf("fma(%g, %g, %g) is %g, expected %g", x, y, z, got, want)
		}
		if float32(math.FMA(float64(x), float64(y), float64(z))) != want {
			doubly++
		}
	}
	t.Logf("rounding twice errs %d times", doubly)
	if doubly == 0 {
		t.Error("no case tells one rounding from two")
	}
}
