package emu

import "testing"

// What is counted of every instruction: executions, sectors, and what they could have been, and waits for banks.
func TestCounts(t *testing.T) {
	m, err := Parse(body(64, `mad.wide.u32 %d2, %r0, 4, %d0;
ld.global.b32 %r1, [%d2];
mad.wide.u32 %d3, %r0, 16, %d0; ld.global.nc.v4.b32 {%r2, %r3, %r4, %r5}, [%d3];
and.b32 %r6, %r0, 7; mad.wide.u32 %d4, %r6, 128, %d0; ld.global.b32 %r7, [%d4];
shl.b32 %r8, %r0, 2; add.s32 %r8, %r8, %r9; st.shared.b32 [%r8], %r1;
and.b32 %r10, %r0, 7; shl.b32 %r10, %r10, 7; add.s32 %r10, %r10, %r9; bar.sync 0;
setp.lt.u32 %p0, %r0, 40; @%p0 st.shared.b32 [%r10], %r6;`))
	if err != nil {
		t.Fatal(err)
	}
	x, y := &Memory{Data: make([]byte, 1024)}, Unwritten("y", 64)
	s, err := m.Run(Launch{Entry: "k", Workers: 1, Counts: true, Args: []any{Pointer{x, 0}, Pointer{y, 0}}})
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	got := map[string]Count{}
	for _, c := range s.Counts {
		total += c.Executions
		if c.Width > 0 {
			got[c.Name+" "+itoa(c.Pos.Line)] = c
		}
	}
	if total != s.Instructions {
		t.Errorf("%d executions of %d instructions", total, s.Instructions)
	}
	for name, want := range map[string]Count{
		"ld.global.b32 18":       {Executions: 2, Threads: 64, Width: 4, Bytes: 256, Sectors: 8},
		"ld.global.nc.v4.b32 19": {Executions: 2, Threads: 64, Width: 16, Bytes: 1024, Sectors: 32},
		"ld.global.b32 20":       {Executions: 2, Threads: 64, Width: 4, Bytes: 256, Sectors: 16, Uncoalesced: 8},
		"st.shared.b32 21":       {Executions: 2, Threads: 64, Width: 4},
		"st.shared.b32 23":       {Executions: 2, Threads: 40, Width: 4, Conflicts: 14},
	} {
		c := got[name]
		c.Pos, c.Name = Pos{}, ""
		if c != want {
			t.Errorf("%s: got %+v, want %+v", name, c, want)
		}
	}
}

func itoa(n int) string { return string(rune('0'+n/10)) + string(rune('0'+n%10)) }
