package emu

import (
	"errors"
	"strings"
	"testing"
)

// Who leaves a variable by one element is outside of it, whatever lies beside it: in shared and local memory, and among
// the parameters. An mbarrier is nobody's to touch.
func TestOutsideOfVariables(t *testing.T) {
	const begin = ".shared .align 4 .b32 a[5]; .shared .align 4 .b32 b[3]; .shared .align 8 .b64 bar; .local .align 4 .b32 l[4]; .local .align 4 .b32 m[4];\n" +
		"setp.eq.s32 %p0, %r0, 0; mov.b32 %r1, 7; mov.u32 %r2, a; mov.u32 %r3, b; mov.u32 %r4, l; mov.u32 %r5, m; mov.u32 %r6, bar; mov.u64 %d3, x;\n" +
		"@%p0 mbarrier.init.shared.b64 [bar], 32; add.s32 %r7, %r9, 1024; cvta.shared.u64 %d1, b; bar.sync 0;\n"
	for text, want := range map[string]string{
		"@%p0 st.shared.b32 [%r2+20], %r1;":                      "touches bytes 20 to 23 of a in shared memory, which has 20",
		"@%p0 st.shared.b32 [%r2+-4], %r1;":                      "touches bytes -4 to -1 of a in shared memory, which has 20",
		"@%p0 st.volatile.shared.b32 [%r3+-4], %r1;":             "touches bytes -4 to -1 of b in shared memory",
		"@%p0 st.b32 [%d1+12], %r1;":                             "touches bytes 12 to 15 of b in shared memory",
		"@%p0 ld.shared.b32 %r1, [%r2+20];":                      "touches bytes 20 to 23 of a in shared memory",
		"@%p0 red.shared.add.u32 [%r3+12], 1;":                   "touches bytes 12 to 15 of b in shared memory",
		"@%p0 st.shared.b32 [%r9+1024], %r1;":                    "touches bytes 1024 to 1027 of s in shared memory, which has 1024",
		"@%p0 st.shared.b32 [b+12], %r1;":                        "touches bytes 12 to 15 of b, which has 12",
		"@%p0 cp.async.ca.shared.global [%r2+20], [%d0], 4;":     "touches bytes 20 to 23 of a in shared memory",
		"ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r1}, [%r7];": "touches bytes 1024 to 1039 of s in shared memory",
		"@%p0 st.shared.b32 [%r6+4], %r1;":                       "touches bytes 4 to 7 of bar in shared memory, where an mbarrier lies",
		"@%p0 ld.shared.b64 %d2, [%r6];":                         "touches bytes 0 to 7 of bar in shared memory, where an mbarrier lies",
		"st.local.b32 [%r4+16], %r1;":                            "touches bytes 16 to 19 of local memory, which are no variable's",
		"st.local.b32 [%r5+-4], %r1;":                            "bytes 28 to 31 of local memory, which are no variable's",
		"ld.param.u32 %r1, [x+8];":                               "touches bytes 8 to 11 of x, which has 8",
		"ld.param.v2.u32 {%r1, %r2}, [%d3+16];":                  "reads bytes 16 to 23 of the parameters, which are 16",
		"ld.param.v4.u32 {%r1, %r2, %r3, %r4}, [%d3];":           "reads bytes 0 to 15 of x, which has 8",
		"@%p0 st.shared.b32 [%r2+16], %r1; @%p0 st.shared.b32 [%r3], %r1; @%p0 st.shared.b32 [%r9+1020], %r1; mbarrier.arrive.shared.b64 %d4, [bar];" +
			" st.local.b32 [%r4+12], %r1; st.local.b32 [%r5], %r1; ld.param.u32 %r1, [y+4];": "",
		"@%p0 mbarrier.inval.shared.b64 [bar]; bar.sync 0; @%p0 st.shared.b64 [%r6], %d0;": "",
	} {
		f := finding(t, 1, 32, begin+text)
		if want == "" && f != nil || want != "" && (f == nil || f.Kind != OutOfBounds || !strings.Contains(f.Error(), want)) {
			t.Errorf("%s\n\tgot  %v\n\twant %s", text, f, want)
		}
	}
}

// Dynamic shared memory has the bytes of the launch, and nothing lies before it.
func TestOutsideOfDynamicSharedMemory(t *testing.T) {
	for text, want := range map[string]string{
		"[%r1+60]":  "",
		"[%r1+64]":  "touches bytes 64 to 67 of dynamic shared memory, which has 64",
		"[%r1+-16]": "touches bytes -16 to -13 of dynamic shared memory, which has 64",
	} {
		whole := strings.Replace(body(32, "mov.u32 %r1, dyn; mov.b32 %r2, 7; st.shared.b32 [%r9], %r2; st.shared.b32 "+text+", %r2;"), ".visible", ".extern .shared .align 16 .b8 dyn[];\n.visible", 1)
		m, err := Parse(whole)
		if err != nil {
			t.Fatal(err)
		}
		var f *Finding
		_, err = m.Run(Launch{Entry: "k", Shared: 64, Args: []any{Pointer{}, Pointer{}}})
		if errors.As(err, &f); want == "" && err != nil || want != "" && (f == nil || f.Kind != OutOfBounds || !strings.Contains(f.Error(), want)) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
