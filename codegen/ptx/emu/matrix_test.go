package emu

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// element is how a test makes and reads elements of a type: small whole numbers, so that all sums are exact.
type element struct {
	bits  int
	write func(v int) uint64
}

var elements = map[string]element{
	"f16":  {16, func(v int) uint64 { return half(float64(v), nearest) }},
	"bf16": {16, func(v int) uint64 { return brain(float64(v), nearest) }},
	"tf32": {32, func(v int) uint64 { return bits32(float32(v)) }},
	"f64":  {64, func(v int) uint64 { return math.Float64bits(float64(v)) }},
	"s8":   {8, func(v int) uint64 { return uint64(v) & 255 }},
	"u8":   {8, func(v int) uint64 { return uint64(v) & 255 }},
	"s4":   {4, func(v int) uint64 { return uint64(v) & 15 }},
	"u4":   {4, func(v int) uint64 { return uint64(v) & 15 }},
}

// The products of every shape and type, with operands laid out as the manual's figures draw them.
func TestProducts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ shape, d, a, b string }{
		{"m16n8k16", "f32", "bf16", "bf16"}, {"m16n8k8", "f32", "bf16", "bf16"}, {"m16n8k16", "f32", "f16", "f16"}, {"m16n8k8", "f32", "f16", "f16"},
		{"m16n8k16", "f16", "f16", "f16"}, {"m16n8k8", "f16", "f16", "f16"}, {"m16n8k8", "f32", "tf32", "tf32"}, {"m16n8k4", "f32", "tf32", "tf32"},
		{"m8n8k4", "f64", "f64", "f64"}, {"m8n8k16", "s32", "s8", "u8"}, {"m16n8k16", "s32", "u8", "s8"}, {"m16n8k32", "s32", "s8", "s8"},
		{"m8n8k32", "s32", "s4", "u4"}, {"m16n8k32", "s32", "u4", "u4"}, {"m16n8k64", "s32", "s4", "s4"},
	} {
		product(t, rng, c.shape, c.d, c.a, c.b)
	}
}

func product(t *testing.T, rng *rand.Rand, shape, td, ta, tb string) {
	t.Helper()
	s := mmaShapes[shape]
	number := func(name string) int {
		if name[0] == 'u' {
			return rng.IntN(8)
		}
		return rng.IntN(15) - 7
	}
	var a, c [16][64]int
	var b [64][8]int
	for i := range s.m {
		for k := range s.k {
			a[i][k] = number(ta)
		}
		for j := range s.n {
			c[i][j] = number("s")
		}
	}
	for k := range s.k {
		for j := range s.n {
			b[k][j] = number(tb)
		}
	}
	ea, eb := elements[ta], elements[tb]
	width := max(32, ea.bits)
	per := width / ea.bits
	pack := func(e element, at func(i int) int) (v uint64) {
		for i := range per {
			v |= e.write(at(i)) << (i * e.bits)
		}
		return v
	}
	// The fragments, as the manual draws them.
	na, nb, nc := s.m*s.k/per/32, s.n*s.k/per/32, s.m*s.n/32
	var words [][32]uint64
	for i := range na {
		var w [32]uint64
		for lane := range 32 {
			row, k := lane/4, lane%4*per
			if s.m == 16 {
				row += i % 2 * 8
				k += i / 2 * 4 * per
			} else {
				k += i * 4 * per
			}
			w[lane] = pack(ea, func(j int) int { return a[row][k+j] })
		}
		words = append(words, w)
	}
	for i := range nb {
		var w [32]uint64
		for lane := range 32 {
			w[lane] = pack(eb, func(j int) int { return b[lane%4*per+i*4*per+j][lane/4] })
		}
		words = append(words, w)
	}
	if td == "f16" {
		nc /= 2
	}
	place := func(lane, i int) (int, int) {
		if td == "f16" {
			return lane/4 + i*8, lane % 4 * 2
		}
		return lane/4 + i/2*8, lane%4*2 + i%2
	}
	sum := func(v [16][64]int, lane, i int) uint64 {
		row, col := place(lane, i)
		switch td {
		case "f16":
			return elements["f16"].write(v[row][col]) | elements["f16"].write(v[row][col+1])<<16
		case "f32":
			return bits32(float32(v[row][col]))
		case "f64":
			return math.Float64bits(float64(v[row][col]))
		}
		return uint64(uint32(v[row][col]))
	}
	for i := range nc {
		var w [32]uint64
		for lane := range 32 {
			w[lane] = sum(c, lane, i)
		}
		words = append(words, w)
	}
	x := &Memory{Data: make([]byte, 8*32*len(words))}
	for i, w := range words {
		for lane, v := range w {
			binary.LittleEndian.PutUint64(x.Data[(i*32+lane)*8:], v)
		}
	}
	text := &strings.Builder{}
	reg, cut := "b32", "cvt.u32.u64"
	if td == "f64" {
		reg, cut = "b64", "mov.b64"
	}
	fmt.Fprintf(text, ".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 x, .param .u64 y)\n.maxntid 32\n{\n.reg .%s %%r<%d>;\n.reg .b64 %%d<9>;\n.reg .b32 %%t;\n"+
		"ld.param.u64 %%d0, [x];\nld.param.u64 %%d1, [y];\nmov.u32 %%t, %%tid.x;\nmad.wide.u32 %%d0, %%t, 8, %%d0;\nmad.wide.u32 %%d1, %%t, 8, %%d1;\n", reg, len(words)+nc)
	list := func(from, n int) string {
		var names []string
		for i := range n {
			names = append(names, fmt.Sprintf("%%r%d", from+i))
		}
		return "{" + strings.Join(names, ", ") + "}"
	}
	for i := range words {
		fmt.Fprintf(text, "ld.global.b64 %%d2, [%%d0+%d];\n%s %%r%d, %%d2;\n", i*256, cut, i)
	}
	dtype := td
	fmt.Fprintf(text, "mma.sync.aligned.%s.row.col.%s.%s.%s.%s %s, %s, %s, %s;\n", shape, dtype, ta, tb, dtype,
		list(len(words), nc), list(0, na), list(na, nb), list(na+nb, nc))
	for i := range nc {
		fmt.Fprintf(text, "st.global.%s [%%d1+%d], %%r%d;\n", reg, i*256, len(words)+i)
	}
	text.WriteString("ret;\n}\n")
	m, err := Parse(text.String())
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	y := &Memory{Data: make([]byte, 256*nc)}
	if _, err := m.Run(Launch{Entry: "k", Block: [3]int{32}, Args: []any{Pointer{x, 0}, Pointer{y, 0}}}); err != nil {
		t.Fatal(err)
	}
	want := c
	for i := range s.m {
		for j := range s.n {
			for k := range s.k {
				want[i][j] += a[i][k] * b[k][j]
			}
		}
	}
	for i := range nc {
		for lane := range 32 {
			if got, w := read(y.Data[i*256+lane*8:][:8]), sum(want, lane, i); got != w {
				t.Errorf("%s %s %s %s: register %d of thread %d is %#x, want %#x", shape, td, ta, tb, i, lane, got, w)
				return
			}
		}
	}
}
