package tile

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/x448/float16"

	"pgc/ir/scalar"
)

// Buffer is memory that a kernel may touch: an argument of Run.
type Buffer []byte

// fragment is the value of an SSA value: lanes as raw 64-bit integers (floats as their float32 value in num).
type fragment struct {
	ints  []int64
	nums  []float32
	mem   Buffer
	off   int64 // bytes
	scope string
}

type machine struct {
	k       *Kernel
	vals    []fragment
	args    []any
	task    int64
	scratch Buffer
}

type trap string

// Run interprets tasks 0…tasks-1 of k, in order. args holds a Buffer or an int64 per parameter. Memory accesses outside
// a buffer are errors.
func Run(k *Kernel, args []any, tasks int64) (err error) {
	if len(args) != len(k.Params) {
		return fmt.Errorf("kernel %s: %d arguments for %d parameters", k.Name, len(args), len(k.Params))
	}
	defer func() {
		if r := recover(); r != nil {
			t, ok := r.(trap)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("kernel %s: %s", k.Name, string(t))
		}
	}()
	m := &machine{k: k, vals: make([]fragment, k.values), args: args, scratch: make(Buffer, k.ScratchBytes)}
	for m.task = 0; m.task < tasks; m.task++ {
		m.block(k.Body)
	}
	return nil
}

func (m *machine) block(b *Block) []fragment {
	for _, in := range b.Insts {
		m.inst(in)
	}
	out := make([]fragment, len(b.Yield))
	for i, v := range b.Yield {
		out[i] = m.vals[v.ID]
	}
	return out
}

func (m *machine) int(v *Value) int64 { return m.vals[v.ID].ints[0] }

func (m *machine) inst(in *Inst) {
	switch in.Op {
	case For:
		lo, hi, step := m.int(in.Args[0]), m.int(in.Args[1]), m.int(in.Args[2])
		body := in.Blocks[0]
		carried := make([]fragment, len(in.Out))
		for i := range carried {
			carried[i] = m.vals[in.Args[3+i].ID]
		}
		for i := lo; i < hi; i += step {
			m.vals[body.Args[0].ID] = fragment{ints: []int64{i}}
			for j, c := range carried {
				m.vals[body.Args[1+j].ID] = c
			}
			carried = m.block(body)
		}
		for i, c := range carried {
			m.vals[in.Out[i].ID] = c
		}
	case If:
		blk := in.Blocks[1]
		if m.int(in.Args[0]) != 0 {
			blk = in.Blocks[0]
		}
		for i, c := range m.block(blk) {
			m.vals[in.Out[i].ID] = c
		}
	case Store, StoreTail:
		v := in.Args[2]
		n := int64(v.Type.Lanes)
		if in.Op == StoreTail {
			n = min(n, m.int(in.Args[3]))
		}
		f := m.vals[v.ID]
		for i := int64(0); i < n; i++ {
			p := m.at(in.Args[0], m.int(in.Args[1])+i)
			switch v.Type.Elem {
			case F32:
				binary.LittleEndian.PutUint32(p, math.Float32bits(f.nums[i]))
			case I32:
				binary.LittleEndian.PutUint32(p, uint32(f.ints[i]))
			default:
				p[0] = byte(f.ints[i])
			}
		}
	case Prefetch:
	default:
		m.vals[in.Out[0].ID] = m.compute(in)
	}
}

// at returns the memory of element i behind pointer p.
func (m *machine) at(p *Value, i int64) []byte {
	f := m.vals[p.ID]
	size := int64(p.Type.Elem.Bytes())
	at := f.off + i*size
	if at < 0 || at+size > int64(len(f.mem)) {
		panic(trap(fmt.Sprintf("access to bytes %d…%d of %s, which has %d", at, at+size, f.scope, len(f.mem))))
	}
	return f.mem[at : at+size]
}

func (m *machine) compute(in *Inst) fragment {
	t := in.Out[0].Type
	arg := func(i int) fragment { return m.vals[in.Args[i].ID] }
	switch in.Op {
	case Param:
		switch a := m.args[in.Imm].(type) {
		case Buffer:
			return fragment{mem: a, scope: "argument " + m.k.Params[in.Imm].Name}
		case int64:
			return fragment{ints: []int64{a}}
		default:
			panic(trap(fmt.Sprintf("argument %s has Go type %T", m.k.Params[in.Imm].Name, a)))
		}
	case Task:
		return fragment{ints: []int64{m.task}}
	case Scratch:
		return fragment{mem: m.scratch, scope: "scratch"}
	case PtrAdd:
		f := arg(0)
		f.off += m.int(in.Args[1]) * int64(t.Elem.Bytes())
		return f
	case PtrCast:
		return arg(0)
	case Load, LoadTail:
		return m.load(in)
	}
	r := fragment{}
	if t.IsFloat() {
		r.nums = make([]float32, t.Lanes)
	} else {
		r.ints = make([]int64, t.Lanes)
	}
	for i := 0; i < t.Lanes; i++ {
		switch in.Op {
		case Const:
			if t.IsFloat() {
				r.nums[i] = float32(in.Num)
			} else {
				r.ints[i] = in.Imm
			}
		case Splat:
			if t.IsFloat() {
				r.nums[i] = arg(0).nums[0]
			} else {
				r.ints[i] = arg(0).ints[0]
			}
		case Iota:
			r.ints[i] = int64(i)
		case Lane:
			if t.IsFloat() {
				r.nums[i] = arg(0).nums[in.Imm]
			} else {
				r.ints[i] = arg(0).ints[in.Imm]
			}
		case ReduceAdd, ReduceMax:
			r.nums[0] = reduce(in.Op, arg(0).nums)
		case Select:
			f := arg(2)
			if arg(0).ints[i] != 0 {
				f = arg(1)
			}
			if t.IsFloat() {
				r.nums[i] = f.nums[i]
			} else {
				r.ints[i] = f.ints[i]
			}
		case LT, LE, EQ:
			r.ints[i] = compare(in.Op, in.Args[0].Type, arg(0), arg(1), i)
		case IToF:
			r.nums[i] = float32(arg(0).ints[i])
		case FToI:
			r.ints[i] = int64(int32(arg(0).nums[i]))
		case BitF:
			r.nums[i] = math.Float32frombits(uint32(arg(0).ints[i]))
		case BitI:
			r.ints[i] = int64(int32(math.Float32bits(arg(0).nums[i])))
		case Widen:
			r.ints[i] = arg(0).ints[i]
		case Narrow:
			r.ints[i] = int64(int32(arg(0).ints[i]))
		default:
			if t.IsFloat() {
				var v [3]float32
				for j := range in.Args {
					v[j] = arg(j).nums[i]
				}
				r.nums[i] = floatOp(in.Op, v)
			} else {
				v := intOp(in.Op, arg(0).ints[i], arg(1).ints[i])
				if t.Elem == I32 {
					v = int64(int32(v))
				}
				r.ints[i] = v
			}
		}
	}
	return r
}

func (m *machine) load(in *Inst) fragment {
	t, elem := in.Out[0].Type, in.Args[0].Type.Elem
	n := int64(t.Lanes)
	if in.Op == LoadTail {
		n = min(n, m.int(in.Args[2]))
	}
	r := fragment{ints: make([]int64, t.Lanes), nums: make([]float32, t.Lanes)}
	for i := int64(0); i < n; i++ {
		p := m.at(in.Args[0], m.int(in.Args[1])+i)
		switch elem {
		case F32:
			r.nums[i] = math.Float32frombits(binary.LittleEndian.Uint32(p))
		case BF16:
			r.nums[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(p)) << 16)
		case F16:
			r.nums[i] = float16.Frombits(binary.LittleEndian.Uint16(p)).Float32()
		case I32:
			r.ints[i] = int64(int32(binary.LittleEndian.Uint32(p)))
		case I64:
			r.ints[i] = int64(binary.LittleEndian.Uint64(p))
		default:
			r.ints[i] = int64(p[0])
		}
	}
	return r
}

func reduce(op Op, v []float32) float32 {
	v = append([]float32(nil), v...)
	for n := len(v) / 2; n > 0; n /= 2 {
		for i := 0; i < n; i++ {
			if op == ReduceAdd {
				v[i] += v[i+n]
			} else if !(v[i] > v[i+n]) {
				v[i] = v[i+n]
			}
		}
	}
	return v[0]
}

func compare(op Op, t Type, x, y fragment, i int) int64 {
	var lt, eq bool
	if t.IsFloat() {
		lt, eq = x.nums[i] < y.nums[i], x.nums[i] == y.nums[i]
	} else {
		lt, eq = x.ints[i] < y.ints[i], x.ints[i] == y.ints[i]
	}
	if op == LT && lt || op == EQ && eq || op == LE && (lt || eq) {
		return 1
	}
	return 0
}

func floatOp(op Op, v [3]float32) float32 {
	x, y := v[0], v[1]
	switch op {
	case Add:
		return x + y
	case Sub:
		return x - y
	case Mul:
		return x * y
	case Div:
		return x / y
	case Min:
		if x < y {
			return x
		}
		return y
	case Max:
		if x > y {
			return x
		}
		return y
	case FMA:
		return float32(scalar.FMA32(float64(x), float64(y), float64(v[2])))
	case Neg:
		return -x
	case Abs:
		return float32(math.Abs(float64(x)))
	case Sqrt:
		return float32(math.Sqrt(float64(x)))
	case Floor:
		return float32(math.Floor(float64(x)))
	case Rint:
		return float32(math.RoundToEven(float64(x)))
	}
	panic(trap("no float " + op.String()))
}

func intOp(op Op, x, y int64) int64 {
	switch op {
	case Add:
		return x + y
	case Sub:
		return x - y
	case Mul:
		return x * y
	case Div, Rem:
		if y == 0 {
			panic(trap("division by zero"))
		}
		if op == Div {
			return x / y
		}
		return x % y
	case Min:
		return min(x, y)
	case Max:
		return max(x, y)
	case And:
		return x & y
	case Or:
		return x | y
	case Xor:
		return x ^ y
	case Shl:
		return x << uint(y)
	}
	panic(trap("no integer " + op.String()))
}
