package emu

import (
	"strings"
	"testing"
)

// neighbor is each thread's word of y, other that of its neighbor.
const neighbor = "mad.wide.u32 %d1, %r0, 4, %d9; xor.b32 %r3, %r0, 1; mad.wide.u32 %d2, %r3, 4, %d9; mov.b32 %r1, %r0; "

// Threads of a warp are ordered by barriers of the warp alone, in global memory as in shared memory.
func TestOrderWithinWarp(t *testing.T) {
	for text, want := range map[string]string{
		neighbor + "st.global.b32 [%d1], %r1;\nst.global.b32 [%d2], %r1;":                                                                                 "writes byte 4 of y and no barrier orders them, written by thread 1 of block 0 at 17",
		neighbor + "st.global.b32 [%d1], %r1;\nld.global.b32 %r2, [%d2]; st.global.b32 [%d1+512], %r2;":                                                   "reads byte 4 of y and no barrier orders them, written by thread 1",
		neighbor + "st.global.b32 [%d1], %r1; bar.warp.sync -1;\nld.global.b32 %r2, [%d2]; st.global.b32 [%d1], %r2;":                                     "writes byte 0 of y and no barrier orders them, read by thread 1",
		neighbor + "mov.b32 %r2, 7; st.global.b32 [%d9], %r2; bar.warp.sync -1; ld.global.b32 %r2, [%d9]; add.s32 %r2, %r2, 1; st.global.b32 [%d9], %r2;": "writes byte 0 of y and no barrier orders them, read by thread 31",
		neighbor + "st.global.b32 [%d1], %r1; bar.warp.sync -1; ld.global.b32 %r2, [%d2]; bar.warp.sync -1; st.global.b32 [%d1], %r2;":                    "",
		neighbor + "st.global.b32 [%d1], %r1; ld.global.b32 %r2, [%d1]; add.s32 %r2, %r2, 1; st.global.b32 [%d1], %r2;":                                   "",
	} {
		f := finding(t, 1, 32, text)
		if want == "" && f != nil || want != "" && (f == nil || f.Kind != Race || !strings.Contains(f.Error(), want)) {
			t.Errorf("%s\n\tgot  %v\n\twant %s", text, f, want)
		}
	}
}

// A load races where its value is used: not in threads whose store of it is switched off, as compilers load what several
// threads hold copies of.
func TestUnusedLoads(t *testing.T) {
	const scalar = "setp.eq.s32 %p0, %r0, WRITER; mov.b32 %r1, 7; st.global.b32 [%d9], %r1; bar.sync 0;\n" +
		"ld.global.b32 %r2, [%d9]; add.s32 %r2, %r2, 1; BETWEEN @%p0 st.global.b32 [%d9], %r2;"
	for _, c := range []struct {
		writer, between string
		race            bool
	}{
		{"0", "", false},
		{"63", "", false},
		{"0", "mad.wide.u32 %d1, %r0, 4, %d9; st.global.b32 [%d1+64], %r2;", true},
		{"0", "setp.eq.s32 %p1, %r2, 99; @%p1 trap;", true}, // its value decides a branch
	} {
		text := strings.NewReplacer("WRITER", c.writer, "BETWEEN", c.between).Replace(scalar)
		if f := finding(t, 1, 64, text); (f != nil && f.Kind == Race) != c.race {
			t.Errorf("%s\n\t%v", text, f)
		}
	}
	// Two threads that store what they add to one value lose one of the sums.
	two := strings.Replace(scalar, "setp.eq.s32 %p0, %r0, WRITER;", "and.b32 %r4, %r0, 31; setp.eq.s32 %p0, %r4, 0;", 1)
	if f := finding(t, 1, 64, strings.Replace(two, "BETWEEN", "", 1)); f == nil || f.Kind != Race {
		t.Errorf("two threads add: %v", f)
	}
}

// Threads that store copies of a sum, which differ in rounding, to one place by one instruction do not race. Those that
// store other values race where it matters which one stays.
func TestCopiesOfResult(t *testing.T) {
	const text = "cvt.rn.f32.u32 %f0, %r0; fma.rn.f32 %f0, %f0, STEP, 0f3F800000; st.shared.f32 [%r9], %f0; bar.sync 0; ld.shared.f32 %f1, [%r9];"
	if f := finding(t, 1, 32, strings.Replace(text, "STEP", "0f34000000", 1)); f != nil { // 2⁻²³
		t.Errorf("in the last place: %v", f)
	}
	other := strings.Replace(text, "STEP", "0f3D000000", 1)
	if f := finding(t, 1, 32, other); f != nil {
		t.Errorf("by thirtieths, of no use: %v", f)
	}
	for use, race := range map[string]bool{
		" st.global.f32 [%d9], %f1;": true,
		" add.f32 %f1, %f1, %f1; setp.gt.f32 %p0, %f1, 0f40000000; @%p0 trap;":                                            true,
		" ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r1}, [%r9]; setp.eq.s32 %p0, %r0, 0; @%p0 st.global.b32 [%d9], %r1;": true,
		" setp.eq.s32 %p0, %r0, 32; @%p0 st.global.f32 [%d9], %f1;":                                                       false,
		" bar.sync 0; st.shared.f32 [%r9], 0f40000000; bar.sync 0; ld.shared.f32 %f1, [%r9]; st.global.f32 [%d9], %f1;":   false,
	} {
		f := finding(t, 1, 32, other+use)
		if (f != nil) != race || race && (f.Kind != Race || f.Other == nil || !strings.Contains(f.Text, "st.shared.f32 writes byte")) {
			t.Errorf("%s: %v, expected a race: %v", use, f, race)
		}
	}
}

// Loops without an end are found: at once where only registers decide, by the bound on instructions where memory does.
func TestEndlessLoops(t *testing.T) {
	const begin = "mov.b32 %r1, 0; mov.f32 %f0, 0f3F800000;\n$l: "
	for text, want := range map[string]string{
		begin + "add.f32 %f0, %f0, 0f3F800000; setp.lt.s32 %p0, %r1, 9; @%p0 bra $l;":                                                                                             "ptx:18:65: deadlock: k, block 0, thread 0: the loop that begins at line 18 never ends",
		begin + "add.f32 %f0, %f0, 0f3F800000; bar.sync 0; setp.lt.s32 %p0, %r1, 9; @!%p0 bra $e; bra $l;\n$e:":                                                                   "the loop that begins at line 18 never ends",
		begin + "add.s32 %r1, %r1, 1; and.b32 %r1, %r1, 1023; setp.lt.s32 %p0, %r1, 5000; @%p0 bra $l;":                                                                           "never ends",
		begin + "mov.b32 %r2, 0;\n$i: add.s32 %r2, %r2, 1; setp.lt.s32 %p1, %r2, 20; @%p1 bra $i; setp.lt.s32 %p0, %r1, 9; @%p0 bra $l;":                                          "the loop that begins at line 18 never ends",
		begin + "setp.eq.s32 %p1, %r0, 3; @!%p1 add.s32 %r1, %r1, 1; setp.lt.s32 %p0, %r1, 9; @%p0 bra $l;":                                                                       "thread 3: the loop that begins at line 18",
		begin + "ld.global.b32 %r2, [%d0]; add.s32 %r1, %r1, %r2; setp.ne.s32 %p0, %r0, -1; st.global.b32 [%d9], %r1; and.b32 %r3, %r1, 1; setp.lt.s32 %p0, %r3, 2; @%p0 bra $l;": "a loop without an end, or more work than the bound of 800000 allows",
		// These end.
		begin + "add.s32 %r1, %r1, 1; setp.lt.s32 %p0, %r1, 200000; @%p0 bra $l;":                                                                                "",
		begin + "mov.b32 %r2, 0;\n$i: add.s32 %r2, %r2, 1; setp.lt.s32 %p1, %r2, 20; @%p1 bra $i; add.s32 %r1, %r1, 1; setp.lt.s32 %p0, %r1, 9000; @%p0 bra $l;": "",
	} {
		m, err := Parse(body(32, text))
		if err != nil {
			t.Fatal(err)
		}
		x := &Memory{Name: "x", Data: make([]byte, 1024)}
		_, err = m.Run(Launch{Entry: "k", Most: 800_000, Args: []any{Pointer{x, 0}, Pointer{Unwritten("y", 4096), 0}}})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s\n\tgot  %v\n\twant %s", text, err, want)
		}
	}
	// Two blocks that wait for each other by atomic operations which change nothing.
	wait := "mov.u32 %r7, %ctaid.x; shl.b32 %r7, %r7, 2; cvt.u64.u32 %d1, %r7; add.s64 %d2, %d0, %d1;\n$l: atom.global.add.u32 %r1, [%d2+512], 0; setp.ne.s32 %p0, %r1, 77; @%p0 bra $l;"
	if f := finding(t, 2, 32, wait); f == nil || f.Kind != Deadlock {
		t.Errorf("two blocks: %v", f)
	}
}

// Plain accesses race with atomic operations of other warps, unless a barrier, or a release and an acquire, is between.
func TestAtomicsAndPlainAccesses(t *testing.T) {
	const adds = "setp.ge.u32 %p0, %r0, 32; mov.b32 %r1, 1; @%p0 bra $read; red.global.add.u32 [%d0+512], %r1; BEFORE bra $end;\n" +
		"$read: AFTER ld.global.b32 %r2, [%d0+512]; setp.eq.s32 %p1, %r0, 32; @%p1 st.global.b32 [%d9], %r2;\n$end:"
	const resets = "setp.eq.s32 %p0, %r0, 0; mov.b32 %r1, 7; @%p0 st.global.b32 [%d9], %r1; BETWEEN setp.ge.u32 %p1, %r0, 32; @%p1 red.global.add.u32 [%d9], %r1;"
	for text, race := range map[string]bool{
		strings.NewReplacer("BEFORE", "", "AFTER", "").Replace(adds):                                                                                      true,
		strings.NewReplacer("BEFORE", "bar.sync 0;", "AFTER", "bar.sync 0;").Replace(adds):                                                                false,
		"mov.b32 %r1, 1; red.global.add.u32 [%d0], %r1; setp.eq.s32 %p1, %r0, 63; @!%p1 bra $e; ld.global.b32 %r2, [%d0]; st.global.b32 [%d9], %r2;\n$e:": true,
		strings.Replace(resets, "BETWEEN", "", 1):                                                                                                         true,
		strings.Replace(resets, "BETWEEN", "bar.sync 0;", 1):                                                                                              false,
	} {
		if f := finding(t, 1, 64, text); (f != nil && f.Kind == Race) != race || f != nil && !race {
			t.Errorf("%s\n\t%v, expected a race: %v", text, f, race)
		}
	}
}

// Blocks that read plainly what others change by atomic operations race with them, whichever runs first, unless fences and
// a counter order them. A look before a compare-and-swap is no race, nor is another word.
func TestAtomicsAndPlainAccessesOfBlocks(t *testing.T) {
	const begin = "mov.u32 %r7, %ctaid.x; mov.b32 %r1, 1; setp.ne.s32 %p2, %r0, 0; @%p2 bra $end; setp.eq.s32 %p0, %r7, READER; @%p0 bra $read;\n" +
		"red.global.add.u32 [%d0+512], %r1; FENCE red.global.add.u32 [%d0+1016], %r1; bra $end;\n" +
		"$read: LOOK ld.global.b32 %r2, [%d0+AT]; st.global.b32 [%d9], %r2;\n$end:"
	// The counter begins with the bytes f8 f9 fa fb; the reader waits for the other block.
	const wait = "ld.volatile.global.u32 %r3, [%d0+1016]; sub.u32 %r3, %r3, 0xfbfaf9f8; setp.eq.s32 %p1, %r3, 0; @%p1 bra $read; membar.gl;"
	const swap = "mov.b32 %r1, 1; setp.ne.s32 %p2, %r0, 0; @%p2 bra $end; ld.global.b32 %r2, [%d0+512];\n" +
		"$l: add.s32 %r3, %r2, 1; atom.global.cas.b32 %r4, [%d0+512], %r2, %r3; setp.ne.s32 %p1, %r4, %r2; mov.b32 %r2, %r4; @%p1 bra $l;\n$end:"
	for _, reader := range []string{"0", "1"} {
		of := func(fence, look, at string) string {
			return strings.NewReplacer("READER", reader, "FENCE", fence, "LOOK", look, "AT", at).Replace(begin)
		}
		for text, race := range map[string]bool{
			of("", "", "512"):             true,
			of("membar.gl;", "", "512"):   true,
			of("membar.gl;", wait, "512"): false,
			of("", "", "516"):             false,
			swap:                          false,
		} {
			if f := finding(t, 2, 32, text); (f != nil && f.Kind == Race) != race || f != nil && !race {
				t.Errorf("block %s reads: %s\n\t%v, expected a race: %v", reader, text, f, race)
			}
		}
	}
}
