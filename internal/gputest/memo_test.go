package gputest

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"pgc/codegen/ptx/emu"
)

// What launches did is there in a later run, for the same text alone.
func TestRemember(t *testing.T) {
	if os.Getenv("PGC_TEST_OBJECTS") == "off" {
		t.Skip("nothing is kept")
	}
	if emulator() == "" {
		t.Fatal("this program seems to be older than its sources")
	}
	text := func(add int) string {
		return fmt.Sprintf(".version 7.4\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 x) .reqntid 1, 1, 1 {\n"+
			".reg .b32 %%r1; .reg .b64 %%d1; // %d\nld.param.u64 %%d1, [x]; ld.global.b32 %%r1, [%%d1]; add.s32 %%r1, %%r1, %d; st.global.b32 [%%d1], %%r1; ret; }",
			time.Now().UnixNano(), add)
	}
	one := text(1)
	for i, c := range []struct {
		text  string
		from  byte
		fresh bool
	}{{one, 5, true}, {one, 5, false}, {one, 6, true}, {one, 5, false}, {one, 6, false}, {text(2), 5, true}} {
		m, err := emu.Load(c.text)
		if err != nil {
			t.Fatal(err)
		}
		memo, keep := remember(c.text)
		x := &emu.Memory{Data: []byte{c.from, 0, 0, 0}}
		if _, err := m.Run(emu.Launch{Entry: "k", Args: []any{emu.Pointer{Memory: x}}, Memo: memo}); err != nil {
			t.Fatal(err)
		}
		if want := []byte{c.from + 1 + byte(i/5), 0, 0, 0}; !bytes.Equal(x.Data, want) || (memo.Bytes(0) != nil) != c.fresh {
			t.Errorf("launch %d: %v, expected %v; executed %v, expected %v", i, x.Data, want, !c.fresh, c.fresh)
		}
		if err := keep(); err != nil {
			t.Fatal(err)
		}
	}
}
