package link

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// aarch64 makes the instruction at the place at refer to the offset to. An address is made of its page, relative to the
// place's, and its low twelve bits: both stay right wherever a blob is mapped at a page boundary.
func (l *linker) aarch64(at, to uint64, r rela, name string) error {
	if at%4 != 0 {
		return fmt.Errorf("the use of %s at %d is not at an instruction", name, at)
	}
	ins := binary.LittleEndian.Uint32(l.code[at:])
	far := func(v int64, bits uint) error {
		if v >= -1<<(bits-1) && v < 1<<(bits-1) {
			return nil
		}
		return fmt.Errorf("%s is %d bytes away, beyond the reach of the instruction", name, int64(to-at))
	}
	branch := func(bits, shift uint) error {
		v := int64(to - at)
		if v%4 != 0 {
			return fmt.Errorf("%s, a target of a jump, is not at an instruction", name)
		}
		mask := uint32(1<<bits-1) << shift
		ins = ins&^mask | uint32(v>>2)<<shift&mask
		return far(v>>2, bits)
	}
	low := func(scale uint) error { // the low twelve bits, in units of 1<<scale
		v := uint32(to & 0xfff)
		if v&(1<<scale-1) != 0 {
			return fmt.Errorf("%s at %d is not aligned to %d bytes", name, to, 1<<scale)
		}
		ins = ins&^(0xfff<<10) | v>>scale<<10
		return nil
	}
	address := func(v int64) error { // of adr and adrp
		ins = ins&^(3<<29|0x7ffff<<5) | uint32(v)&3<<29 | uint32(v>>2)&0x7ffff<<5
		return far(v, 21)
	}
	var err error
	switch kind := elf.R_AARCH64(r.kind); kind {
	case elf.R_AARCH64_ADR_PREL_PG_HI21, elf.R_AARCH64_ADR_PREL_PG_HI21_NC, elf.R_AARCH64_ADR_GOT_PAGE:
		err = address(int64(to>>12) - int64(at>>12))
	case elf.R_AARCH64_ADR_PREL_LO21:
		err = address(int64(to - at))
	case elf.R_AARCH64_ADD_ABS_LO12_NC, elf.R_AARCH64_LDST8_ABS_LO12_NC:
		err = low(0)
	case elf.R_AARCH64_LDST16_ABS_LO12_NC:
		err = low(1)
	case elf.R_AARCH64_LDST32_ABS_LO12_NC:
		err = low(2)
	case elf.R_AARCH64_LDST64_ABS_LO12_NC:
		err = low(3)
	case elf.R_AARCH64_LDST128_ABS_LO12_NC:
		err = low(4)
	case elf.R_AARCH64_LD64_GOT_LO12_NC: // ldr x, [page, entry] -> add x, page, symbol
		if ins&0xffc00000 != 0xf9400000 {
			return noTable(name)
		}
		ins = 0x91000000 | ins&0x3ff
		err = low(0)
	case elf.R_AARCH64_CALL26, elf.R_AARCH64_JUMP26:
		err = branch(26, 0)
	case elf.R_AARCH64_CONDBR19:
		err = branch(19, 5)
	case elf.R_AARCH64_TSTBR14:
		err = branch(14, 5)
	case elf.R_AARCH64_PREL32:
		v := int64(to - at)
		ins = uint32(int32(v))
		err = far(v, 32)
	default:
		return absolute(kind, name)
	}
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(l.code[at:], ins)
	return nil
}
