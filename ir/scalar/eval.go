package scalar

import "math"

// Eval computes e in float64: the reference semantics. Integers and booleans (0 or 1) are carried in float64 exactly.
func Eval(e *Expr, args []float64) float64 { return eval(e, args, false) }

// EvalF32 computes e with every float operation rounded to float32, as a backend does; only FMA is rounded once.
func EvalF32(e *Expr, args []float64) float64 { return eval(e, args, true) }

func eval(e *Expr, args []float64, single bool) float64 {
	switch e.Op {
	case Arg:
		return args[e.Index]
	case Const:
		if single && e.Type == F32 {
			return float64(float32(e.Val))
		}
		return e.Val
	case Select:
		if eval(e.Args[0], args, single) != 0 {
			return eval(e.Args[1], args, single)
		}
		return eval(e.Args[2], args, single)
	}
	var v [3]float64
	for i, a := range e.Args {
		v[i] = eval(a, args, single)
	}
	r := apply(e, v, single)
	if single && e.Type == F32 {
		return float64(float32(r))
	}
	return r
}

func apply(e *Expr, v [3]float64, single bool) float64 {
	integer := e.Args[0].Type == I32
	switch e.Op {
	case Add:
		return wrap(v[0]+v[1], integer)
	case Sub:
		return wrap(v[0]-v[1], integer)
	case Mul:
		if integer {
			return float64(int32(v[0]) * int32(v[1]))
		}
		return v[0] * v[1]
	case Div:
		if integer {
			return math.Trunc(v[0] / v[1])
		}
		return v[0] / v[1]
	case Min:
		return math.Min(v[0], v[1])
	case Max:
		return math.Max(v[0], v[1])
	case FMA:
		if single {
			return FMA32(v[0], v[1], v[2])
		}
		return math.FMA(v[0], v[1], v[2])
	case Neg:
		return -v[0]
	case Abs:
		return math.Abs(v[0])
	case Sqrt:
		return math.Sqrt(v[0])
	case Floor:
		return math.Floor(v[0])
	case Rint:
		return math.RoundToEven(v[0])
	case LT:
		return truth(v[0] < v[1])
	case LE:
		return truth(v[0] <= v[1])
	case EQ:
		return truth(v[0] == v[1])
	case And:
		return float64(int32(v[0]) & int32(v[1]))
	case Or:
		return float64(int32(v[0]) | int32(v[1]))
	case Not:
		return 1 - v[0]
	case Shl:
		return float64(int32(v[0]) << uint(v[1]))
	case ToF32, ToI32:
		if e.Op == ToI32 {
			return math.Trunc(v[0])
		}
		return v[0]
	case BitsF32:
		return float64(math.Float32frombits(uint32(int32(v[0]))))
	case BitsI32:
		return float64(int32(math.Float32bits(float32(v[0]))))
	case Exp:
		return math.Exp(v[0])
	case Log:
		return math.Log(v[0])
	case Tanh:
		return math.Tanh(v[0])
	case Sin:
		return math.Sin(v[0])
	case Cos:
		return math.Cos(v[0])
	}
	panic("scalar: no evaluation for " + e.Op.String())
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
	bb := s - p
	err := (p - (s - bb)) + (z - bb)
	if err != 0 {
		bits := math.Float64bits(s)
		if bits&1 == 0 {
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

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func wrap(v float64, integer bool) float64 {
	if integer {
		return float64(int32(int64(v)))
	}
	return v
}
