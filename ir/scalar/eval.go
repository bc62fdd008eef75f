package scalar

import "math"

// Eval computes e in float64: the reference semantics. Integers and booleans (0 or 1) are carried in float64 exactly.
func Eval(e *Expr, args []float64) float64 { return Compile(e).one(args) }

// Evaluator computes one expression many times. It is not safe for concurrent use.
type Evaluator struct {
	code   []inst
	regs   [][]float64 // a block of values for every instruction
	single bool
}

// inst computes register i of an evaluator, where i is its place in the code.
type inst struct {
	op    Op
	typ   Type
	index int
	val   float64
	in    [3]int
	fn    func(x, y, z float64) float64
}

// block is how many elements an instruction computes at a time.
const block = 256

// Compile prepares e for evaluation in float64.
func Compile(e *Expr) *Evaluator { return compile(e, false) }

// CompileF32 prepares e for evaluation with every float operation rounded to float32.
func CompileF32(e *Expr) *Evaluator { return compile(e, true) }

func compile(e *Expr, single bool) *Evaluator {
	ev := &Evaluator{single: single}
	done := map[*Expr]int{}
	var walk func(*Expr) int
	walk = func(e *Expr) int {
		if r, ok := done[e]; ok {
			return r
		}
		in := inst{op: e.Op, typ: e.Type, index: e.Index, val: e.Val}
		if single && e.Type == F32 {
			in.val = float64(float32(e.Val))
		}
		for i, a := range e.Args {
			in.in[i] = walk(a)
		}
		if len(e.Args) > 0 {
			in.fn = meaning(e.Op, e.Args[0].Type, single)
		}
		ev.code = append(ev.code, in)
		done[e] = len(ev.code) - 1
		return done[e]
	}
	walk(e)
	ev.regs = make([][]float64, len(ev.code))
	return ev
}

func (ev *Evaluator) one(args []float64) float64 {
	in := make([][]float64, len(args))
	for i := range args {
		in[i] = args[i : i+1]
	}
	var out [1]float64
	ev.Run(in, out[:])
	return out[0]
}

// Run computes out[i] from args[0][i], args[1][i], … for every i. An argument slice is at least as long as out.
func (ev *Evaluator) Run(args [][]float64, out []float64) {
	size := min(block, len(out))
	if size > 0 && len(ev.regs[0]) < size {
		for i := range ev.regs {
			ev.regs[i] = make([]float64, size)
		}
	}
	for at := 0; at < len(out); at += block {
		n := min(block, len(out)-at)
		for i := range ev.code {
			ev.step(&ev.code[i], ev.regs[i][:n], args, at)
		}
		copy(out[at:at+n], ev.regs[len(ev.regs)-1])
	}
}

func (ev *Evaluator) step(in *inst, r []float64, args [][]float64, at int) {
	switch in.op {
	case Arg:
		copy(r, args[in.index][at:])
		return
	case Const:
		for i := range r {
			r[i] = in.val
		}
		return
	}
	x, y, z := ev.regs[in.in[0]][:len(r)], ev.regs[in.in[1]][:len(r)], ev.regs[in.in[2]][:len(r)]
	if ev.single && in.typ == F32 {
		for i := range r {
			r[i] = float64(float32(in.fn(x[i], y[i], z[i])))
		}
		return
	}
	for i := range r {
		r[i] = in.fn(x[i], y[i], z[i])
	}
}

// meaning returns the function an operation computes on operands of type t.
func meaning(op Op, t Type, single bool) func(x, y, z float64) float64 {
	switch {
	case op == FMA && single:
		return FMA32
	case t != F32 && integers[op] != nil:
		return integers[op]
	case functions[op] == nil:
		panic("scalar: no evaluation for " + op.String())
	}
	return functions[op]
}

// functions is what operations compute; integers has those that differ on I32.
var functions = [numOps]func(x, y, z float64) float64{
	Add:     func(x, y, _ float64) float64 { return x + y },
	Sub:     func(x, y, _ float64) float64 { return x - y },
	Mul:     func(x, y, _ float64) float64 { return x * y },
	Div:     func(x, y, _ float64) float64 { return x / y },
	Min:     func(x, y, _ float64) float64 { return pick(x < y, x, y) },
	Max:     func(x, y, _ float64) float64 { return pick(x > y, x, y) },
	FMA:     func(x, y, z float64) float64 { return math.FMA(x, y, z) },
	Neg:     func(x, _, _ float64) float64 { return -x },
	Abs:     func(x, _, _ float64) float64 { return math.Abs(x) },
	Sqrt:    func(x, _, _ float64) float64 { return math.Sqrt(x) },
	Floor:   func(x, _, _ float64) float64 { return math.Floor(x) },
	Rint:    func(x, _, _ float64) float64 { return math.RoundToEven(x) },
	LT:      func(x, y, _ float64) float64 { return pick(x < y, 1, 0) },
	LE:      func(x, y, _ float64) float64 { return pick(x <= y, 1, 0) },
	EQ:      func(x, y, _ float64) float64 { return pick(x == y, 1, 0) },
	And:     func(x, y, _ float64) float64 { return float64(toInt(x) & toInt(y)) },
	Or:      func(x, y, _ float64) float64 { return float64(toInt(x) | toInt(y)) },
	Not:     func(x, _, _ float64) float64 { return 1 - x },
	Shl:     func(x, y, _ float64) float64 { return float64(toInt(x) << uint32(toInt(y))) },
	Select:  func(x, y, z float64) float64 { return pick(x != 0, y, z) },
	ToF32:   func(x, _, _ float64) float64 { return x },
	ToI32:   func(x, _, _ float64) float64 { return float64(toInt(x)) },
	BitsF32: func(x, _, _ float64) float64 { return float64(math.Float32frombits(uint32(toInt(x)))) },
	BitsI32: func(x, _, _ float64) float64 { return float64(int32(math.Float32bits(float32(x)))) },
	Exp:     func(x, _, _ float64) float64 { return math.Exp(x) },
	Log:     func(x, _, _ float64) float64 { return math.Log(x) },
	Tanh:    func(x, _, _ float64) float64 { return math.Tanh(x) },
	Sin:     func(x, _, _ float64) float64 { return math.Sin(x) },
	Cos:     func(x, _, _ float64) float64 { return math.Cos(x) },
	Pow:     func(x, y, _ float64) float64 { return math.Pow(x, y) },
}

// integers is modular 32-bit arithmetic.
var integers = [numOps]func(x, y, z float64) float64{
	Add: func(x, y, _ float64) float64 { return float64(toInt(x) + toInt(y)) },
	Sub: func(x, y, _ float64) float64 { return float64(toInt(x) - toInt(y)) },
	Mul: func(x, y, _ float64) float64 { return float64(toInt(x) * toInt(y)) },
	Neg: func(x, _, _ float64) float64 { return float64(-toInt(x)) },
	Abs: func(x, _, _ float64) float64 { return float64(max(toInt(x), -toInt(x))) },
}

// toInt truncates x to 32 bits; what does not fit, and NaN, becomes the least integer, as the x86 instruction has it.
func toInt(x float64) int32 {
	if t := math.Trunc(x); t >= math.MinInt32 && t <= math.MaxInt32 {
		return int32(t)
	}
	return math.MinInt32
}

func pick(c bool, x, y float64) float64 {
	if c {
		return x
	}
	return y
}

// FMA32 returns x*y + z for float32 values, rounded once to float32. The product of two float32 is exact in float64;
// the sum is rounded to odd there, so that the second rounding cannot err.
func FMA32(x, y, z float64) float64 {
	p := x * y
	s := p + z
	if math.IsInf(s, 0) || math.IsNaN(s) {
		return float64(float32(s))
	}
	// The error of the float64 sum (2Sum), to round to odd.
	t := s - p
	if err := (p - (s - t)) + (z - t); err != 0 {
		if bits := math.Float64bits(s); bits&1 == 0 {
			if (err > 0) == (s > 0) {
				bits++
			} else {
				bits--
			}
			s = math.Float64frombits(bits)
		}
	}
	return float64(float32(s))
}
