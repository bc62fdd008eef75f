package llvm

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgc/codegen/internal/link/linktest"
	"pgc/ir/target"
	"pgc/ir/target/targettest"
	"pgc/ir/tile"
)

func build(t testing.TB, name string, f func(b *tile.Builder)) *tile.Kernel {
	t.Helper()
	k, err := tile.Build(name, f)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// emitted is the text of kernels, which must be the one that llir prints.
func emitted(t testing.TB, tgt target.Target, ks ...*tile.Kernel) []byte {
	t.Helper()
	m, err := module(tgt, ks)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Emit(tgt, ks)
	if err != nil {
		t.Fatal(err)
	}
	if want := m.String(); string(got) != want {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		line := func(s string) string {
			first, _, _ := strings.Cut(s[strings.LastIndex(s[:at], "\n")+1:], "\n")
			return first
		}
		t.Fatalf("%s: the text has %q where llir prints %q", tgt.Name, line(string(got)), line(want))
	}
	return got
}

// eachCompiler compiles kernels with every installed llc for every level that this machine can run.
func eachCompiler(t *testing.T, ks []*tile.Kernel, f func(t *testing.T, code *linktest.Code)) {
	for _, path := range llcs(t) {
		for _, tgt := range targettest.All(t) {
			ir := emitted(t, tgt, ks...)
			t.Run(filepath.Base(path)+"/"+tgt.Name, func(t *testing.T) {
				obj, err := runLLC(context.Background(), path, ir, tgt, "obj")
				if err != nil {
					t.Fatalf("%v\n%s", err, ir)
				}
				f(t, linktest.Load(t, obj))
			})
		}
	}
}

// check runs a kernel natively and in the interpreter and compares all that its arguments then hold. Arguments are
// slices and ints; the native ones end at a guard page.
func check(t *testing.T, code *linktest.Code, k *tile.Kernel, tasks int64, args ...any) {
	t.Helper()
	native, interpreted := clones(args), buffers(t, args)
	if err := tile.Run(k, interpreted, tasks); err != nil {
		t.Fatal(err)
	}
	code.Run(t, linktest.Call{Symbol: k.Name, Tasks: tasks, Args: native, ScratchBytes: k.ScratchBytes, Flush: true})
	for i, p := range k.Params {
		want, ok := interpreted[i].(tile.Buffer)
		if !ok {
			continue
		}
		got, _ := binary.Append(nil, binary.LittleEndian, native[i])
		if bytes.Equal(want, got) {
			continue
		}
		size := p.Type.Elem.Bytes()
		for at := 0; at < len(want); at += size {
			if w, g := canonical(p.Type.Elem, want[at:at+size]), canonical(p.Type.Elem, got[at:at+size]); w != g {
				t.Errorf("%s: element %d of %s is %s natively, %s in the interpreter", k.Name, at/size, p.Name, g, w)
				break
			}
		}
	}
}

// clones copies slices among arguments.
func clones(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		if out[i] = a; reflect.TypeOf(a).Kind() == reflect.Slice {
			v := reflect.ValueOf(a)
			out[i] = reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, v.Len()), v).Interface()
		}
	}
	return out
}

// buffers are arguments for the interpreter.
func buffers(t testing.TB, args []any) []any {
	t.Helper()
	out := make([]any, len(args))
	for i, a := range args {
		if n, ok := a.(int); ok {
			out[i] = int64(n)
			continue
		}
		b, err := binary.Append(nil, binary.LittleEndian, a)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = tile.Buffer(b)
	}
	return out
}

// canonical prints an element; all NaN are one, since which one an operation gives depends on the order of operands.
func canonical(e tile.Elem, b []byte) string {
	var nan bool
	switch e {
	case tile.F32:
		nan = binary.LittleEndian.Uint32(b)&0x7fffffff > 0x7f800000
	case tile.BF16:
		nan = binary.LittleEndian.Uint16(b)&0x7fff > 0x7f80
	case tile.F16:
		nan = binary.LittleEndian.Uint16(b)&0x7fff > 0x7c00
	}
	if nan {
		return "NaN"
	}
	b = slices.Clone(b)
	slices.Reverse(b)
	return fmt.Sprintf("%s %#x", e, b)
}

// floatCases are floats at which arithmetic has edges; ties, limits of i32, subnormals.
var floatCases = []float32{0, float32(math.Copysign(0, -1)), 1, -1, 0.5, 1.5, 2.5, -2.5, 8388607.5, 16777216, 2147483520, 2147483648,
	-2147483648, -2147483904, 3e9, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), math.MaxFloat32,
	math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, 1.1754944e-38, 1.1754942e-38, 65504, 65520, 5.9604645e-8, 1 + 1.0/256}

// pairs makes operands i of j and more: every pair of edges, then others. The length is odd.
func pairs(rng *rand.Rand, e tile.Elem, i int) any {
	n := len(floatCases)
	out := inputs(rng, e, n*n+300)
	if f, ok := out.([]float32); ok && i < 2 {
		for j := range n * n {
			f[j] = floatCases[[]int{j % n, j / n}[i]]
		}
	}
	return out
}

// inputs makes n elements of e: edges, random bits, and moderate numbers.
func inputs(rng *rand.Rand, e tile.Elem, n int) any {
	number := func() uint64 {
		switch rng.IntN(3) {
		case 0:
			return rng.Uint64()
		case 1:
			edges := []uint64{0, 1, ^uint64(0), 1 << 31, 1<<31 - 1, 1 << 63, 1<<63 - 1, 127, 128, 255}
			return edges[rng.IntN(len(edges))]
		}
		return uint64(rng.IntN(200) - 100)
	}
	switch e {
	case tile.F32:
		out := make([]float32, n)
		for i := range out {
			switch rng.IntN(3) {
			case 0:
				out[i] = floatCases[rng.IntN(len(floatCases))]
			case 1:
				out[i] = math.Float32frombits(rng.Uint32())
			default:
				out[i] = float32(rng.NormFloat64() * 3)
			}
		}
		return out
	case tile.I8:
		return filled(n, func() int8 { return int8(number()) })
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
