package bench

import (
	"fmt"

	"pgc/ir/target"
	"pgc/ir/tile"
)

const (
	steps      = 1 << 18 // of a loop in registers
	chunkBytes = 1 << 20 // what a task reads of memory
	cacheBytes = 1 << 17 // what a task reads again and again
	cacheReads = 64
)

// peakKernel measures one limit: a task of it does `work` operations, or reads that many bytes.
type peakKernel struct {
	name string
	work int64
	tile *tile.Kernel
}

// streams lists numbers of streams in which a task reads its memory. Which is fastest depends on the machine.
var streams = []int{1, 2, 4, 8}

func fmaName() string            { return "peak_fma" }
func bfloatName() string         { return "peak_bf16" }
func cacheName() string          { return "peak_cache" }
func readName(n int) string      { return fmt.Sprintf("peak_read_%d", n) }
func intName(weights int) string { return fmt.Sprintf("peak_int%d", weights) }

// peakKernels returns kernels that only multiply and add, and kernels that only read.
func peakKernels(t target.Target) ([]peakKernel, error) {
	var out []peakKernel
	var first error
	add := func(name string, work int64, body func(b *tile.Builder)) {
		k, err := tile.Build(name, body)
		if err != nil && first == nil {
			first = err
		}
		out = append(out, peakKernel{name, work, k})
	}
	lanes := int64(t.Lanes)
	accs := int64(t.Regs) - 4
	add(fmaName(), steps*accs*lanes*2, func(b *tile.Builder) {
		out := b.Ptr("out", tile.F32)
		x := b.Load(out, b.Int(0), t.Lanes)
		loop(b, out, int(accs), b.Float(0, t.Lanes), func(c *tile.Value) *tile.Value { return b.FMA(x, x, c) })
	})
	// Tile registers: products of four of sums by two of each side.
	tiled := func(name string, op tile.Op, k int64) {
		add(name, steps*4*tile.TileRows*tile.TileRows*k*2, func(b *tile.Builder) {
			b.Ptr("out", tile.F32)
			b.TileShapes(b.PtrCast(b.Scratch(tile.TileConfigBytes/4), tile.I64), b.Int(0x1010101010101010))
			b.Range(b.Int(0), b.Int(steps), b.Int(1), func(*tile.Value) {
				for i := range 4 {
					b.TileDot(op, i, 4+i/2, 6+i%2)
				}
			})
			b.TileRelease()
		})
	}
	if t.Has("amx-bf16") {
		tiled(bfloatName(), tile.TileDotBF16, 32)
	} else {
		vectorsOfBF16(t, add)
	}
	if t.Has("amx-int8") {
		tiled(intName(8), tile.TileDotSS, 64)
		tiled(intName(4), tile.TileDotSU, 64)
	} else {
		vectorsOfIntegers(t, add)
	}
	for _, n := range streams {
		add(readName(n), chunkBytes, func(b *tile.Builder) { read(b, t, n, chunkBytes, 1) })
	}
	add(cacheName(), cacheBytes*cacheReads, func(b *tile.Builder) { read(b, t, 4, cacheBytes, cacheReads) })
	return out, first
}

// adder adds a kernel of a name, whose tasks do so much work.
type adder = func(name string, work int64, body func(b *tile.Builder))

// vectorsOfBF16 multiplies bfloat16 in vectors.
func vectorsOfBF16(t target.Target, add adder) {
	lanes, accs := int64(t.Lanes), int64(t.Regs)-4
	// Pairs of products of bfloat16, added by one instruction, or split into two of float32 without it.
	add(bfloatName(), steps*accs*lanes*4, func(b *tile.Builder) {
		out := b.Ptr("out", tile.F32)
		x := b.Load(b.PtrCast(out, tile.I16), b.Int(0), 2*t.Lanes)
		word := b.Bits(x, tile.I32)
		odd := b.Cast(tile.BitF, b.Logic(tile.And, word, b.Int32(-1<<16, t.Lanes)))
		even := b.Cast(tile.BitF, b.Logic(tile.Shl, word, b.Int32(16, t.Lanes)))
		loop(b, out, int(accs), b.Float(0, t.Lanes), func(c *tile.Value) *tile.Value {
			if t.Has(target.AMD) {
				return b.DotBF16(c, x, x)
			}
			return b.FMA(even, even, b.FMA(odd, odd, c))
		})
	})
}

// vectorsOfIntegers multiplies integers in vectors. The sums are also factors, so that LLVM cannot remove a step.
func vectorsOfIntegers(t target.Target, add adder) {
	lanes, accs := int64(t.Lanes), int64(t.Regs)-4
	if t.Has(target.VNNI...) {
		// Fours of products of bytes, added exactly by one instruction.
		add(intName(8), steps*accs*lanes*8, func(b *tile.Builder) {
			out := b.Ptr("out", tile.I32)
			x := b.Bits(b.Load(out, b.Int(0), t.Lanes), tile.I8)
			loop(b, out, int(accs), b.Int32(1, t.Lanes), func(c *tile.Value) *tile.Value { return b.Dot4(c, x, x) })
		})
	} else {
		// Pairs of widened bytes, also exact.
		add(intName(8), steps*accs*lanes*4, func(b *tile.Builder) {
			out := b.Ptr("out", tile.I32)
			x := b.Bits(b.Load(out, b.Int(0), t.Lanes), tile.I16)
			loop(b, out, int(accs), b.Int32(1, t.Lanes), func(c *tile.Value) *tile.Value {
				return b.Add(c, b.Dot(tile.DotI16, b.Bits(c, tile.I16), x))
			})
		})
	}
	// Products of 4 by 8 bits: pairs of bytes, two of which fit 16 bits, and pairs of those.
	add(intName(4), steps*(accs-2)*lanes*16, func(b *tile.Builder) {
		out := b.Ptr("out", tile.I32)
		x := b.Bits(b.Load(out, b.Int(0), t.Lanes), tile.I8)
		y := b.Bits(b.Load(out, b.Int(lanes), t.Lanes), tile.I8)
		ones := b.Integer(tile.Vec(tile.I16, 2*t.Lanes), 1)
		loop(b, out, int(accs-2), b.Int32(1, t.Lanes), func(c *tile.Value) *tile.Value {
			w := b.Bits(c, tile.I8)
			return b.Add(c, b.Dot(tile.DotI16, b.Add(b.Dot(tile.DotU8, w, x), b.Dot(tile.DotU8, w, y)), ones))
		})
	})
}

// loop runs step on n accumulators and stores them.
func loop(b *tile.Builder, out *tile.Value, n int, init *tile.Value, step func(*tile.Value) *tile.Value) {
	accs := make([]*tile.Value, n)
	for i := range accs {
		accs[i] = init
	}
	accs = b.For(b.Int(0), b.Int(steps), b.Int(1), accs, func(_ *tile.Value, c []*tile.Value) []*tile.Value {
		next := make([]*tile.Value, n)
		for i := range next {
			next[i] = step(c[i])
		}
		return next
	})
	lanes := int64(init.Type.Lanes)
	for i, a := range accs {
		b.Store(out, b.Add(b.Mul(b.Task(), b.Int(int64(n)*lanes)), b.Int((2+int64(i))*lanes)), a)
	}
}

// read computes the maximum of a task's bytes, which it reads in n streams, several times.
func read(b *tile.Builder, t target.Target, n int, bytes, times int64) {
	const accs = 16
	in, out := b.Ptr("in", tile.F32), b.Ptr("out", tile.F32)
	lanes, each := int64(t.Lanes), bytes/4/int64(n)
	src := b.PtrAdd(in, b.Mul(b.Task(), b.Int(bytes/4)))
	init := make([]*tile.Value, accs)
	for i := range init {
		init[i] = b.Float(0, t.Lanes)
	}
	all := b.For(b.Int(0), b.Int(times), b.Int(1), init, func(_ *tile.Value, c []*tile.Value) []*tile.Value {
		return b.For(b.Int(0), b.Int(each), b.Int(accs/int64(n)*lanes), c, func(i *tile.Value, c []*tile.Value) []*tile.Value {
			next := make([]*tile.Value, accs)
			for j := range next {
				stream, vector := int64(j%n), int64(j/n)
				next[j] = b.Max(c[j], b.Load(src, b.Add(i, b.Int(stream*each+vector*lanes)), t.Lanes))
			}
			return next
		})
	})
	most := all[0]
	for _, a := range all[1:] {
		most = b.Max(most, a)
	}
	b.Store(out, b.Mul(b.Task(), b.Int(lanes)), most)
}
