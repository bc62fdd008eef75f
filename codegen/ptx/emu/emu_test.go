package emu

import (
	"encoding/binary"
	"errors"
	"fmt"

	"strings"
	"testing"
)

const registers = `	.reg .pred %p<9>;
	.reg .b16 %h<9>;
	.reg .b32 %r<29>;
	.reg .b64 %d<19>;
	.reg .f32 %f<19>;
	.reg .f64 %fd<9>;
	.shared .align 128 .b8 s[1024];
`

// body wraps the text of a block of n threads with the parameters x and y; the text's first line is line 17.
func body(n int, text string) string {
	return fmt.Sprintf(".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 x, .param .u64 y)\n.reqntid %d, 1, 1 {\n%s"+
		"\tld.param.u64 %%d0, [x];\n\tld.param.u64 %%d9, [y];\n\tmov.u32 %%r0, %%tid.x;\n\tmov.u32 %%r9, s;\n%s\n\tret;\n}\n", n, registers, text)
}

// run executes a text on blocks of n threads: x is 1024 bytes that hold 0, 1, …; y is 4096 bytes that hold nothing.
func run(t testing.TB, blocks, n int, text string) ([]byte, error) {
	t.Helper()
	return runOn(t, 0, blocks, n, text)
}

// runOn is run on so many threads of this machine.
func runOn(t testing.TB, workers, blocks, n int, text string) ([]byte, error) {
	t.Helper()
	m, err := Parse(body(n, text))
	if err != nil {
		return nil, err
	}
	x, y := &Memory{Name: "x", Data: make([]byte, 1024)}, Unwritten("y", 4096)
	for i := range x.Data {
		x.Data[i] = byte(i)
	}
	_, err = m.Run(Launch{Entry: "k", Grid: [3]int{blocks}, Workers: workers, Args: []any{Pointer{x, 0}, Pointer{y, 0}}})
	return y.Data, err
}

// store writes %r1 of every thread to y.
const store1 = `mad.wide.u32 %d1, %r0, 4, %d9; st.global.b32 [%d1], %r1;`

func words(b []byte, n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return out
}

// each runs a text in a warp and compares %r1 of every thread.
func each(t *testing.T, text string, want func(i int) uint32) {
	t.Helper()
	b, err := run(t, 1, 32, text+store1)
	if err != nil {
		t.Errorf("%s\n\t%v", text, err)
		return
	}
	for i, got := range words(b, 32) {
		if got != want(i) {
			t.Errorf("%s\n\tthread %d has %#x, want %#x", text, i, got, want(i))
			return
		}
	}
}

// Threads that branch apart meet again, in loops of different lengths, too.
func TestDivergence(t *testing.T) {
	each(t, `and.b32 %r2, %r0, 3; mov.b32 %r1, 0;
$more: setp.eq.s32 %p0, %r2, 0; @%p0 bra $out;
	sub.s32 %r2, %r2, 1; add.s32 %r1, %r1, 10; bra $more;
$out: setp.lt.s32 %p1, %r0, 16; @%p1 bra $low;
	add.s32 %r1, %r1, 500; bra $end;
$low: add.s32 %r1, %r1, 100;
$end: shfl.sync.idx.b32 %r3, %r0, 7, 31, 0xffffffff; add.s32 %r1, %r1, %r3;
`, func(i int) uint32 { return uint32(i%4*10 + 107 + i/16*400) })
	// The end of the loop comes before the loop in the text, and the threads still meet at the vote.
	each(t, `mov.b32 %r1, 0; mov.b32 %r2, %r0; bra $loop;
$end: activemask.b32 %r1; bra $done;
$loop: setp.eq.s32 %p0, %r2, 0; @%p0 bra $end; sub.s32 %r2, %r2, 1; bra $loop;
$done: `, func(int) uint32 { return everyone })
	each(t, `and.b32 %r2, %r0, 3; brx.idx %r2, t;
t: .branchtargets a, b, c, b;
a: mov.b32 %r1, 5; bra z;
b: mov.b32 %r1, 6; bra z;
c: mov.b32 %r1, 7;
z: `, func(i int) uint32 { return [4]uint32{5, 6, 7, 6}[i%4] })
}

// A lock that one thread of a warp holds while others wait for it.
func TestLockWithinWarp(t *testing.T) {
	b, err := run(t, 2, 64, `mov.b32 %r2, 0; setp.ne.s32 %p2, %r0, 0; @%p2 bra $in; st.shared.b32 [%r9], %r2; st.shared.b32 [%r9+4], %r2;
$in: bar.sync 0; mov.b32 %r1, 0;
$try: atom.shared.cas.b32 %r3, [%r9], 0, 1; setp.ne.s32 %p0, %r3, 0; @%p0 bra $try;
	ld.volatile.shared.b32 %r4, [%r9+4]; add.s32 %r4, %r4, 1; st.volatile.shared.b32 [%r9+4], %r4; membar.cta; atom.shared.exch.b32 %r5, [%r9], 0;
	bar.sync 0; ld.shared.b32 %r1, [%r9+4]; mov.u32 %r6, %ctaid.x; shl.b32 %r6, %r6, 6; add.s32 %r0, %r0, %r6; `+store1)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range words(b, 128) {
		if got != 64 {
			t.Fatalf("thread %d has %d, want 64", i, got)
		}
	}
}

func TestShuffles(t *testing.T) {
	for _, c := range []struct {
		text string
		want func(i int) int
	}{
		{"shfl.sync.down.b32 %r1, %r0, 5, 31, -1;", func(i int) int {
			if i < 27 {
				return i + 5
			}
			return i
		}},
		{"shfl.sync.up.b32 %r1, %r0, 3, 0, -1;", func(i int) int {
			if i >= 3 {
				return i - 3
			}
			return i
		}},
		{"shfl.sync.bfly.b32 %r1, %r0, 9, 31, -1;", func(i int) int { return i ^ 9 }},
		{"shfl.sync.idx.b32 %r1, %r0, 2, 0x181f, -1;", func(i int) int { return i&^7 + 2 }}, // in segments of 8
		{"shfl.sync.down.b32 %r1|%p0, %r0, 2, 0x1c1f, -1; selp.b32 %r1, %r1, 99, %p0;", func(i int) int {
			if i%4 < 2 {
				return i + 2
			}
			return 99
		}},
		{"setp.lt.u32 %p0, %r0, 9; vote.sync.ballot.b32 %r1, %p0, -1;", func(int) int { return 511 }},
		{"setp.lt.u32 %p0, %r0, 9; vote.sync.any.pred %p1, %p0, -1; vote.sync.all.pred %p2, %p0, -1; selp.b32 %r1, 2, 3, %p1; @%p2 mov.b32 %r1, 9;", func(int) int { return 2 }},
		{"and.b32 %r2, %r0, 3; match.any.sync.b32 %r1, %r2, -1;", func(i int) int { return 0x11111111 << (i % 4) }},
		{"redux.sync.add.s32 %r1, %r0, -1;", func(int) int { return 496 }},
		{"redux.sync.max.u32 %r1, %r0, -1;", func(int) int { return 31 }},
		{"elect.sync %r1|%p0, -1; @%p0 add.s32 %r1, %r1, 4;", func(i int) int { return int(truth(i == 0)) * 4 }},
	} {
		each(t, c.text, func(i int) uint32 { return uint32(c.want(i)) })
	}
}

// The fragments of matrices, as the manual draws them.
func TestMatrices(t *testing.T) {
	const rows = `mad.wide.u32 %d2, %r0, 16, %d0; mad.lo.s32 %r5, %r0, 16, %r9;
cp.async.cg.shared.global [%r5], [%d2], 16; cp.async.commit_group; cp.async.wait_group 0; bar.sync 0;`
	pair := func(a, b int) uint32 { // of 16 bits at indices of x
		at := func(i int) uint32 { return uint32(2*i%256) | uint32((2*i+1)%256)<<8 }
		return at(a) | at(b)<<16
	}
	each(t, rows+"ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r6, %r7, %r1, %r8}, [%r5];", func(i int) uint32 {
		first := 128 + i/4*8 + i%4*2 // of matrix 2
		return pair(first, first+1)
	})
	each(t, rows+"ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%r6, %r1}, [%r5];", func(i int) uint32 {
		first := 64 + i%4*16 + i/4
		return pair(first, first+8)
	})
	each(t, rows+"ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r6}, [%r5]; movmatrix.sync.aligned.m8n8.trans.b16 %r1, %r6;", func(i int) uint32 {
		first := i%4*16 + i/4
		return pair(first, first+8)
	})
	each(t, rows+"ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r6}, [%r5]; bar.sync 0; stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [%r5], {%r6}; bar.sync 0;"+
		"ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%r1}, [%r5];", func(i int) uint32 { return pair(i/4*8+i%4*2, i/4*8+i%4*2+1) })
}

// finding is what is wrong with a text. One block runs at a time: races of the text are not to be races of the test.
func finding(t *testing.T, blocks, n int, text string) *Finding {
	t.Helper()
	_, err := runOn(t, 1, blocks, n, text)
	var f *Finding
	if err != nil && !errors.As(err, &f) {
		t.Errorf("%s\n\t%v is no finding", text, err)
	}
	return f
}

// Everything that the hardware would let pass is a finding with its kind and place.
func TestFindings(t *testing.T) {
	const own = `mad.lo.s32 %r5, %r0, 8, %r9; mov.f32 %f0, 0f3F800000; cvt.rn.f32.u32 %f2, %r0; st.shared.v2.f32 [%r5], {%f0, %f2}; `
	const source = `mad.lo.s32 %r5, %r0, 16, %r9; mad.wide.u32 %d2, %r0, 16, %d0; `
	const copied = source + "cp.async.cg.shared.global [%r5], [%d2], 16; cp.async.commit_group; "
	const block = "mov.u32 %r7, %ctaid.x; "
	for _, c := range []struct {
		blocks, threads int
		text            string
		kind            Kind
		want            string
	}{
		{1, 32, "add.s32 %r1, %r0, %r2;\n" + store1, Uninitialized, "ptx:17:1: uninitialized: k, block 0, thread 0: add.s32 reads %r2, which the thread has not written"},
		{1, 32, "setp.lt.s32 %p0, %r0, 9; @%p0 mov.b32 %r1, 1;\n" + store1, Uninitialized, "ptx:18:32: uninitialized: k, block 0, thread 9: st.global.b32 reads %r1"},
		{1, 32, "@%p3 mov.b32 %r1, 1;", Uninitialized, "thread 0: mov.b32 reads %p3"},
		{1, 32, "mov.b32 %r1, %r2;\n" + store1, Uninitialized, "ptx:17:1: uninitialized: k, block 0, thread 0: mov.b32 reads %r2"},
		{1, 32, "mad.wide.u32 %d1, %r0, 4, %d9;\nld.global.b32 %r1, [%d1];\n" + store1, Uninitialized, "ptx:18:1: uninitialized: k, block 0, thread 0: ld.global.b32 reads bytes 0 to 3 of y, which nobody has written"},
		{1, 32, "ld.shared.f32 %f0, [%r9+4]; add.f32 %f0, %f0, %f0; mov.b32 %r1, %f0; " + store1, Uninitialized, "reads bytes 4 to 7 of shared memory"},
		{1, 32, "ld.global.b32 %r1, [%d0+1024];", OutOfBounds, "thread 0: ld.global.b32 touches bytes 1024 to 1027 of x, which has 1024"},
		{1, 32, "st.global.b32 [%d9+-4], %r0;", OutOfBounds, "touches bytes -4 to -1 of y"},
		{1, 64, "mov.b64 %d0, 64; ld.global.f32 %f0, [%d0];", OutOfBounds, "touches address 0x40, where no buffer lies"},
		{1, 32, "ld.shared.f32 %f0, [%r9+1024];", OutOfBounds, "touches bytes 1024 to 1027 of shared memory, which has 1024"},
		{1, 32, "ld.global.f32 %f0, [%d0+2];", Misaligned, "touches 4 bytes at byte 2 of x"},
		{1, 32, "ld.shared.f32 %f0, [%r9+6];", Misaligned, "at address 0x406 of shared memory"},
		{1, 32, source + "cp.async.cg.shared.global [%r5], [%d2+8], 16, 16;", Misaligned, "copies from address"},
		{1, 32, "st.global.b32 [%d9], %r0;", Race, "thread 1: writes byte 0 of y and no barrier orders them, written by thread 0"},
		{1, 64, "shr.u32 %r1, %r0, 5; st.global.b32 [%d9], %r1;", Race, "thread 63: writes byte 0 of y and no barrier orders them, written by thread 31 of block 0"},
		{2, 32, block + "st.global.b32 [%d9], %r7;", Race, "block 1, thread 31: writes byte 0 of y and nothing orders the two blocks, written by thread 31 of block 0"},
		{2, 32, block + "setp.eq.s32 %p0, %r7, 0; mad.wide.u32 %d1, %r0, 4, %d0; mad.wide.u32 %d2, %r0, 4, %d9;\n@%p0 st.global.b32 [%d1], %r0;\n@!%p0 ld.global.b32 %r1, [%d1]; @!%p0 st.global.b32 [%d2], %r1;", Race,
			"ptx:19:7: race: k, block 1, thread 0: reads byte 0 of x and nothing orders the two blocks, written by thread 0 of block 0 at 18:6"},
		{1, 32, source + "cp.async.cg.shared.global [%r5], [%d2], 16, 16; mov.f32 %f0, 0f3F800000; st.shared.v2.f32 [%r5], {%f0, %f0};", MissingWait, "writes byte 0 of shared memory, where an asynchronous copy is on its way"},
		{1, 32, copied + "cp.async.wait_group 1; bar.sync 0; ld.shared.f32 %f1, [%r5];", MissingWait, "reads byte 0 of shared memory, where an asynchronous copy is on its way, written by thread 0"},
		{1, 64, copied + "cp.async.wait_group 0; xor.b32 %r5, %r5, 512; ld.shared.f32 %f1, [%r5];", Race, "no barrier orders it"},
		{1, 32, own + "ld.shared.f32 %f1, [%r9];", Race, "thread 1: ld.shared.f32 reads byte 0 of shared memory, and no barrier orders it, written by thread 0 of block 0"},
		{1, 64, own + "bar.warp.sync 0xffffffff; ld.shared.f32 %f1, [%r9];", Race, "thread 32: ld.shared.f32 reads byte 0"},
		{1, 64, own + "bar.sync 0; ld.shared.f32 %f1, [%r9+16]; st.shared.v2.f32 [%r5], {%f2, %f0};", Race, "writes byte 16 of shared memory, and no barrier orders it, read by thread "},
		{1, 64, "shl.b32 %r2, %r0, 2; sub.s32 %r2, 252, %r2; shl.b32 %r3, %r0, 2; add.s32 %r2, %r2, %r9; add.s32 %r3, %r3, %r9; st.shared.b32 [%r2], %r0; ld.shared.b32 %r1, [%r3];" + store1, Race, "shared memory"},
		{1, 32, "st.shared.b32 [%r9], %r0; bar.sync 0; ld.shared.b32 %r1, [%r9]; st.global.b32 [%d9], %r1;", Race, "thread 1: st.shared.b32 writes byte 0 of shared memory"},
		{1, 32, "setp.lt.s32 %p0, %r0, 9; @%p0 bra $x; shfl.sync.idx.b32 %r1, %r0, 0, 31, 0xffffffff;\n$x:bar.sync 0;", Deadlock, "the others never come"},
		{1, 32, "setp.lt.s32 %p0, %r0, 9; @%p0 bar.sync 0;", Deadlock, "bar.sync is reached by 9 of 32 threads"},
		{1, 32, "setp.lt.s32 %p0, %r0, 9; @%p0 bra $x; bar.sync 1;\n$x: bar.sync 0;", Deadlock, "of 32 threads of the warp, and the others never come"},
		{1, 64, "shr.u32 %r1, %r0, 5; setp.eq.s32 %p0, %r1, 0; @%p0 bra $x; bar.sync 0, 64;\n$x:", Deadlock, "barrier 0, phase 0, has 32 of 64 threads; ended: 1 warp"},
		{1, 64, "setp.lt.u32 %p0, %r0, 32; @%p0 st.shared.b32 [%r9], %r9; @%p0 ret; bar.sync 0; ld.shared.b32 %r1, [%r9];" + store1, Race, "reads byte 0 of shared memory, and no barrier orders it, written by thread 31"},
		{1, 64, "shr.u32 %r1, %r0, 5; setp.eq.s32 %p0, %r1, 0; @%p0 bar.sync 1; @!%p0 bar.sync 2;", Deadlock, "barrier 1, phase 0, has 32 of 64 threads; barrier 2"},
		{1, 32, "$x: ld.volatile.global.b32 %r1, [%d0]; setp.ne.s32 %p0, %r1, 7; @%p0 bra $x;", Deadlock, "waits for a change at address"},
		{1, 32, "setp.eq.s32 %p0, %r0, 0; @%p0 mbarrier.init.shared.b64 [%r9], 33; bar.sync 0; mbarrier.arrive.shared.b64 %d3, [%r9];\n$w: mbarrier.test_wait.shared.b64 %p1, [%r9], %d3; @!%p1 bra $w;",
			Deadlock, "mbarrier at 0x400, phase 0, lacks 1 of 33 arrivals"},
		{1, 32, "mbarrier.arrive.shared.b64 %d3, [%r9];", Uninitialized, "uses the mbarrier at byte 0"},
		{1, 32, "shfl.sync.idx.b32 %r1, %r0, 0, 31, 0xffff;", Trap, "is executed by a thread that its mask 0xffff leaves out"},
		{1, 32, "sub.s32 %r1, %r0, %r0; div.s32 %r2, %r0, %r1;", Trap, "divides by zero"},
		{1, 32, "add.s64 %d1, %d0, 511; mov.b32 %r1, 1; atom.global.add.u32 %r2, [%d1], %r1;", Misaligned, "touches 4 bytes at byte 511 of x"},
		{1, 32, "atom.global.add.u64 %d2, [%d0+1024], %d0;", OutOfBounds, "touches bytes 1024 to 1031 of x"},
		{1, 32, "trap;", Trap, "the kernel executes trap"},
		{1, 32, source + "cp.async.cg.shared.global [%r5], [%d2], 16, 17;", Trap, "copies 17 of 16 bytes"},
		{1, 64, source + "cp.async.cg.shared.global [%r5], [%d2+16], 16, 16;", OutOfBounds, "touches bytes 1024 to 1039 of x"},
		{1, 32, "frobnicate.b32 %r1, %r0;", UnknownOpcode, "ptx:17:1: unknown-opcode: frobnicate.b32"},
		{1, 32, "add.wrong.s32 %r1, %r0, %r0;", UnknownOpcode, "the modifier .wrong is not known"},
	} {
		f := finding(t, c.blocks, c.threads, c.text)
		if f == nil || f.Kind != c.kind || !strings.Contains(f.Error(), c.want) {
			t.Errorf("%s\n\tgot  %v\n\twant %s: %s", c.text, f, c.kind, c.want)
		}
	}
	// The same with barriers in their places passes; and so does what only looks wrong.
	for _, c := range []struct {
		blocks, threads int
		text            string
	}{
		{1, 32, own + "bar.warp.sync 0xffffffff; ld.shared.f32 %f1, [%r9]; bar.warp.sync 0xffffffff; st.shared.v2.f32 [%r5], {%f2, %f0};"},
		{1, 32, source + "cp.async.cg.shared.global [%r5], [%d2], 16, 3; cp.async.commit_group; cp.async.wait_group 0; bar.sync 0; ld.shared.f32 %f1, [%r9+16];"},
		{1, 64, copied + "cp.async.wait_all; bar.sync 0; xor.b32 %r5, %r5, 512; ld.shared.f32 %f1, [%r5];"},
		// Threads that have ended are not waited for: a warp before the others come and one behind, a half warp, and both.
		{1, 64, "setp.lt.u32 %p0, %r0, 32; @%p0 ret; bar.sync 0;"},
		{1, 96, "setp.ge.u32 %p0, %r0, 32; @%p0 ret; bar.sync 0; bar.sync 0;"},
		{1, 32, "setp.lt.u32 %p0, %r0, 9; @%p0 ret; bar.sync 0;"},
		{1, 96, "setp.lt.u32 %p0, %r0, 41; @%p0 ret; bar.sync 0; barrier.sync 3;"},
		{1, 32, "setp.lt.s32 %p0, %r0, 9; @%p0 barrier.sync 0;"},
		{4, 64, "mov.b32 %r1, 5; st.global.b32 [%d9], %r1;"},                                         // the same value by all
		{1, 32, "mov.b32 %r2, %r3; setp.lt.s32 %p0, %r0, 99; selp.b32 %r1, %r0, %r2, %p0;" + store1}, // an unwritten value that nobody chooses
		{1, 32, "prmt.b32 %r1, %r2, %r0, 0x4444; shl.b32 %r3, %r2, 16; mov.b32 {%h0, %h1}, %r3; cvt.u32.u16 %r3, %h0; add.s32 %r1, %r1, %r3; and.b32 %r4, %r5, 0xff00; and.b32 %r4, %r4, 255; add.s32 %r1, %r1, %r4; " + store1}, // undefined bytes that nobody uses
		{1, 32, "ld.global.b32 %r2, [%d9]; mov.b32 %r1, 1; " + store1},                                                                                     // a load whose result nobody uses
		{1, 128, "mov.b32 %r1, 1; shr.u32 %r2, %r0, 5; setp.lt.u32 %p0, %r2, 2; @%p0 bra $a; bar.sync 2, 64; bra $b; $a: bar.sync 1, 64; $b: bar.sync 0;"}, // named barriers
	} {
		if f := finding(t, c.blocks, c.threads, c.text); f != nil {
			t.Errorf("%s\n\t%v", c.text, f)
		}
	}
}

// lastBlock sums x by blocks; the block that comes last adds the parts, which fences and a counter order.
const lastBlock = `mov.u32 %r7, %ctaid.x; shl.b32 %r2, %r7, 5; add.s32 %r2, %r2, %r0; mad.wide.u32 %d1, %r2, 4, %d0; ld.global.b32 %r3, [%d1];
redux.sync.add.s32 %r3, %r3, -1; setp.ne.s32 %p0, %r0, 0; @%p0 bra $wait; mad.wide.u32 %d2, %r7, 4, %d9; st.global.b32 [%d2+64], %r3;
membar.gl;
atom.global.add.u32 %r4, [%d0+1020], 1; st.shared.b32 [%r9], %r4;
$wait: bar.sync 0; ld.shared.b32 %r4, [%r9]; setp.ne.s32 %p1, %r4, %r20; @%p1 bra $done; membar.gl; setp.ge.u32 %p2, %r0, 7; mov.b32 %r1, 0;
@%p2 bra $sum; mad.wide.u32 %d2, %r0, 4, %d9; ld.global.b32 %r1, [%d2+64];
$sum: redux.sync.add.s32 %r1, %r1, -1; @%p0 bra $done; st.global.b32 [%d9], %r1;
mov.b32 %r5, 0; st.global.b32 [%d0+1020], %r5;
$done:`

// Blocks that fences and atomics order do not race; without the fence they do. A flag that one block sets and another
// one waits for works whichever runs first.
func TestOrderBetweenBlocks(t *testing.T) {
	// The counter begins with the bytes fc fd fe ff; the last of 7 blocks sees 6 more.
	text := "mov.u32 %r20, 0xfffefe02; " + lastBlock
	b, err := run(t, 7, 32, text)
	want := uint32(0)
	for i := range uint32(7 * 32) {
		want += binary.LittleEndian.Uint32([]byte{byte(4 * i), byte(4*i + 1), byte(4*i + 2), byte(4*i + 3)})
	}
	if err != nil || words(b, 1)[0] != want {
		t.Errorf("with a fence: %v, %d, want %d", err, words(b, 1)[0], want)
	}
	withoutFences(t, 7, text)
	const flag = `mov.u32 %r7, %ctaid.x; setp.eq.s32 %p0, %r7, WAITER; mov.b32 %r1, 5; @%p0 bra $wait;
st.global.b32 [%d9], %r1; membar.gl; mov.b32 %r2, 9; st.volatile.global.b32 [%d0], %r2; bra $done;
$wait: ld.volatile.global.b32 %r2, [%d0]; setp.ne.s32 %p1, %r2, 9; @%p1 bra $wait; membar.gl; ld.global.b32 %r3, [%d9]; st.global.b32 [%d9+8], %r3;
$done:`
	for _, waiter := range []string{"0", "1"} {
		b, err := run(t, 2, 32, strings.Replace(flag, "WAITER", waiter, 1))
		if err != nil || words(b, 3)[2] != 5 {
			t.Errorf("block %s waits: %v", waiter, err)
		}
		withoutFences(t, 2, strings.Replace(flag, "WAITER", waiter, 1))
	}
}

// withoutFences drops each fence of a kernel, that of who publishes and that of who observes: each time there is a race.
func withoutFences(t *testing.T, blocks int, text string) {
	t.Helper()
	parts := strings.Split(text, "membar.gl;")
	if len(parts) != 3 {
		t.Fatalf("%d fences, expected 2", len(parts)-1)
	}
	for i, without := range []string{parts[0] + parts[1] + "membar.gl;" + parts[2], parts[0] + "membar.gl;" + parts[1] + parts[2]} {
		var f *Finding
		if _, err := runOn(t, 1, blocks, 32, without); !errors.As(err, &f) || f.Kind != Race {
			t.Errorf("without fence %d: %v", i, err)
		}
	}
}

// What is not PTX is an error with its place.
func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"add.rn.f32 %f0, %r0;":          "ptx:17:1: syntax: add.rn.f32 has 2 operands, expected 3",
		"add.s32 %r0, %r1, %r2, %r3;":   "add.s32 has 4 operands, expected 3",
		"add.s32 %r0, %r1, %d2;":        "ptx:17:19: syntax: %d2 is a register of type .b64; add.s32 takes .s32",
		"add.s32 5, %r1, %r2;":          "ptx:17:9: syntax: a result of add.s32 that is no register",
		"add.s32 %r0, %r1, 4294967296;": "4294967296 does not fit in .s32",
		"add.rn.f32 %f0, %f1, 1;":       "an integer for add.rn.f32",
		"\nadd.s32 %r0, %r1, %q;":       "ptx:18:19: syntax: %q is not declared",
		"ld.global.f32 %f0, [%r1];":     "an address in global memory has 64 bits",
		"ld.param.u64 %d0, [z];":        "z is neither a declared register nor a variable",
		"bra $nowhere;":                 "ptx:17:5: syntax: $nowhere is no label of this body",
		"$a:\n$a:":                      "ptx:18:1: syntax: $a is declared twice",
		"$a: @%r0 bra $a;":              "%r0 is no declared predicate",
		"mov.f32 %f0, 0f3F8;":           `"0f3F8" where "0f" and 8 hexadecimal digits are expected`,
		"ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r0, %r1}, [%r2];": "2 values in braces; ldmatrix.sync.aligned.m8n8.x4.shared.b16 takes 4",
		"mov.b32 %r0, ?;":                            `unexpected character '?'`,
		"mov.b32 %r0 %r1;":                           `"%r1" where "," is expected`,
		"mov.b32 %r0, %r1\nret;":                     `ptx:18:1: syntax: "ret" where "," is expected`,
		".reg .b33 %q;":                              `registers of type ".b33"`,
		"{ mov.b32 %r0, 1;":                          "the text ends",
		"cp.async.ca.shared.global [%r9], [%d0], 5;": "a copy of 5 bytes",
	} {
		if _, err := Parse(body(32, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n\tgot  %v\n\twant %s", text, err, want)
		}
	}
	whole := body(32, "")
	for n := strings.Index(whole, ".visible") + 1; n < len(whole)-2; n++ {
		if _, err := Parse(whole[:n]); err == nil || !strings.HasPrefix(err.Error(), "ptx:") {
			t.Errorf("the first %d bytes: got %v", n, err)
		}
	}
}

func TestLaunchErrors(t *testing.T) {
	m, err := Parse(body(32, ""))
	if err != nil {
		t.Fatal(err)
	}
	for want, l := range map[string]Launch{
		"the module has no entry q":                                          {Entry: "q"},
		"entry k: 0 arguments for 2 parameters":                              {Entry: "k"},
		"entry k: argument 0 is a string":                                    {Entry: "k", Args: []any{"x", 1}},
		"entry k: argument 1 has 4 bytes; parameter y has 8":                 {Entry: "k", Args: []any{1, int32(1)}},
		"entry k: a block of 64×1×1 threads; .reqntid demands 32×1×1":        {Entry: "k", Block: [3]int{64}, Args: []any{1, 1}},
		"entry k: 3 bytes of parameters, expected 16":                        {Entry: "k", Params: []byte{1, 2, 3}},
		"entry k: 301024 bytes of shared memory; a block has at most 232448": {Entry: "k", Shared: 300000, Args: []any{1, 1}},
	} {
		if _, err := m.Run(l); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Blocks that add floats by atomics do so in the order of their numbers, on however many threads they run.
func TestResultsDoNotDependOnThreads(t *testing.T) {
	m, err := Parse(body(64, `mov.u32 %r1, %ctaid.x; mad.lo.s32 %r2, %r1, 64, %r0; cvt.rn.f32.s32 %f0, %r2; mul.f32 %f0, %f0, 0f3eaaaaab; mov.b32 %r3, 0;
$l: mul.f32 %f0, %f0, 0f3f7ff000; add.s32 %r3, %r3, 1; setp.lt.s32 %p0, %r3, %r1; @%p0 bra $l;
red.global.add.f32 [%d0], %f0;`))
	if err != nil {
		t.Fatal(err)
	}
	var first []byte
	for i, workers := range []int{1, 2, 7, 7, 16} {
		x := &Memory{Data: make([]byte, 4)}
		if _, err := m.Run(Launch{Entry: "k", Blocks: 40, Workers: workers, Args: []any{Pointer{x, 0}, Pointer{}}}); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = x.Data
		} else if string(first) != string(x.Data) {
			t.Errorf("%d threads: %x, one: %x", workers, x.Data, first)
		}
	}
}

// A version is two numbers.
func TestVersions(t *testing.T) {
	text := body(32, "")
	for version, ok := range map[string]bool{"8.8": true, "10.12": true, "x.y": false, "7": false, ".": false, "7.x": false, "7.0.1": false} {
		_, err := Parse(strings.Replace(text, "7.0", version, 1))
		if ok != (err == nil) || err != nil && !strings.Contains(err.Error(), "ptx:1:10: syntax: ") {
			t.Errorf("%s: %v", version, err)
		}
	}
}

// TestLoad: a kernel that is wrong is found by Parse, and by Load when it is asked for; other kernels run.
func TestLoad(t *testing.T) {
	text := ".version 7.0\n.target sm_80\n.address_size 64\n.entry good() { ret; }\n.entry bad() { mov.b32 %r1, 0; }\n"
	if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), "%r1 is not declared") {
		t.Errorf("Parse: %v", err)
	}
	m, err := Load(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Run(Launch{Entry: "good", Block: [3]int{32}}); err != nil {
		t.Error(err)
	}
	if _, err := m.Kernel("bad"); err == nil || !strings.Contains(err.Error(), "%r1 is not declared") {
		t.Errorf("a kernel that Load took: %v", err)
	}
	if _, err := Load(".version 7.0\n.target sm_80\n.entry bad() { .mov; }"); err == nil {
		t.Error("Load takes what is not PTX")
	}
}
