package emu

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// Accesses of a whole warp find what accesses of its threads find, which generic addresses make one by one: random
// programs give the same memory, or the same finding, with addresses of a space and with generic ones.
func TestWholeWarps(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	kinds := map[string]int{}
	for range 600 {
		spaced, plain := accesses(rnd)
		want, wantErr := run(t, 2, 64, plain)
		got, err := run(t, 2, 64, spaced)
		if x, y := judged(err), judged(wantErr); x != y {
			t.Fatalf("found %s, with generic addresses %s:\n%s", x, y, spaced)
		} else if kinds[strings.Fields(x + " -")[0]]++; err == nil && string(got) != string(want) {
			t.Fatalf("other results with generic addresses:\n%s", spaced)
		}
	}
	if kinds["-"] < 20 || kinds["race"] < 20 || kinds["uninitialized"] < 20 || kinds["out-of-bounds"] < 5 || kinds["misaligned"] < 5 {
		t.Errorf("the programs are too much alike: %v", kinds)
	}
}

// judged is a finding without the name of the instruction.
func judged(err error) string {
	var f *Finding
	if !errors.As(err, &f) {
		return ""
	}
	s := fmt.Sprintf("%s at %v by thread %d", f.Kind, f.Pos, f.Thread)
	if f.Other != nil {
		s += fmt.Sprintf(", other %v", *f.Other)
	}
	return s
}

// accesses makes a program of loads and stores, with addresses of their spaces and with generic ones.
func accesses(rnd *rand.Rand) (spaced, plain string) {
	var text strings.Builder
	text.WriteString("cvta.shared.u64 %d11, s; mov.u32 %r20, %ctaid.x; mad.wide.u32 %d12, %r20, 2048, %d9;\n")
	for i := range 4 { // all of shared memory is written, mostly
		if rnd.IntN(12) > 0 {
			fmt.Fprintf(&text, "mad.lo.u32 %%r21, %%r0, 4, %%r9; st.shared.b32 [%%r21+%d], %%r0;\n", i*256)
		}
	}
	text.WriteString("bar.sync 0;\n")
	for range 2 + rnd.IntN(5) {
		size := 1 << rnd.IntN(5) // bytes a thread
		scale, add := size, size*rnd.IntN(3)
		switch rnd.IntN(12) {
		case 0:
			scale = 0
		case 1:
			scale = size / 2
		case 2:
			add += max(size/2, 1)
		}
		who := []string{"mov.b32 %r22, %r0;", "xor.b32 %r22, %r0, 1;", "xor.b32 %r22, %r0, 33;", "sub.u32 %r22, 63, %r0;"}[rnd.IntN(4)]
		guard := []string{"", "", "@%p0 "}[rnd.IntN(3)]
		fmt.Fprintf(&text, "setp.%s.u32 %%p0, %%r0, %d; %s mul.wide.u32 %%d13, %%r22, %d;\n", []string{"lt", "gt"}[rnd.IntN(2)], rnd.IntN(64), who, scale)
		where := []string{"shared", "global"}[rnd.IntN(2)]
		base := map[string]string{"shared": "%d11", "global": "%d12"}[where]
		fmt.Fprintf(&text, "add.u64 %%d14, %%d13, %s;", base)
		if where == "shared" {
			text.WriteString(" cvt.u32.u64 %r23, %d13; add.u32 %r23, %r23, %r9; ")
		}
		vector, typ := "", fmt.Sprintf("b%d", size*8)
		value, mask := "%r0", "%r24"
		switch size {
		case 1, 2:
		case 8:
			vector, typ, value, mask = ".v2", "b32", "{%r0, %r22}", "{%r24, %r25}"
		case 16:
			vector, typ, value, mask = ".v4", "b32", "{%r0, %r22, %r0, %r22}", "{%r24, %r25, %r26, %r27}"
		}
		if typ == "b16" {
			text.WriteString("cvt.u16.u32 %h0, %r0; ")
			value, mask = "%h0", "%h1"
		}
		if rnd.IntN(2) == 0 {
			fmt.Fprintf(&text, "%sst@%s%s.%s [ADDRESS+%d], %s;\n", guard, where, vector, typ, add, value)
		} else {
			text.WriteString("mov.b32 %r24, 0; mov.b32 %r25, 0; mov.b32 %r26, 0; mov.b32 %r27, 0; mov.b16 %h1, 0;\n")
			fmt.Fprintf(&text, "%sld@%s%s.%s %s, [ADDRESS+%d];\n", guard, where, vector, typ, mask, add)
			if typ == "b16" {
				text.WriteString("cvt.u32.u16 %r24, %h1;\n")
			}
			text.WriteString("mad.wide.u32 %d15, %r0, 4, %d12; xor.b32 %r24, %r24, %r25; xor.b32 %r26, %r26, %r27; xor.b32 %r24, %r24, %r26;\n" +
				"st.global.b32 [%d15+1024], %r24;\n")
		}
		if rnd.IntN(2) == 0 {
			text.WriteString([]string{"bar.sync 0;\n", "bar.warp.sync -1;\n"}[rnd.IntN(2)])
		}
	}
	for line := range strings.Lines(text.String()) {
		address := "%d14"
		if strings.Contains(line, "@shared") {
			address = "%r23"
		}
		spaced += strings.NewReplacer("@shared", ".shared", "@global", ".global", "ADDRESS", address).Replace(line)
		plain += strings.NewReplacer("@shared", "", "@global", "", "ADDRESS", "%d14").Replace(line)
	}
	return spaced, plain
}
