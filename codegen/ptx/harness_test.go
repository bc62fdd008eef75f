package ptx

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/codegen/ptx/emu"
	"pgc/ir/tile"
)

// Kernel is what most tests are about.
type Kernel = backend.Kernel

// moduleOf returns the text of a module of kernels.
func moduleOf(ks []*Kernel) string {
	code, _ := assemble(context.Background(), ks) // puts texts together, which cannot fail
	return string(code.Bytes)
}

// one emits a spec that is one kernel.
func one(t testing.TB, name string, s kernels.Spec) *Kernel {
	t.Helper()
	k, err := emitSpec(name, s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// emit lowers a tile kernel.
func emit(k *kernels.Kernel) (out *Kernel, err error) {
	defer recovered(k.Tile.Name, &err)
	out, _ = emitTile(k)
	return out, nil
}

// parsed prints and parses kernels.
func parsed(t testing.TB, ks ...*Kernel) *module {
	t.Helper()
	return parsedText(t, moduleOf(ks))
}

// modules are the texts that were parsed: tests launch the same ones with other shapes and numbers.
var modules = map[string]*emu.Module{}

// parsedText parses a text, once.
func parsedText(t testing.TB, text string) *module {
	t.Helper()
	if modules[text] == nil {
		modules[text] = parse(t, text)
	}
	return &module{modules[text], text}
}

func parse(t testing.TB, text string) *emu.Module {
	t.Helper()
	m, err := emu.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// launch runs an entry on half the blocks that would take all tasks at once. Arguments are emu.Pointer and int64; the
// number of tasks follows them.
func launch(t testing.TB, m *module, k *Kernel, tasks int64, args ...any) emu.Stats {
	t.Helper()
	blocks := (blocksOf(k, tasks) + 1) / 2
	if recorder != nil {
		recorder(launched{k, tasks, args})
	}
	args = append(slices.Clone(args), tasks)
	if onGPU != nil {
		return both(t, m, k, blocks, args)
	}
	return execute(t, emulator{}, m, k, blocks, args)
}

// numbered is a kernel's text with the numbers that its lines have in a module of its own.
func numbered(text string) string {
	var out bytes.Buffer
	for i, line := range bytes.SplitAfter([]byte(text), []byte("\n")) {
		fmt.Fprintf(&out, "%4d %s", i+5, line)
	}
	return out.String()
}

// memory is a buffer for the emulator that holds the little-endian bytes of a slice.
func memory(t testing.TB, v any) emu.Pointer {
	t.Helper()
	b, err := binary.Append(nil, binary.LittleEndian, v)
	if err != nil {
		t.Fatal(err)
	}
	return emu.Pointer{Memory: &emu.Memory{Data: b}}
}

// compareWithInterpreter runs a tile kernel as PTX and in the interpreter and compares what their buffers then
// hold, bit by bit. Arguments are slices and ints.
func compareWithInterpreter(t *testing.T, k *kernels.Kernel, tasks int64, args ...any) {
	t.Helper()
	e, err := emit(k)
	if err != nil {
		t.Fatal(err)
	}
	var interpreted, emulated []any
	for _, a := range args {
		if n, ok := a.(int); ok {
			interpreted, emulated = append(interpreted, int64(n)), append(emulated, int64(n))
			continue
		}
		p := memory(t, a)
		interpreted, emulated = append(interpreted, tile.Buffer(slices.Clone(p.Memory.Data))), append(emulated, p)
	}
	if err := tile.Run(k.Tile, interpreted, tasks); err != nil {
		t.Fatal(err)
	}
	launch(t, parsed(t, e), e, tasks, emulated...)
	for i, p := range k.Tile.Params {
		want, ok := interpreted[i].(tile.Buffer)
		if !ok {
			continue
		}
		got := emulated[i].(emu.Pointer).Memory.Data
		size := p.Type.Elem.Bytes()
		if bytes.Equal(got, want) {
			continue
		}
		for at := 0; at < len(want); at += size {
			if w, g := canonical(p.Type.Elem, want[at:at+size]), canonical(p.Type.Elem, got[at:at+size]); w != g {
				t.Errorf("%s: element %d of %s is %s in PTX, %s in the interpreter", k.Tile.Name, at/size, p.Name, g, w)
				break
			}
		}
	}
}

// canonical prints an element; all NaN are one.
func canonical(e tile.Elem, b []byte) string {
	bits := uint64(0)
	for i, x := range b {
		bits |= uint64(x) << (8 * i)
	}
	nan := map[tile.Elem][2]uint64{tile.F32: {0x7fffffff, 0x7f800000}, tile.BF16: {0x7fff, 0x7f80}, tile.F16: {0x7fff, 0x7c00}}
	if m, ok := nan[e]; ok && bits&m[0] > m[1] {
		return "NaN"
	}
	return fmt.Sprintf("%s %#x", e, bits)
}

// edges are floats at which arithmetic has edges: ties, limits of i32, subnormals.
var edges = []float32{0, float32(math.Copysign(0, -1)), 1, -1, 0.5, 1.5, 2.5, -2.5, 8388607.5, 16777216, 2147483520, 2147483648,
	-2147483648, -2147483904, 3e9, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), math.MaxFloat32,
	math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, 1.1754944e-38, 1.1754942e-38, 65504, 65520, 5.9604645e-8, 1 + 1.0/256}

// inputs makes n elements of e: edges, random bits, and moderate numbers.
func inputs(rng *rand.Rand, e tile.Elem, n int) any {
	number := func() uint64 {
		switch rng.IntN(3) {
		case 0:
			return rng.Uint64()
		case 1:
			limits := []uint64{0, 1, ^uint64(0), 1 << 31, 1<<31 - 1, 1 << 63, 1<<63 - 1, 127, 128, 255}
			return limits[rng.IntN(len(limits))]
		}
		return uint64(rng.IntN(200) - 100)
	}
	switch e {
	case tile.F32:
		return filled(n, func() float32 {
			switch rng.IntN(4) {
			case 0, 1:
				return edges[rng.IntN(len(edges))]
			case 2:
				return math.Float32frombits(rng.Uint32())
			}
			return float32(rng.NormFloat64() * 3)
		})
	case tile.I8:
		return filled(n, func() int8 { return int8(number()) })
	case tile.I16:
		return filled(n, func() int16 { return int16(number()) })
	case tile.BF16, tile.F16:
		return filled(n, func() uint16 { return uint16(rng.Uint32()) })
	case tile.I32:
		return filled(n, func() int32 { return int32(number()) })
	}
	return filled(n, func() int64 { return int64(number()) })
}

func filled[T any](n int, f func() T) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = f()
	}
	return out
}

// blocksOf is the size of the grid that takes every task in one go. A smaller one takes them in turns.
func blocksOf(k *Kernel, tasks int64) int64 {
	n := int64(k.Threads / k.TaskThreads)
	return (tasks + n - 1) / n
}
