package llctest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// Where the fields of a 64-bit ELF file lie, and how long its header is.
const (
	headerBytes   = 64
	headerTable   = 0x28 // the offset of the table of sections
	headerEntry   = 0x3a // the size of an entry of it
	sectionOffset = 24   // of a section's bytes, in its entry
)

// only returns an object with one of the functions of obj, and its constants. llc was told to give each function a
// section; sections keep their numbers, and those of the others are empty.
func only(obj []byte, function string) ([]byte, error) {
	f, err := elf.NewFile(bytes.NewReader(obj))
	if err != nil {
		return nil, err
	}
	first := binary.LittleEndian.Uint64(obj[headerTable:])
	size := uint64(binary.LittleEndian.Uint16(obj[headerEntry:]))
	table := bytes.Clone(obj[first : first+size*uint64(len(f.Sections))])
	out, found := bytes.Clone(obj[:headerBytes]), false
	keeps := func(s *elf.Section) bool {
		return s.Name == ".text."+function || s.Flags&(elf.SHF_ALLOC|elf.SHF_EXECINSTR) == elf.SHF_ALLOC && s.Name != ".eh_frame"
	}
	for i, s := range f.Sections {
		found = found || s.Name == ".text."+function
		entry := table[uint64(i)*size:][:size]
		switch {
		case s.Type == elf.SHT_SYMTAB, s.Type == elf.SHT_STRTAB, s.Type == elf.SHT_RELA && keeps(f.Sections[s.Info]), s.Type != elf.SHT_RELA && keeps(s):
			out = append(out, make([]byte, -len(out)&(int(max(1, s.Addralign))-1))...)
			binary.LittleEndian.PutUint64(entry[sectionOffset:], uint64(len(out)))
			out = append(out, obj[s.Offset:s.Offset+s.FileSize]...)
		default:
			clear(entry)
		}
	}
	if !found {
		return nil, fmt.Errorf("llc's object has no section for %s", function)
	}
	out = append(out, make([]byte, -len(out)&7)...)
	binary.LittleEndian.PutUint64(out[headerTable:], uint64(len(out)))
	return append(out, table...), nil
}
