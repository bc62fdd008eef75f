package emu

import (
	"errors"
	"testing"
)

// Shared memory that an earlier launch of another kernel used holds nothing, and what was done there races with nothing.
func TestSharedMemoryIsUsedAgain(t *testing.T) {
	const at = "mad.lo.s32 %r5, %r0, 4, %r9; mov.b32 %r1, 7;"
	for range 4 {
		for _, text := range []string{at + "st.shared.b32 [%r5], %r1; bar.sync 0; ld.shared.b32 %r1, [%r9]; bar.sync 0; atom.shared.add.u32 %r2, [%r9], 1;",
			at + "xor.b32 %r5, %r5, 4; st.shared.b32 [%r5], %r1; ld.shared.b32 %r1, [%r5];"} {
			if _, err := run(t, 3, 64, text+store1); err != nil {
				t.Fatal(err)
			}
		}
		var f *Finding
		if _, err := run(t, 1, 64, at+"ld.shared.b32 %r1, [%r5];"+store1); !errors.As(err, &f) || f.Kind != Uninitialized {
			t.Fatalf("what an earlier kernel wrote is there: %v", err)
		}
	}
}
