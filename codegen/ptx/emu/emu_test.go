package emu

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

const registers = `	.reg .pred %p<9>;
	.reg .b16 %h<9>;
	.reg .b32 %r<19>;
	.reg .b64 %d<19>;
	.reg .f32 %f<19>;
	.shared .align 128 .b8 s[1024];
`

// entry wraps a body of one block of n threads with the parameter x; the body's first line is line 14.
func body(n int, text string) string {
	return fmt.Sprintf(".version 7.4\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 x)\n.reqntid %d, 1, 1 {\n%s"+
		"\tld.param.u64 %%d0, [x];\n\tmov.u32 %%r0, %%tid.x;\n%s\n\tret;\n}\n", n, registers, text)
}

// run executes a body on a buffer of 1024 bytes.
func run(t *testing.T, n int, text string) ([]byte, error) {
	t.Helper()
	m, err := Parse(body(n, text))
	if err != nil {
		return nil, err
	}
	mem := &Memory{Data: make([]byte, 1024)}
	for i := range mem.Data {
		mem.Data[i] = byte(i)
	}
	_, err = m.Run(Launch{Entry: "k", Blocks: 1, Args: []any{Pointer{mem, 0}}})
	return mem.Data, err
}

// store writes %r1 of every thread to the buffer.
const store = `mad.wide.u32 %d1, %r0, 4, %d0; st.global.b32 [%d1], %r1;`

func words(b []byte, n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return out
}

// Threads that branch apart meet again, in loops of different lengths, too.
func TestDivergence(t *testing.T) {
	b, err := run(t, 32, `and.b32 %r2, %r0, 3; mov.b32 %r1, 0;
$more: setp.eq.s32 %p0, %r2, 0; @%p0 bra $out;
	sub.s32 %r2, %r2, 1; add.s32 %r1, %r1, 10; bra $more;
$out: setp.lt.s32 %p1, %r0, 16; @%p1 bra $low;
	add.s32 %r1, %r1, 500; bra $end;
$low: add.s32 %r1, %r1, 100;
$end: shfl.sync.idx.b32 %r3, %r0, 7, 31, 0xffffffff; add.s32 %r1, %r1, %r3;
`+store)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range words(b, 32) {
		want := i%4*10 + 100 + 7
		if i >= 16 {
			want += 400
		}
		if int(got) != want {
			t.Errorf("thread %d has %d, want %d", i, got, want)
		}
	}
}

func TestShuffles(t *testing.T) {
	b, err := run(t, 32, `shfl.sync.down.b32 %r1, %r0, 5, 31, 0xffffffff; `+store)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range words(b, 32) {
		if want := map[bool]int{true: i + 5, false: i}[i < 27]; int(got) != want {
			t.Errorf("thread %d has %d, want %d", i, got, want)
		}
	}
}

// The fragments of matrices, as the manual draws them: ldmatrix and mma of known matrices.
func TestMatrices(t *testing.T) {
	// Row r of the eight-column matrices in shared memory holds 8r, 8r+1, … as 16 bits.
	text := `mad.wide.u32 %d2, %r0, 16, %d0; mov.u32 %r4, s; mad.lo.s32 %r5, %r0, 16, %r4;
cp.async.cg.shared.global [%r5], [%d2], 16, 16; cp.async.commit_group; cp.async.wait_group 0; bar.sync 0;
ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r6, %r7, %r1, %r8}, [%r5]; ` + store
	m, err := Parse(body(32, text))
	if err != nil {
		t.Fatal(err)
	}
	mem := &Memory{Data: make([]byte, 512)}
	for i := range 256 {
		binary.LittleEndian.PutUint16(mem.Data[2*i:], uint16(i))
	}
	stats, err := m.Run(Launch{Entry: "k", Blocks: 1, Args: []any{Pointer{mem, 0}}})
	if err != nil {
		t.Fatal(err)
	}
	if stats.Conflicts != 0 {
		t.Errorf("%d waits for banks in rows side by side", stats.Conflicts)
	}
	for i, got := range words(mem.Data, 32) {
		first := uint32(128 + i/4*8 + i%4*2) // of matrix 2
		if got != first|(first+1)<<16 {
			t.Errorf("thread %d has %#x, want %#x", i, got, first|(first+1)<<16)
		}
	}
	// Every thread holds ones in A, two in B and three in C: 16·2 + 3.
	b, err := run(t, 32, `mov.b32 %r2, 0x3f803f80; mov.b32 %r3, 0x40004000; mov.f32 %f0, 0f40400000;
mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1, %f2, %f3, %f4}, {%r2, %r2, %r2, %r2}, {%r3, %r3}, {%f0, %f0, %f0, %f0};
mov.b32 %r1, %f4; `+store)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range words(b, 32) {
		if math.Float32frombits(got) != 35 {
			t.Errorf("thread %d has %g, want 35", i, math.Float32frombits(got))
		}
	}
}

// One product in which every element counts differently, so that no fragment may be permuted.
func TestMultiplyFragments(t *testing.T) {
	w := &warp{block: &block{grid: &grid{entry: &entry{}}}, regs: make([][warpSize]uint64, 14), known: slices.Repeat([]uint32{everyone}, 14)}
	number := func(r, k int) float32 { return float32(1 + (r*7+k*3)%11) }
	bf := func(x, y float32) uint64 { return uint64(math.Float32bits(x)>>16 | math.Float32bits(y)&^0xffff) }
	in := instr{op: opcodes["mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"]}
	list := func(first, n int) operand {
		o := operand{kind: tuple}
		for i := range n {
			o.list = append(o.list, operand{kind: register, reg: first + i})
		}
		return o
	}
	in.args = []operand{list(10, 4), list(0, 4), list(4, 2), list(6, 4)}
	for lane := range warpSize {
		g, c := lane/4, lane%4*2
		for i, at := range [][2]int{{g, c}, {g + 8, c}, {g, c + 8}, {g + 8, c + 8}} { // a0…a3
			w.regs[i][lane] = bf(number(at[0], at[1]), number(at[0], at[1]+1))
		}
		for i, k := range []int{c, c + 8} { // b0, b1
			w.regs[4+i][lane] = bf(number(g+40, k), number(g+40, k+1))
		}
		for i := range 4 {
			w.regs[6+i][lane] = uint64(math.Float32bits(float32(i)))
		}
	}
	multiply(w, &in, everyone)
	for lane := range warpSize {
		g, c := lane/4, lane%4*2
		for i, at := range [][2]int{{g, c}, {g, c + 1}, {g + 8, c}, {g + 8, c + 1}} {
			want := float32(i)
			for k := range 16 {
				want += number(at[0], k) * number(at[1]+40, k)
			}
			if got := f32(w.regs[10+i][lane]); got != want {
				t.Errorf("row %d column %d is %g, want %g", at[0], at[1], got, want)
			}
		}
	}
}

// Everything that the hardware would let pass is an error that names the line.
func TestTraps(t *testing.T) {
	const shared = `mov.u32 %r4, s; mad.lo.s32 %r5, %r0, 8, %r4; mov.f32 %f0, 0f3F800000; st.shared.v2.f32 [%r5], {%f0, %f0}; `
	const source = `mov.u32 %r4, s; mad.lo.s32 %r5, %r0, 16, %r4; mad.wide.u32 %d2, %r0, 16, %d0; `
	for _, c := range []struct {
		threads    int
		text, want string
	}{
		{32, "add.s32 %r1, %r0, %r2;", "line 14: block 0, warp 0: thread 0 reads %r2, which it has not written"},
		{32, "setp.lt.s32 %p0, %r0, 9; @%p0 mov.b32 %r1, 1;\n" + store, "line 15: block 0, warp 0: thread 9 reads %r1, which it has not written"},
		{32, "@%p3 mov.b32 %r1, 1;", "thread 0 reads %p3"},
		{32, "ld.global.b32 %r1, [%d0+1024];", "thread 0 accesses bytes 1024 to 1028 of a buffer of 1024"},
		{64, "mov.b64 %d0, 64; ld.global.f32 %f0, [%d0];", "thread 0 accesses address 0x40, in no buffer"},
		{32, "ld.global.f32 %f0, [%d0+2];", "thread 0 accesses address 0x10000000002, which is not a multiple of 4"},
		{32, "st.global.b32 [%d0], %r0;", "thread 1 touches byte 0 of a buffer, which another thread of the grid wrote"},
		{32, "mov.u32 %r4, s; ld.shared.f32 %f0, [%r4+1024];", "accesses bytes 1024 to 1028 of shared memory, which has 1024"},
		{32, "mov.u32 %r4, s; ld.shared.f32 %f0, [%r4+6];", "which is not aligned"},
		{32, "mov.u32 %r4, s; ld.shared.f32 %f0, [%r4];", "thread 0 reads byte 0 of shared memory, which was not written"},
		{32, source + "cp.async.cg.shared.global [%r5], [%d2], 16, 16; mov.f32 %f0, 0f3F800000; st.shared.v2.f32 [%r5], {%f0, %f0};", "thread 0 writes byte 0 of shared memory, where a copy is on its way"},
		{32, shared + "ld.shared.f32 %f1, [%r4];", "thread 1 reads byte 0 of shared memory without a barrier after thread 0 of warp 0 wrote it"},
		{64, shared + "bar.warp.sync 0xffffffff; ld.shared.f32 %f1, [%r4];", "warp 1: thread 32 reads byte 0 of shared memory without a barrier after thread 0 of warp 0"},
		{64, shared + "bar.sync 0; ld.shared.f32 %f1, [%r4]; st.shared.v2.f32 [%r5], {%f0, %f0};", "writes byte 0 of shared memory without a barrier after another one read it"},
		{32, shared + "st.shared.v2.f32 [%r4], {%f0, %f0};", "thread 1 writes byte 0 of shared memory without a barrier after thread 0 of warp 0 wrote it"},
		{32, source + "cp.async.cg.shared.global [%r5], [%d2], 16, 16; cp.async.commit_group; cp.async.wait_group 1; bar.sync 0; ld.shared.f32 %f1, [%r5];", "reads byte 0 of shared memory, where a copy is on its way"},
		{32, source + "cp.async.cg.shared.global [%r5], [%d2+8], 16, 16;", "which is not a multiple of 16"},
		{32, source + "cp.async.cg.shared.global [%r5], [%d2], 16, 17;", "thread 0 copies 17 of 16 bytes"},
		{64, source + "cp.async.cg.shared.global [%r5], [%d2+16], 16, 16; cp.async.commit_group; cp.async.wait_group 0;", "accesses bytes 1024 to 1040 of a buffer of 1024"},
		{32, "setp.lt.s32 %p0, %r0, 9; @%p0 bra $x; shfl.sync.idx.b32 %r1, %r0, 0, 31, 0xffffffff;\n$x:", "shfl.sync.idx.b32 is reached by 23 of 32 threads"},
		{32, "setp.lt.s32 %p0, %r0, 9; @%p0 bar.sync 0;", "bar.sync is reached by 9 of 32 threads"},
		{64, "shr.u32 %r1, %r0, 5; setp.eq.s32 %p0, %r1, 0; @%p0 bra $x; bar.sync 0;\n$x:", "1 of 2 warps wait at a barrier, the others have returned"},
		{32, "shfl.sync.idx.b32 %r1, %r0, 0, 31, 0xffff;", "shfl.sync.idx.b32 of part of a warp"},
		{32, "sub.s32 %r1, %r0, %r0; div.s32 %r2, %r0, %r1;", "division by zero"},
	} {
		_, err := run(t, c.threads, c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "entry k: line 1") {
			t.Errorf("%s\n\tgot  %v\n\twant %s", c.text, err, c.want)
		}
	}
	// The same with barriers in their places passes.
	for _, text := range []string{
		shared + "bar.warp.sync 0xffffffff; ld.shared.f32 %f1, [%r4]; bar.warp.sync 0xffffffff; st.shared.v2.f32 [%r5], {%f0, %f0};",
		source + "cp.async.cg.shared.global [%r5], [%d2], 16, 3; cp.async.commit_group; cp.async.wait_group 0; bar.sync 0; ld.shared.f32 %f1, [%r4+16];",
	} {
		if _, err := run(t, 32, text); err != nil {
			t.Errorf("%s\n\t%v", text, err)
		}
	}
}

// What is not PTX, or not the PTX that the kernels use, is an error with its line.
func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"add.f32 %f0, %f1, %f2;":        "line 14: unknown instruction add.f32",
		"add.rn.f32 %f0, %r0, %f2;":     "line 14: an operand of add.rn.f32 does not fit its type 'f'",
		"add.rn.f32 %f0, %f1;":          "line 14: add.rn.f32 of 2 operands",
		"add.s32 %r0, %r1, %r2, %r3;":   "line 14: add.s32 of 4 operands, expected 3",
		"add.s32 5, %r1, %r2;":          "does not fit its type 'w'",
		"add.s32 %r0, %r1, 4294967296;": "does not fit its type 'w'",
		"add.rn.f32 %f0, %f1, 1;":       "does not fit its type 'f'",
		"\nadd.s32 %r0, %r1, %q;":       "line 15: %q is not a declared register",
		"ld.global.f32 %f0, [%r1];":     "does not fit its type 'g'",
		"ld.param.u64 %d0, [y];":        "does not fit its type 'q'",
		"bra $nowhere;":                 "line 14: no instruction at label $nowhere",
		"$a:\n$a:":                      "line 15: label $a is there twice",
		"@%r0 bra $a;":                  "line 14: %r0 is not a predicate",
		"mov.f32 %f0, 0f3F8;":           `line 14: "0f3F8", expected 0f and eight digits`,
		"ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r0, %r1}, [%r2];": "is not 4 in braces",
		"mov.b32 %r0, ?;": `line 14: unexpected '?'`,
	} {
		if _, err := Parse(body(32, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n\tgot  %v\n\twant %s", text, err, want)
		}
	}
	whole := body(32, "")
	for n := strings.Index(whole, ".visible") + 1; n < len(whole)-2; n++ {
		if _, err := Parse(whole[:n]); err == nil || !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("the first %d bytes: got %v", n, err)
		}
	}
	for from, to := range map[string]string{"7.4": "8.0", "sm_80": "sm_90", "\tret;\n": "", ".u64": ".u32", ".reqntid 32": ".reqntid 33"} {
		if _, err := Parse(strings.Replace(body(32, ""), from, to, 1)); err == nil || !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%q for %q: got %v", to, from, err)
		}
	}
}

func TestLaunchErrors(t *testing.T) {
	m, err := Parse(body(32, ""))
	if err != nil {
		t.Fatal(err)
	}
	for want, l := range map[string]Launch{
		"the module has no entry q":             {Entry: "q"},
		"entry k: 0 arguments for 1 parameters": {Entry: "k"},
		"entry k: argument 0 is a string":       {Entry: "k", Args: []any{"x"}},
	} {
		if _, err := m.Run(l); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
