package tile

import (
	"fmt"
	"slices"
)

// Buffer is memory that a kernel may touch: an argument of Run.
type Buffer []byte

// state holds an SSA value: lanes, or a pointer.
type state struct {
	lanes []word
	mem   Buffer
	off   int64  // bytes
	what  string // names mem
}

func scalarState(v int64) state { return state{lanes: []word{word(v)}} }

type machine struct {
	k       *Kernel
	vals    []state
	args    []any
	task    int64
	scratch Buffer
	units   units
}

// trap is an error in the kernel, found while it runs.
type trap string

func trapf(format string, args ...any) { panic(trap(fmt.Sprintf(format, args...))) }

// Run interprets tasks 0…tasks-1 of k, in order. args holds a Buffer or an int64 per parameter. Float32 arithmetic is
// exact, NaN excepted, which may differ in sign and payload from the native one. Accesses outside a buffer are errors,
// and so are division by zero and loops that do not advance; scratch is NaN at the start of every task.
func Run(k *Kernel, args []any, tasks int64) (err error) {
	if len(args) != len(k.Params) {
		return fmt.Errorf("kernel %s: %d arguments for %d parameters", k.Name, len(args), len(k.Params))
	}
	for i, p := range k.Params {
		_, isBuffer := args[i].(Buffer)
		if _, isInt := args[i].(int64); !isInt && !isBuffer || isBuffer != p.Type.Ptr {
			return fmt.Errorf("kernel %s: argument %s is a %T, the parameter a %s", k.Name, p.Name, args[i], p.Type)
		}
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
	m := &machine{k: k, vals: make([]state, k.values), args: args, scratch: make(Buffer, k.ScratchBytes)}
	for m.task = 0; m.task < tasks; m.task++ {
		for i := range m.scratch {
			m.scratch[i] = 0xff
		}
		m.block(k.Body)
		m.units.left()
	}
	return nil
}

// block runs b and returns what it yields.
func (m *machine) block(b *Block) []state {
	for _, in := range b.Insts {
		switch in.Op {
		case For:
			m.loop(in)
		case If:
			blk := in.Blocks[1]
			if m.int(in.Args[0]) != 0 {
				blk = in.Blocks[0]
			}
			m.set(in.Out, m.block(blk))
		case Store, StoreTail:
			m.store(in)
		case Prefetch:
		case TileConfig, TileRelease, TileZero, TileLoad, TileStore, TileDotSS, TileDotSU, TileDotBF16, Flush:
			m.unit(in)
		default:
			m.vals[in.Out[0].ID] = m.compute(in)
		}
	}
	return m.get(b.Yield)
}

func (m *machine) get(vs []*Value) []state {
	out := make([]state, len(vs))
	for i, v := range vs {
		out[i] = m.vals[v.ID]
	}
	return out
}

func (m *machine) set(vs []*Value, to []state) {
	for i, s := range to {
		m.vals[vs[i].ID] = s
	}
}

func (m *machine) int(v *Value) int64 { return int64(m.vals[v.ID].lanes[0]) }

func (m *machine) loop(in *Inst) {
	lo, hi, step := m.int(in.Args[0]), m.int(in.Args[1]), m.int(in.Args[2])
	if step <= 0 {
		trapf("a loop advances by %d", step)
	}
	carried := m.get(in.Args[3:])
	for i := lo; i < hi; i += step {
		m.set(in.Blocks[0].Args, append([]state{scalarState(i)}, carried...))
		carried = m.block(in.Blocks[0])
	}
	m.set(in.Out, carried)
}

func (m *machine) compute(in *Inst) state {
	t := in.Out[0].Type
	arg := func(i int) state { return m.vals[in.Args[i].ID] }
	switch in.Op {
	case Param:
		if buf, ok := m.args[in.Imm].(Buffer); ok {
			return state{mem: buf, what: "argument " + m.k.Params[in.Imm].Name}
		}
		return scalarState(m.args[in.Imm].(int64))
	case Task:
		return scalarState(m.task)
	case Scratch:
		return state{mem: m.scratch, what: "scratch"}
	case PtrAdd:
		s := arg(0)
		s.off += m.int(in.Args[1]) * int64(t.Elem.Bytes())
		return s
	case PtrCast:
		return arg(0)
	case Load, LoadTail:
		return m.load(in)
	case Lane:
		return state{lanes: []word{arg(0).lanes[in.Imm]}}
	case Bits:
		return state{lanes: reinterpreted(arg(0).lanes, in.Args[0].Type.Elem, t)}
	case Reduce:
		return state{lanes: []word{reduce(in, arg(0).lanes)}}
	}
	return state{lanes: m.computeLanes(in)}
}

// computeLanes computes a result lane by lane.
func (m *machine) computeLanes(in *Inst) []word {
	t := in.Out[0].Type
	arg := func(i int) state { return m.vals[in.Args[i].ID] }
	r := make([]word, t.Lanes)
	switch in.Op {
	case Const:
		for i := range r {
			r[i] = word(in.Imm)
			if t.IsFloat() {
				r[i] = floatWord(float32(in.Num))
			}
		}
	case Splat:
		for i := range r {
			r[i] = arg(0).lanes[0]
		}
	case Iota:
		for i := range r {
			r[i] = word(i)
		}
	case DotI16, DotU8:
		x, y := arg(0).lanes, arg(1).lanes
		for i := range r {
			sum := product(in.Op, x[2*i], y[2*i]) + product(in.Op, x[2*i+1], y[2*i+1])
			if r[i] = cut(t.Elem, sum); in.Op == DotU8 && int64(r[i]) != sum {
				trapf("a sum of products, %d, does not fit %s", sum, t.Elem)
			}
		}
	case Dot4, DotS4:
		x, y := arg(1).lanes, arg(2).lanes
		for i := range r {
			sum := int64(arg(0).lanes[i])
			for j := 4 * i; j < 4*i+4; j++ {
				sum += product(in.Op, x[j], y[j])
			}
			r[i] = cut(t.Elem, sum)
		}
	case MMLA:
		x, y := arg(1).lanes, arg(2).lanes
		for i := range r {
			sum, first := int64(arg(0).lanes[i]), i/4*16
			for k := range 8 {
				sum += product(in.Op, x[first+i%4/2*8+k], y[first+i%2*8+k])
			}
			r[i] = cut(t.Elem, sum)
		}
	case DotBF16:
		x, y := arg(1).lanes, arg(2).lanes
		for i := range r {
			acc := flushed(arg(0).lanes[i])
			for _, j := range [2]int{2*i + 1, 2 * i} {
				acc = flushed(fma(in, []word{flushed(x[j] & 0xffff << 16), flushed(y[j] & 0xffff << 16), acc}))
			}
			r[i] = acc
		}
	case DotOdd, MMLAOdd:
		x, y := arg(1).lanes, arg(2).lanes
		for i := range r {
			left, right, pairs := 2*i, 2*i, 1
			if in.Op == MMLAOdd {
				left, right, pairs = i/4*8+i%4/2*4, i/4*8+i%2*4, 2
			}
			r[i] = flushed(arg(0).lanes[i])
			for k := range pairs {
				r[i] = sumOdd(r[i], sumOdd(productBF16(x[left+2*k], y[right+2*k]), productBF16(x[left+2*k+1], y[right+2*k+1])))
			}
		}
	case Shuffle:
		both := slices.Concat(arg(0).lanes, arg(1).lanes)
		for i, from := range in.Mask {
			r[i] = both[from]
		}
	default:
		var in3 [3]word
		for i := range r {
			for j := range in.Args {
				in3[j] = arg(j).lanes[i]
			}
			r[i] = m.units.eval(in, in3[:len(in.Args)])
		}
	}
	return r
}

// product is one product of a dot; the first operand of DotU8 and Dot4 is unsigned.
func product(op Op, x, y word) int64 {
	if op == DotU8 || op == Dot4 {
		x &= 0xff
	}
	return int64(x) * int64(y)
}

// flushed makes zero, of the same sign, of a float32 that is subnormal.
func flushed(w word) word {
	if w&0x7f800000 == 0 {
		return w & 0x80000000
	}
	return w
}

// reinterpreted returns the bits of integer lanes as lanes of another type.
func reinterpreted(lanes []word, from Elem, to Type) []word {
	var raw []byte
	for _, w := range lanes {
		b := make([]byte, from.Bytes())
		write(from, b, w)
		raw = append(raw, b...)
	}
	out := make([]word, to.Lanes)
	for i := range out {
		out[i] = read(to.Elem, raw[i*to.Elem.Bytes():])
	}
	return out
}

// reduce folds lanes by halves.
func reduce(in *Inst, lanes []word) word {
	v, step := slices.Clone(lanes), in.Half(1)
	for n := len(v) / 2; n > 0; n /= 2 {
		for i := range n {
			v[i] = ops[in.Fold].eval(step, []word{v[i], v[i+n]})
		}
	}
	return v[0]
}
