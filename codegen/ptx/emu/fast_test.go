package emu

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// The sums that are rounded twice are those that are rounded once, from equal exponents to distant ones.
func TestFusedBrains(t *testing.T) {
	rng, quick := rand.New(rand.NewPCG(7, 8)), 0
	for i := range 2_000_000 {
		a, b, c := rng.Uint64()&0xffff, rng.Uint64()&0xffff, rng.Uint64()&0xffff
		if i%4 > 0 { // exponents that meet
			e := int(a>>7&0xff) + int(b>>7&0xff) - 127 + rng.IntN(40) - 20
			c = c&0x807f | uint64(min(max(e, 0), 254))<<7
		}
		if i%16 == 1 { // ties are likely
			a, b = a&0xfff0, b&0xfff0
		}
		want := brain(oddSum(brainOf(a)*brainOf(b), brainOf(c)), nearest)
		if got := fmaBrain(a, b, c); got != want {
			t.Fatalf("%#x·%#x + %#x = %#x, expected %#x", a, b, c, got, want)
		}
		if got, ok := quickBrain(uint32(a)<<16, uint32(b)<<16, uint32(c)<<16); ok && uint64(got>>16) != want {
			t.Fatalf("%#x·%#x + %#x = %#x in float32, expected %#x", a, b, c, got>>16, want)
		} else if ok {
			quick++
		}
	}
	if quick < 1_000_000 {
		t.Errorf("%d of 2,000,000 sums show in float32, expected most", quick)
	}
}

// An instruction of a whole warp gives the bits that it gives one thread after the other, which is how a warp without its last
// thread executes it: all that are fast, on numbers of every kind.
func TestWholeWarpsCompute(t *testing.T) {
	const blocks = 100
	names := slices.Sorted(maps.Keys(fastOne))
	for _, table := range []int{0, 0xea, 0x96, 0xca, 0x1b, 0xff} {
		names = append(names, fmt.Sprintf("lop3.b32 %d", table))
	}
	for _, typ := range []string{"s32", "u32", "b32", "s64", "u64", "b64", "f32"} {
		for _, how := range []string{"eq", "ne", "lt", "le", "gt", "ge"} {
			names = append(names, "setp."+how+"."+typ)
		}
	}
	names = append(slices.AppendSeq(slices.AppendSeq(slices.AppendSeq(names, maps.Keys(fastConvert)), maps.Keys(fastTwo)), maps.Keys(fastThree)), "selp.b32", "selp.b64")
	for _, typ := range []string{"s32", "u32", "s64", "u64"} {
		names = append(names, "div."+typ, "rem."+typ)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	x := &Memory{Name: "x", Data: make([]byte, blocks*32*24)}
	edges := []uint32{0, 1 << 31, 1, 0x7f800000, 0xff800000, 0x7fc00001, 0x7f7fffff, 0x00800000, 0x3f800000, 0x4f000000, 0xcf000000, 0x4effffff, 0x7fffffff, ^uint32(0), 31, 32, 40}
	word := func() uint32 {
		switch rng.IntN(4) {
		case 0:
			return edges[rng.IntN(len(edges))]
		case 1: // a number of middling size
			return rng.Uint32()&0x83ffffff | uint32(rng.IntN(24)+116)<<23
		}
		return rng.Uint32()
	}
	for i := 0; i < len(x.Data); i += 4 {
		binary.LittleEndian.PutUint32(x.Data[i:], word())
	}
	for _, name := range names {
		of := func(threads int) []byte {
			m, err := Parse(wholeWarp(name, threads))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			y := &Memory{Name: "y", Data: make([]byte, blocks*32*8)}
			if _, err := m.Run(Launch{Entry: "k", Blocks: blocks, Args: []any{Pointer{x, 0}, Pointer{y, 0}}}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return y.Data
		}
		got, want := of(32), of(31)
		for i := range blocks * 32 {
			if i%32 != 31 && string(got[8*i:8*i+8]) != string(want[8*i:8*i+8]) {
				t.Errorf("%s of %x: %x, one thread after the other %x", name, x.Data[24*i:24*i+24], got[8*i:8*i+8], want[8*i:8*i+8])
				break
			}
		}
	}
}

// wholeWarp is a kernel that executes an instruction on three numbers of 64 bits that each thread reads, and stores its result.
func wholeWarp(name string, threads int) string {
	name, table, _ := strings.Cut(name, " ")
	parts := strings.Split(name, ".")
	of := func(p string) typ { return typesByName[p] }
	result, source := of(parts[len(parts)-1]), of(parts[len(parts)-1])
	third := source
	prefix := map[typ]string{u32: "r", s32: "r", b32: "r", bf16x2: "r", u64: "d", s64: "d", b64: "d", f32: "f"}
	var text strings.Builder
	switch parts[0] {
	case "cvt":
		result = of(parts[len(parts)-2])
	case "mul", "mad":
		if parts[1] == "wide" {
			result, third = b64, b64
		}
	}
	operand := func(t typ, i int) string { return fmt.Sprintf("%%%s%d", prefix[t], i) }
	operands := map[string][]string{"setp": {"%p1", operand(source, 1), operand(source, 2)}, "selp": {operand(result, 4), operand(source, 1), operand(source, 2), "%p0"}}[parts[0]]
	if operands == nil {
		operands = []string{operand(result, 4), operand(source, 1)}
		if fastOne[name] == nil && fastConvert[name] == nil {
			second := operand(source, 2)
			if parts[0] == "shl" || parts[0] == "shr" {
				second = "%r2"
			}
			operands = append(operands, second)
			if fastThree[name] != nil || table != "" {
				operands = append(operands, operand(third, 3))
			}
		}
		if table != "" {
			operands = append(operands, table)
		}
	}
	for i := 1; i <= 3; i++ {
		fmt.Fprintf(&text, "ld.global.b64 %%d%d, [%%d9+%d]; cvt.u32.u64 %%r%d, %%d%d; mov.b32 %%f%d, %%r%d;\n", i, 8*(i-1), i, i, i, i)
	}
	if parts[0] == "div" || parts[0] == "rem" {
		text.WriteString("max.u32 %r2, %r2, 1; max.u64 %d2, %d2, 1;\n")
	}
	fmt.Fprintf(&text, "setp.lt.s32 %%p0, %%r1, %%r3; mov.b64 %%d4, 0;\n%s %s;\n", name, strings.Join(operands, ", "))
	switch {
	case parts[0] == "setp":
		text.WriteString("selp.b64 %d4, 1, 0, %p1;\n")
	case prefix[result] == "r":
		text.WriteString("cvt.u64.u32 %d4, %r4;\n")
	case prefix[result] == "f":
		text.WriteString("mov.b32 %r4, %f4; cvt.u64.u32 %d4, %r4;\n")
	}
	return fmt.Sprintf(`.version 7.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 x, .param .u64 y)
.reqntid %d, 1, 1 {
.reg .pred %%p<2>; .reg .b32 %%r<12>; .reg .f32 %%f<6>; .reg .b64 %%d<12>;
ld.param.u64 %%d9, [x]; ld.param.u64 %%d10, [y];
mov.u32 %%r10, %%tid.x; mov.u32 %%r11, %%ctaid.x; mad.lo.u32 %%r10, %%r11, 32, %%r10;
mad.wide.u32 %%d9, %%r10, 24, %%d9; mad.wide.u32 %%d10, %%r10, 8, %%d10;
%sst.global.b64 [%%d10], %%d4;
ret;
}
`, threads, text.String())
}

// Vectors say where addresses lie as the loop does, also beyond 2^63.
func TestAddressesByVectors(t *testing.T) {
	if !vectors {
		t.Skip("this machine has no AVX2")
	}
	rng := rand.New(rand.NewPCG(9, 10))
	for step := range 100_000 {
		var base, got, want lanes
		for i := range base {
			base[i] = rng.Uint64() >> (step % 40)
			if step%3 == 0 {
				base[i] = 1<<40 + uint64(i*16)
			}
		}
		if step%5 == 0 {
			base[rng.IntN(32)] = rng.Uint64()
		}
		offset := rng.Uint64() >> rng.IntN(64)
		var s, u addressSpan
		addressLanes(&got, &base, offset, &s)
		u.low, u.high = math.MaxInt64, math.MinInt64
		for i, b := range base {
			want[i] = b + offset
			u.low, u.high, u.bits = min(u.low, int64(want[i])), max(u.high, int64(want[i])), u.bits|want[i]
		}
		if got != want || s != u {
			t.Fatalf("%x + %#x: %+v, expected %+v", base, offset, s, u)
		}
	}
}
