package emu

import (
	"math"

	"github.com/x448/float16"

	"pgc/ir/scalar"
)

// flow is what an instruction does to the order of execution.
type flow uint8

const (
	straight flow = iota
	branch
	exit
	barrierFlow
)

// opcode is an instruction the emulator knows: its operands, and what it does, to one thread or to a warp.
type opcode struct {
	name      string // the key of the table
	signature string
	noResult  bool
	flow      flow
	lane      func(a [3]uint64) uint64
	run       func(w *warp, in *instr, mask uint32)
}

// opcodes is what the kernels of codegen/ptx use. Behavior is the PTX ISA manual's, version 7.0, chapter 9.
var opcodes = table()

func table() map[string]*opcode {
	t := map[string]*opcode{}
	lane := func(name, signature string, f func(a [3]uint64) uint64) {
		t[name] = &opcode{name: name, signature: signature, lane: f}
	}
	floats(lane)
	integers(lane)
	moves(lane)
	vectors(t)
	for name, op := range map[string]opcode{
		"bra":           {flow: branch},
		"ret":           {flow: exit},
		"bar.sync":      {signature: "i", noResult: true, flow: barrierFlow},
		"bar.warp.sync": {signature: "i", noResult: true, run: warpBarrier},

		"shfl.sync.down.b32": {signature: "bbiii", run: shuffle(func(lane, by int) int { return lane + by })},
		"shfl.sync.idx.b32":  {signature: "bbiii", run: shuffle(func(_, from int) int { return from })},

		"ld.param.u64":     {signature: "lq", run: loadParam},
		"ld.global.f32":    {signature: "fg", run: loadGlobal(4, unsigned)},
		"ld.global.b32":    {signature: "wg", run: loadGlobal(4, unsigned)},
		"ld.global.b64":    {signature: "lg", run: loadGlobal(8, unsigned)},
		"ld.global.s8":     {signature: "wg", run: loadGlobal(1, signed8)},
		"ld.global.s16":    {signature: "wg", run: loadGlobal(2, signed16)},
		"ld.global.u16":    {signature: "wg", run: loadGlobal(2, unsigned)},
		"ld.global.b16":    {signature: "hg", run: loadGlobal(2, unsigned)},
		"st.global.f32":    {signature: "gf", noResult: true, run: storeGlobal(4)},
		"st.global.b32":    {signature: "gw", noResult: true, run: storeGlobal(4)},
		"st.global.b64":    {signature: "gl", noResult: true, run: storeGlobal(8)},
		"st.global.s8":     {signature: "gw", noResult: true, run: storeGlobal(1)},
		"st.global.s16":    {signature: "gw", noResult: true, run: storeGlobal(2)},
		"st.global.u16":    {signature: "gw", noResult: true, run: storeGlobal(2)},
		"st.global.b16":    {signature: "gh", noResult: true, run: storeGlobal(2)},
		"ld.shared.f32":    {signature: "fm", run: loadShared},
		"st.shared.v2.f32": {signature: "m2f", noResult: true, run: storePair},

		"cp.async.cg.shared.global": {signature: "mgiw", noResult: true, run: copyAsync},
		"cp.async.commit_group":     {noResult: true, run: commitGroup},
		"cp.async.wait_group":       {signature: "i", noResult: true, run: waitGroup},

		"ldmatrix.sync.aligned.m8n8.x4.shared.b16":            {signature: "4wm", run: loadMatrix},
		"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32": {signature: "4f4w2w4f", run: multiply},
	} {
		op.name = name
		t[name] = &op
	}
	return t
}

// define adds an instruction to the table.
type define func(name, signature string, f func(a [3]uint64) uint64)

func f32(v uint64) float32 { return math.Float32frombits(uint32(v)) }

// number returns the bits of a result; NaN is the one that the hardware gives.
func number(f float32) uint64 {
	if f != f {
		return 0x7fffffff
	}
	return uint64(math.Float32bits(f))
}

func truth(c bool) uint64 {
	if c {
		return 1
	}
	return 0
}

func floats(def define) {
	two := func(name string, f func(x, y float32) float32) {
		def(name, "fff", func(a [3]uint64) uint64 { return number(f(f32(a[0]), f32(a[1]))) })
	}
	two("add.rn.f32", func(x, y float32) float32 { return x + y })
	two("sub.rn.f32", func(x, y float32) float32 { return x - y })
	two("mul.rn.f32", func(x, y float32) float32 { return x * y })
	two("div.rn.f32", func(x, y float32) float32 { return x / y })
	def("fma.rn.f32", "ffff", func(a [3]uint64) uint64 {
		return number(float32(scalar.FMA32(float64(f32(a[0])), float64(f32(a[1])), float64(f32(a[2])))))
	})
	one := func(name string, f func(float64) float64) {
		def(name, "ff", func(a [3]uint64) uint64 { return number(float32(f(float64(f32(a[0]))))) })
	}
	one("sqrt.rn.f32", math.Sqrt)
	one("cvt.rmi.f32.f32", math.Floor)
	one("cvt.rni.f32.f32", math.RoundToEven)
	def("neg.f32", "ff", func(a [3]uint64) uint64 { return a[0] ^ 1<<31 })
	def("abs.f32", "ff", func(a [3]uint64) uint64 { return a[0] &^ (1 << 31) })
	compare := func(name string, f func(x, y float32) bool) {
		def(name, "pff", func(a [3]uint64) uint64 { return truth(f(f32(a[0]), f32(a[1]))) })
	}
	compare("setp.lt.f32", func(x, y float32) bool { return x < y })
	compare("setp.le.f32", func(x, y float32) bool { return x <= y })
	compare("setp.gt.f32", func(x, y float32) bool { return x > y })
	compare("setp.eq.f32", func(x, y float32) bool { return x == y })
	def("cvt.rn.f32.s32", "fw", func(a [3]uint64) uint64 { return number(float32(int32(a[0]))) })
	def("cvt.rzi.s32.f32", "wf", func(a [3]uint64) uint64 { // saturates; NaN gives zero
		switch f := f32(a[0]); {
		case f != f:
			return 0
		case f >= 1<<31:
			return math.MaxInt32
		case f < -1<<31:
			return 1 << 31
		default:
			return uint64(uint32(int32(f)))
		}
	})
	def("cvt.f32.f16", "fh", func(a [3]uint64) uint64 { return number(float16.Frombits(uint16(a[0])).Float32()) })
	def("cvt.rn.f16.f32", "hf", func(a [3]uint64) uint64 {
		if f := f32(a[0]); f != f {
			return 0x7fff
		}
		return uint64(float16.Fromfloat32(f32(a[0])).Bits())
	})
}

func integers(def define) {
	// both defines an operation on signed 32 and 64 bits.
	both := func(name, narrow, wide string, f func(a [3]int64) int64) {
		def(name+"32", narrow, func(a [3]uint64) uint64 {
			return uint64(uint32(f([3]int64{int64(int32(a[0])), int64(int32(a[1])), int64(int32(a[2]))})))
		})
		def(name+"64", wide, func(a [3]uint64) uint64 {
			return uint64(f([3]int64{int64(a[0]), int64(a[1]), int64(a[2])}))
		})
	}
	both("add.s", "www", "lll", func(a [3]int64) int64 { return a[0] + a[1] })
	both("sub.s", "www", "lll", func(a [3]int64) int64 { return a[0] - a[1] })
	both("mul.lo.s", "www", "lll", func(a [3]int64) int64 { return a[0] * a[1] })
	both("mad.lo.s", "wwww", "llll", func(a [3]int64) int64 { return a[0]*a[1] + a[2] })
	both("min.s", "www", "lll", func(a [3]int64) int64 { return min(a[0], a[1]) })
	both("max.s", "www", "lll", func(a [3]int64) int64 { return max(a[0], a[1]) })
	both("neg.s", "ww", "ll", func(a [3]int64) int64 { return -a[0] })
	both("abs.s", "ww", "ll", func(a [3]int64) int64 { return max(a[0], -a[0]) })
	both("div.s", "www", "lll", func(a [3]int64) int64 { nonzero(a[1]); return a[0] / a[1] })
	both("rem.s", "www", "lll", func(a [3]int64) int64 { nonzero(a[1]); return a[0] % a[1] })
	both("setp.lt.s", "pww", "pll", func(a [3]int64) int64 { return int64(truth(a[0] < a[1])) })
	both("setp.le.s", "pww", "pll", func(a [3]int64) int64 { return int64(truth(a[0] <= a[1])) })
	both("setp.eq.s", "pww", "pll", func(a [3]int64) int64 { return int64(truth(a[0] == a[1])) })
	both("and.b", "www", "lll", func(a [3]int64) int64 { return a[0] & a[1] })
	both("or.b", "www", "lll", func(a [3]int64) int64 { return a[0] | a[1] })
	both("xor.b", "www", "lll", func(a [3]int64) int64 { return a[0] ^ a[1] })
	both("shl.b", "www", "llw", func(a [3]int64) int64 { return a[0] << uint64(a[1]) })
	both("shr.s", "www", "llw", func(a [3]int64) int64 { return a[0] >> uint64(a[1]) })
	def("shr.u32", "www", func(a [3]uint64) uint64 { return a[0] >> a[1] })
	def("shr.u64", "llw", func(a [3]uint64) uint64 { return a[0] >> a[1] })
	def("setp.ne.s32", "pww", func(a [3]uint64) uint64 { return truth(a[0] != a[1]) })
	def("setp.gt.s64", "pll", func(a [3]uint64) uint64 { return truth(int64(a[0]) > int64(a[1])) })
	def("setp.ge.s64", "pll", func(a [3]uint64) uint64 { return truth(int64(a[0]) >= int64(a[1])) })
	def("mul.wide.u32", "lww", func(a [3]uint64) uint64 { return a[0] * a[1] })
	def("mad.wide.u32", "lwwl", func(a [3]uint64) uint64 { return a[0]*a[1] + a[2] })
	def("and.pred", "ppp", func(a [3]uint64) uint64 { return a[0] & a[1] })
	def("or.pred", "ppp", func(a [3]uint64) uint64 { return a[0] | a[1] })
	def("xor.pred", "ppp", func(a [3]uint64) uint64 { return a[0] ^ a[1] })
	def("not.pred", "pp", func(a [3]uint64) uint64 { return a[0] ^ 1 })
	def("cvt.s64.s32", "lw", func(a [3]uint64) uint64 { return uint64(int64(int32(a[0]))) })
	def("cvt.s32.s8", "ww", func(a [3]uint64) uint64 { return uint64(uint32(int32(int8(a[0])))) })
	def("cvt.s32.s16", "ww", func(a [3]uint64) uint64 { return uint64(uint32(int32(int16(a[0])))) })
	def("cvt.u64.u32", "lw", func(a [3]uint64) uint64 { return a[0] })
	def("cvt.u32.u64", "wl", func(a [3]uint64) uint64 { return a[0] & (1<<32 - 1) })
}

func nonzero(v int64) {
	if v == 0 {
		trapf("division by zero")
	}
}

func moves(def define) {
	copied := func(a [3]uint64) uint64 { return a[0] }
	for name, signature := range map[string]string{"mov.pred": "pp", "mov.b16": "hh", "mov.b32": "bb", "mov.b64": "ll", "mov.f32": "ff",
		"mov.u32": "ws", "cvta.to.global.u64": "ll"} {
		def(name, signature, copied)
	}
	chosen := func(a [3]uint64) uint64 {
		if a[2] != 0 {
			return a[0]
		}
		return a[1]
	}
	for name, signature := range map[string]string{"selp.b32": "wwwp", "selp.b64": "lllp", "selp.f32": "fffp"} {
		def(name, signature, chosen)
	}
}
