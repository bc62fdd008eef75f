package link

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"math"
)

// relocate patches the copy of section s of object o that lies in the blob. All the kinds it knows are relative to the
// program counter, or with AArch64 to its page.
func (l *linker) relocate(o *object, s *section) error {
	patch := l.amd64
	if o.machine == elf.EM_AARCH64 {
		patch = l.aarch64
	}
	for _, r := range s.relas {
		sym := &o.syms[r.sym-1]
		to, err := l.target(o, sym, r.addend)
		if err == nil {
			err = patch(s.start+r.off, to, r, sym.Name)
		}
		if err != nil {
			return fmt.Errorf("link: %s: %w", o.function(s, r.off), err)
		}
	}
	return nil
}

// absolute is the error for a relocation that would depend on where the blob lies.
func absolute(kind fmt.Stringer, name string) error {
	return fmt.Errorf("relocation %v against %s is not relative to the program counter; compile with -relocation-model=pic", kind, name)
}

func noTable(name string) error {
	return fmt.Errorf("the use of %s needs a global offset table, and the blob has none", name)
}

// amd64 makes the place at refer to the offset to: value = symbol + addend - place.
func (l *linker) amd64(at, to uint64, r rela, name string) error {
	switch kind := elf.R_X86_64(r.kind); kind {
	case elf.R_X86_64_PC32, elf.R_X86_64_PLT32:
	case elf.R_X86_64_GOTPCREL, elf.R_X86_64_GOTPCRELX, elf.R_X86_64_REX_GOTPCRELX:
		shift, ok := 0, false
		if r.addend == -4 && r.off >= 2 {
			shift, ok = relax(l.code[at-2 : at+4])
		}
		if !ok {
			return noTable(name)
		}
		at -= uint64(shift)
	default:
		return absolute(kind, name)
	}
	v := int64(to - at)
	if v < math.MinInt32 || v > math.MaxInt32 {
		return fmt.Errorf("%s is %d bytes away, beyond the reach of a 32-bit offset", name, v)
	}
	binary.LittleEndian.PutUint32(l.code[at:], uint32(int32(v)))
	return nil
}

// relax rewrites an instruction that goes through the global offset table into one that reaches its symbol directly, as
// the x86-64 ABI (section B.2) allows. ins is opcode, ModRM and the four bytes to be relocated; shift is by how many
// bytes the place of the relocation moved to the left.
func relax(ins []byte) (shift int, ok bool) {
	op, modrm := ins[0], ins[1]
	switch {
	case op == 0x8b && modrm&0xc7 == 0x05: // mov sym@GOTPCREL(%rip), reg -> lea sym(%rip), reg
		ins[0] = 0x8d
		return 0, true
	case op == 0xff && modrm == 0x15: // call *sym@GOTPCREL(%rip) -> addr32 call sym
		ins[0], ins[1] = 0x67, 0xe8
		return 0, true
	case op == 0xff && modrm == 0x25: // jmp *sym@GOTPCREL(%rip) -> jmp sym; nop
		ins[0], ins[5] = 0xe9, 0x90
		return 1, true
	}
	return 0, false
}
