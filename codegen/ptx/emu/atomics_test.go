package emu

import (
	"fmt"
	"strings"
	"testing"
)

// races holds texts to whether they race; any other finding is wrong.
func races(t *testing.T, blocks, n int, texts map[string]bool) {
	t.Helper()
	for text, race := range texts {
		if f := finding(t, blocks, n, text); (f != nil && f.Kind == Race) != race || f != nil && !race {
			t.Errorf("%s\n\t%v, expected a race: %v", text, f, race)
		}
	}
}

// A flag passes on what a warp wrote where who sets it releases, or has a fence before, and who reads it acquires, or has a
// fence behind. Relaxed, volatile and atomic operations alone pass nothing on.
func TestReleaseAndAcquire(t *testing.T) {
	const text = "setp.eq.s32 %p0, %r0, 0; mov.b32 %r1, 0; @%p0 st.SPACE.b32 [FLAG], %r1; bar.sync 0;\n" +
		"mov.b32 %r2, 9; setp.eq.s32 %p1, %r0, 32; @%p0 bra $send; @%p1 bra $wait; bra $end;\n" +
		"$send: st.SPACE.b32 [DATA], %r2; SEND bra $end;\n" +
		"$wait: WAIT setp.ne.s32 %p2, %r3, 9; @%p2 bra $wait; THEN ld.SPACE.b32 %r4, [DATA]; st.global.b32 [%d9+1024], %r4;\n$end:"
	sends := map[string]bool{
		"st.release.cta.SPACE.b32 [FLAG], %r2;":                                    true,
		"fence.acq_rel.cta; st.relaxed.cta.SPACE.b32 [FLAG], %r2;":                 true,
		"membar.cta; st.volatile.SPACE.b32 [FLAG], %r2;":                           true,
		"membar.gl; atom.SPACE.exch.b32 %r5, [FLAG], %r2;":                         true,
		"atom.release.cta.SPACE.exch.b32 %r5, [FLAG], %r2;":                        true,
		"atom.acq_rel.cta.SPACE.exch.b32 %r5, [FLAG], %r2;":                        true,
		"red.release.cta.SPACE.add.u32 [FLAG], %r2;":                               true,
		"st.relaxed.cta.SPACE.b32 [FLAG], %r2;":                                    false,
		"st.volatile.SPACE.b32 [FLAG], %r2;":                                       false,
		"st.volatile.SPACE.b32 [FLAG], %r2; membar.cta;":                           false,
		"atom.SPACE.exch.b32 %r5, [FLAG], %r2;":                                    false,
		"atom.acquire.cta.SPACE.exch.b32 %r5, [FLAG], %r2;":                        false,
		"red.relaxed.cta.SPACE.add.u32 [FLAG], %r2;":                               false,
		"fence.proxy.alias; st.relaxed.cta.SPACE.b32 [FLAG], %r2;":                 false,
		"st.release.cta.SPACE.b32 [FLAG+4], %r2; st.volatile.SPACE.b32 [FLAG], 9;": false,
	}
	waits := map[[2]string]bool{
		{"ld.acquire.cta.SPACE.b32 %r3, [FLAG];"}:                                          true,
		{"ld.relaxed.cta.SPACE.b32 %r3, [FLAG];", "fence.acq_rel.cta;"}:                    true,
		{"ld.volatile.SPACE.b32 %r3, [FLAG];", "membar.cta;"}:                              true,
		{"atom.SPACE.add.u32 %r3, [FLAG], 0;", "fence.sc.gpu;"}:                            true,
		{"atom.acquire.cta.SPACE.cas.b32 %r3, [FLAG], 77, 77;"}:                            true,
		{"ld.relaxed.cta.SPACE.b32 %r3, [FLAG];", "ld.acquire.cta.SPACE.b32 %r5, [FLAG];"}: true,
		{"ld.relaxed.cta.SPACE.b32 %r3, [FLAG];"}:                                          false,
		{"ld.volatile.SPACE.b32 %r3, [FLAG];"}:                                             false,
		{"membar.cta; ld.volatile.SPACE.b32 %r3, [FLAG];"}:                                 false,
		{"atom.SPACE.add.u32 %r3, [FLAG], 0;"}:                                             false,
	}
	for _, space := range [][2]string{{"shared", "%r9"}, {"global", "%d9"}} {
		texts := map[string]bool{}
		for send, sends := range sends {
			for wait, waits := range waits {
				if sends || waits {
					texts[strings.NewReplacer("SPACE", space[0], "FLAG", space[1]+"+512", "DATA", space[1]).Replace(
						strings.NewReplacer("SEND", send, "WAIT", wait[0], "THEN", wait[1]).Replace(text))] = !sends || !waits
				}
			}
		}
		races(t, 1, 64, texts)
	}
}

// Threads that clear counters by plain stores race with those that count, whatever atomic operations come between, unless
// a barrier does, or each of them releases and acquires.
func TestCountersAreClearedFirst(t *testing.T) {
	const text = "setp.lt.s32 %p0, %r0, 16; and.b32 %r4, %r0, 15; mov.b32 %r1, 0; ADDRESS @%p0 st.SPACE.b32 [OWN], %r1;\nORDER ADD"
	for _, space := range [][3]string{
		{"shared", "mad.lo.u32 %r3, %r4, 4, %r9;", "%r3"},
		{"global", "mad.wide.u32 %d3, %r4, 4, %d9;", "%d3"},
		{"", "cvta.shared.u64 %d4, s; mad.wide.u32 %d3, %r4, 4, %d4;", "%d3"},
	} {
		texts := map[string]bool{}
		for add, orders := range map[string]bool{
			"atom.SPACE.add.u32 %r5, [OWN], 1;":             false,
			"red.SPACE.add.u32 [OWN], 1;":                   false,
			"atom.relaxed.cta.SPACE.add.u32 %r5, [OWN], 1;": false,
			"atom.SPACE.cas.b32 %r5, [OWN], 0, 5;":          false,
			"atom.SPACE.exch.b64 %d5, [EIGHT], %d0;":        false,
			"atom.acquire.cta.SPACE.add.u32 %r5, [OWN], 1;": false,
			"red.release.cta.SPACE.add.u32 [OWN], 1;":       false,
			"atom.acq_rel.cta.SPACE.add.u32 %r5, [OWN], 1;": true,
		} {
			for order, barrier := range map[string]bool{"bar.warp.sync -1;": false, "bar.sync 0;": true, "membar.cta;": false} {
				eight := map[string]string{"%r3": "and.b32 %r3, %r3, -8; ", "%d3": "and.b64 %d3, %d3, -8; "}[space[2]]
				add := add
				if strings.Contains(add, "EIGHT") {
					add = eight + add
				}
				s := strings.NewReplacer("ADDRESS", space[1], "ORDER", order, "ADD", add).Replace(text)
				s = strings.NewReplacer(".SPACE", map[bool]string{true: "." + space[0]}[space[0] != ""], "OWN", space[2], "EIGHT", space[2]).Replace(s)
				fenced := strings.HasPrefix(order, "membar") && strings.Contains(add, "acquire")
				texts[s] = !barrier && !orders && !fenced
			}
		}
		races(t, 1, 64, texts)
	}
}

// What warps of a block pass to each other through global memory needs a barrier: neither atomic operations elsewhere nor
// fences alone order it. Threads of a warp need one, too.
func TestOrderWithinBlock(t *testing.T) {
	const swap = "mad.wide.u32 %d1, %r0, 4, %d0; xor.b32 %r3, %r0, 32; mad.wide.u32 %d2, %r3, 4, %d0;\n" +
		"st.global.b32 [%d1], %r0; ORDER\nld.global.b32 %r2, [%d2]; st.global.b32 [%d1+512], %r2;"
	texts := map[string]bool{}
	for order, race := range map[string]bool{
		"red.global.add.u32 [%d0+1020], 1;": true,
		"membar.gl;":                        true,
		"membar.gl; red.global.add.u32 [%d0+1020], 1; membar.cta;": true, // the first warp does not wait for the second
		"bar.sync 0;":                       false,
		"bar.arrive 1, 64; bar.sync 2, 64;": false,
	} {
		if order == "bar.arrive 1, 64; bar.sync 2, 64;" {
			order = "setp.lt.s32 %p0, %r0, 32; @%p0 bra $a; bar.arrive 2, 64; bar.sync 1, 64; bra $b;\n$a: bar.arrive 1, 64; bar.sync 2, 64;\n$b:"
		}
		texts[strings.Replace(swap, "ORDER", order, 1)] = race
	}
	const neighbors = "xor.b32 %r3, %r0, 1; mad.wide.u32 %d1, %r0, 4, %d9; mad.wide.u32 %d2, %r3, 4, %d9; st.global.b32 [%d1], %r0; BETWEEN red.global.add.u32 [%d2], 1;"
	texts[strings.Replace(neighbors, "BETWEEN", "", 1)] = true
	texts[strings.Replace(neighbors, "BETWEEN", "bar.warp.sync -1;", 1)] = false
	const read = "setp.eq.s32 %p0, %r0, 0; @%p0 st.global.b32 [%d0], %r0; BETWEEN setp.eq.s32 %p1, %r0, 32; @%p1 ld.volatile.global.b32 %r1, [%d0]; @%p1 st.global.b32 [%d9], %r1;"
	texts[strings.Replace(read, "BETWEEN", "", 1)] = true
	texts[strings.Replace(read, "BETWEEN", "bar.sync 0;", 1)] = false
	// Bytes beside each other are nobody's concern, nor is a look before a compare-and-swap.
	texts["setp.lt.s32 %p0, %r0, 32; cvt.u16.u32 %h1, %r0; @%p0 bra $a; bar.sync 1, 32; setp.eq.s32 %p1, %r0, 32; @%p1 st.global.u8 [%d0+1], %h1; bra $e;\n"+
		"$a: setp.eq.s32 %p1, %r0, 0; mov.b16 %h1, 77; @%p1 st.volatile.global.u8 [%d0], %h1;\n$e:"] = false
	texts["setp.eq.s32 %p0, %r0, 0; mov.b32 %r1, 0; @%p0 st.shared.b32 [%r9], %r1; bar.sync 0; ld.shared.b32 %r2, [%r9];\n"+
		"$l: add.s32 %r3, %r2, 1; atom.shared.cas.b32 %r4, [%r9], %r2, %r3; setp.ne.s32 %p1, %r4, %r2; mov.b32 %r2, %r4; @%p1 bra $l;"] = false
	// A lock, with its fences and without one of them.
	const lock = "setp.eq.s32 %p0, %r0, 0; mov.b32 %r1, 0; @%p0 st.shared.b32 [%r9], %r1; @%p0 st.shared.b32 [%r9+4], %r1; bar.sync 0;\n" +
		"$l: TAKE setp.ne.s32 %p1, %r4, 0; @%p1 bra $l; IN ld.shared.b32 %r2, [%r9+4]; add.s32 %r2, %r2, 1; st.shared.b32 [%r9+4], %r2; GIVE"
	for _, c := range []struct {
		take, in, give string
		race           bool
	}{
		{"atom.shared.cas.b32 %r4, [%r9], 0, 1;", "membar.cta;", "membar.cta; atom.shared.exch.b32 %r4, [%r9], 0;", false},
		{"atom.acquire.cta.shared.cas.b32 %r4, [%r9], 0, 1;", "", "st.release.cta.shared.b32 [%r9], 0;", false},
		{"atom.shared.cas.b32 %r4, [%r9], 0, 1;", "", "membar.cta; atom.shared.exch.b32 %r4, [%r9], 0;", true},
		{"atom.shared.cas.b32 %r4, [%r9], 0, 1;", "membar.cta;", "atom.shared.exch.b32 %r4, [%r9], 0;", true},
		{"atom.acquire.cta.shared.cas.b32 %r4, [%r9], 0, 1;", "", "st.relaxed.cta.shared.b32 [%r9], 0;", true},
	} {
		texts[strings.NewReplacer("TAKE", c.take, "IN", c.in, "GIVE", c.give).Replace(lock)] = c.race
	}
	races(t, 1, 64, texts)
}

// Blocks are ordered through the address of a flag, by fences on both sides, and by operations of the device.
func TestFlagsOfBlocks(t *testing.T) {
	const text = "mov.u32 %r7, %ctaid.x; setp.ne.s32 %p2, %r0, 0; @%p2 bra $end; setp.eq.s32 %p0, %r7, 1; mov.b32 %r1, 5; @%p0 bra $second;\n" +
		"st.global.b32 [%d0+512], %r1; membar.gl; atom.global.exch.b32 %r2, [%d0], 9; bra $end;\n" +
		"$second: LOOK\nUSE\n$end:"
	const wait = "ld.volatile.global.b32 %r3, [%d0]; setp.ne.s32 %p1, %r3, 9; @%p1 bra $second; "
	const use, count = "ld.global.b32 %r4, [%d0+512]; st.global.b32 [%d9], %r4;", "red.global.add.u32 [%d0+512], 1;"
	texts := map[string]bool{}
	for _, c := range []struct {
		look, use string
		race      bool
	}{
		{wait + "membar.gl;", use, false},
		{wait + "membar.gl;", count, false},
		{wait, count, true},
		{wait + "membar.cta;", use, true},
		{wait + "fence.acq_rel.cluster;", use, true},
		{"red.global.add.u32 [%d0+8], 1; membar.gl;", use, true}, // not the flag
		{"atom.global.add.u32 %r3, [%d0], 0; membar.gl;", use, false},
	} {
		texts[strings.NewReplacer("LOOK", c.look, "USE", c.use).Replace(text)] = c.race
	}
	for scope, race := range map[string]bool{"cta": true, "gpu": false} {
		texts[fmt.Sprintf("atom.relaxed.%s.global.add.u32 %%r1, [%%d0], 1;", scope)] = race
		texts[fmt.Sprintf("mov.u32 %%r7, %%ctaid.x; mad.wide.u32 %%d1, %%r7, 4, %%d0; red.relaxed.%s.global.add.u32 [%%d1], 1;", scope)] = false
	}
	races(t, 2, 32, texts)
}
