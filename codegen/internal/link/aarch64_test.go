package link

import (
	"debug/elf"
	"encoding/binary"
	"os/exec"
	"strings"
	"testing"
)

// TestAArch64 links code for AArch64 and follows its references by hand.
func TestAArch64(t *testing.T) {
	for _, llc := range llcs(t) {
		if out, _ := exec.Command(llc, "--version").Output(); !strings.Contains(string(out), "aarch64 ") {
			t.Logf("%s has no back end for AArch64", llc)
			continue
		}
		flags := []string{"-relocation-model=pic", "-mtriple=aarch64-linux-gnu", "-mcpu=generic"}
		a, b := assemble(t, llc, caller, flags...), assemble(t, llc, callee, flags...)
		m, err := Link([][]byte{a, b})
		if err != nil {
			t.Fatalf("%s: %v", llc, err)
		}
		word := func(at uint64) uint32 { return binary.LittleEndian.Uint32(m.Code[at:]) }
		calls := 0
		for at := uint64(0); at+4 <= uint64(m.TextBytes); at += 4 {
			if w := word(at); w>>26 == 0x25 { // bl
				to := uint64(int64(at) + int64(int32(w<<6)>>6)*4)
				if to != m.Symbols["callee"] && to != m.Symbols["far"] {
					t.Errorf("%s: the call at %d goes to %d, expected %d or %d", llc, at, to, m.Symbols["callee"], m.Symbols["far"])
				}
				calls++
			}
		}
		if calls < 2 {
			t.Errorf("%s: %d calls", llc, calls)
		}
		at := m.Symbols["address"] // adrp x0, page; then what was a load from the offset table is an addition
		page, add := word(at), word(at+4)
		immediate := int64(int32(page<<8)>>13)<<2 | int64(page>>29&3)
		if to := uint64(int64(at>>12)+immediate)<<12 + uint64(add>>10&0xfff); page>>31 != 1 || add>>22 != 0x244 || to != m.Symbols["elsewhere"] {
			t.Errorf("%s: %08x %08x at %d reach %d, expected %d", llc, page, add, at, to, m.Symbols["elsewhere"])
		}
		if _, err := Link([][]byte{a, assemble(t, llc, callee)}); err == nil || !strings.Contains(err.Error(), "object 1 is for EM_X86_64, object 0 for EM_AARCH64") {
			t.Errorf("%s: two architectures: error %v", llc, err)
		}
	}
}

// TestAArch64Relocations patches single instructions at offset 0x2010.
func TestAArch64Relocations(t *testing.T) {
	const at = 0x2010
	for _, c := range []struct {
		kind    elf.R_AARCH64
		ins, to uint32
		want    uint32
		err     string
	}{
		{elf.R_AARCH64_ADR_PREL_PG_HI21, 0x90000003, 0x5678, 0xf0000003, ""},  // adrp x3, 3 pages on
		{elf.R_AARCH64_ADR_PREL_PG_HI21, 0x90000003, 0x678, 0xd0ffffe3, ""},   // 2 back
		{elf.R_AARCH64_ADR_PREL_LO21, 0x10000001, 0x2018, 0x10000041, ""},     // adr x1, 8 bytes on
		{elf.R_AARCH64_ADD_ABS_LO12_NC, 0x91000000, 0x5678, 0x9119e000, ""},   // add x0, x0, #0x678
		{elf.R_AARCH64_LDST8_ABS_LO12_NC, 0x39400000, 0x5679, 0x3959e400, ""}, // ldrb w0, [x0, #0x679]
		{elf.R_AARCH64_LDST16_ABS_LO12_NC, 0x79400000, 0x5678, 0x794cf000, ""},
		{elf.R_AARCH64_LDST32_ABS_LO12_NC, 0xb9400000, 0x5678, 0xb9467800, ""},
		{elf.R_AARCH64_LDST64_ABS_LO12_NC, 0xf9400000, 0x5678, 0xf9433c00, ""},
		{elf.R_AARCH64_LDST128_ABS_LO12_NC, 0x3dc00000, 0x5670, 0x3dc19c00, ""},
		{elf.R_AARCH64_LDST128_ABS_LO12_NC, 0x3dc00000, 0x5678, 0, "x at 22136 is not aligned to 16 bytes"},
		{elf.R_AARCH64_LD64_GOT_LO12_NC, 0xf9400021, 0x5678, 0x9119e021, ""}, // becomes add x1, x1, #0x678
		{elf.R_AARCH64_LD64_GOT_LO12_NC, 0xb9400021, 0x5678, 0, "needs a global offset table"},
		{elf.R_AARCH64_CALL26, 0x94000000, 0x2000, 0x97fffffc, ""}, // bl, 16 bytes back
		{elf.R_AARCH64_JUMP26, 0x14000000, 0x2020, 0x14000004, ""},
		{elf.R_AARCH64_JUMP26, 0x14000000, 0x2021, 0, "is not at an instruction"},
		{elf.R_AARCH64_CALL26, 0x94000000, 0x2010 + 1<<27, 0, "x is 134217728 bytes away"},
		{elf.R_AARCH64_CONDBR19, 0x54000001, 0x2000, 0x54ffff81, ""}, // b.ne, 16 bytes back
		{elf.R_AARCH64_TSTBR14, 0x36000000, 0x2018, 0x36000040, ""},
		{elf.R_AARCH64_PREL32, 0, 0x2000, 0xfffffff0, ""},
		{elf.R_AARCH64_ABS64, 0, 0x2000, 0, "relocation R_AARCH64_ABS64 against x is not relative to the program counter"},
	} {
		l := &linker{code: make([]byte, at+4)}
		binary.LittleEndian.PutUint32(l.code[at:], c.ins)
		err := l.aarch64(at, uint64(c.to), rela{kind: uint32(c.kind)}, "x")
		got := binary.LittleEndian.Uint32(l.code[at:])
		if c.err == "" && (err != nil || got != c.want) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%v to %#x: %08x, error %v; expected %08x %s", c.kind, c.to, got, err, c.want, c.err)
		}
	}
}
