package emu

import (
	"strings"
	"testing"
)

// inWarps runs a text in each of four warps, which run in this order until they wait; %d1 is a word of y for each thread.
func inWarps(first, second, third, fourth string) string {
	return "shr.u32 %r3, %r0, 5; and.b32 %r4, %r0, 31; mad.wide.u32 %d1, %r4, 4, %d9; mov.b32 %r1, %r0; mov.b32 %r2, 0; setp.eq.s32 %p0, %r3, 0; setp.eq.s32 %p1, %r3, 1; setp.eq.s32 %p2, %r3, 2;\n" +
		"@%p0 bra $0; @%p1 bra $1; @%p2 bra $2;\n" + fourth + " bra $e;\n$0: " + first + " bra $e;\n$1: " + second + " bra $e;\n$2: " + third + "\n$e:"
}

// An edge between some warps of a block orders those, and hides no race of others in global memory.
func TestEdgesOfOtherWarps(t *testing.T) {
	const (
		writes  = "st.global.b32 [%d1], %r1;"
		reads   = "ld.global.b32 %r2, [%d1]; st.global.b32 [%d1+1024], %r2;"
		adds    = "red.global.add.u32 [%d1], %r1;"
		flag    = "st.volatile.global.u32 [%d9+2048], %r2;"
		look    = "ld.volatile.global.u32 %r2, [%d9+2048];"
		init    = "mbarrier.init.shared.b64 [%r9], 32;"
		arrive  = "mbarrier.arrive.shared.b64 %d2, [%r9];"
		passed  = "$w: mbarrier.test_wait.parity.shared.b64 %p3, [%r9], 0; @!%p3 bra $w;"
		barrier = "bar.sync 1, 64;"
	)
	begin := "setp.eq.s32 %p4, %r0, 0; @%p4 " + init + " bar.sync 0;\n"
	for text, race := range map[string]bool{
		inWarps(writes, barrier, barrier, reads):                                         true,
		inWarps(writes, barrier, barrier, writes):                                        true,
		inWarps(reads, barrier, barrier, writes):                                         true,
		inWarps(writes, "bar.arrive 1, 64;", barrier, reads):                             true,
		inWarps(writes, "membar.cta; "+flag, look+" membar.cta;", reads):                 true,
		begin + inWarps(arrive, passed, reads, writes):                                   true, // the last warp runs first behind a barrier
		inWarps("membar.cta; "+writes+" membar.cta;", "", "", reads):                     true,
		inWarps(writes+" bar.warp.sync -1; st.global.b32 [%d1+128], %r1;", "", "", adds): true, // whatever the warp did meanwhile
		inWarps(writes+" membar.cta;", barrier, barrier, adds):                           true,
		// A chain of edges orders the first and the last warp.
		inWarps(writes+" bar.arrive 1, 64;", barrier+" bar.arrive 2, 64;", "bar.sync 2, 64; bar.arrive 3, 64;", "bar.sync 3, 64; "+reads): false,
		inWarps(writes+" membar.cta; "+flag, "", "", look+" membar.cta; "+reads):                                                          false,
		inWarps(writes+" membar.cta; "+flag, "", "", look+" membar.cta; "+adds):                                                           false,
		begin + inWarps(writes+" "+arrive, "", "", passed+" "+reads):                                                                      false,
		// What a warp does behind its arrival is not ordered.
		inWarps("bar.arrive 1, 64; "+writes, barrier+" bar.arrive 2, 64;", "bar.sync 2, 64; bar.arrive 3, 64;", "bar.sync 3, 64; "+reads): true,
		begin + inWarps(arrive+" "+writes, "", "", passed+" "+reads):                                                                      true,
	} {
		f := finding(t, 1, 128, text)
		if (f != nil && f.Kind == Race) != race || f != nil && !race {
			t.Errorf("%s\n\t%v, expected a race: %v", text, f, race)
		}
	}
}

// Spans beyond those that a warp keeps are joined, so that races still show and no order is lost.
func TestManySpans(t *testing.T) {
	many := strings.Repeat("st.global.b32 [%d1], %r1; membar.cta;\n", 2*mostSpans)
	const flag, look = "st.volatile.global.u32 [%d9+2048], %r2;", "ld.volatile.global.u32 %r2, [%d9+2048]; membar.cta;"
	const reads = "ld.global.b32 %r2, [%d1]; st.global.b32 [%d1+1024], %r2;"
	if f := finding(t, 1, 128, inWarps(many, "", "", reads)); f == nil || f.Kind != Race {
		t.Errorf("no order: %v", f)
	}
	if f := finding(t, 1, 128, inWarps(many+flag, "", "", look+reads)); f != nil {
		t.Errorf("in order: %v", f)
	}
}
