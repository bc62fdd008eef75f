package link

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// object is one parsed relocatable file.
type object struct {
	program  *linked
	of       int // its number
	index    int
	machine  elf.Machine
	sections []*section // the loaded ones, in file order
	byIndex  map[elf.SectionIndex]*section
	syms     []elf.Symbol // entry i is symbol i+1 of the file
}

// section is a loaded section: code or constants.
type section struct {
	*elf.Section
	index elf.SectionIndex
	data  []byte
	align int
	relas []rela

	merge   int      // entry size in bytes of a section whose equal entries are merged, else 0
	again   bool     // whether it is code that lies in the blob already
	start   uint64   // offset in the blob, unless merged
	entries []uint64 // offset in the blob of each entry that something refers to, if merged
}

// rela is one relocation with addend.
type rela struct {
	off    uint64
	sym    uint32
	kind   uint32 // elf.R_X86_64 or elf.R_AARCH64
	addend int64
}

// address maps an offset within the section to an offset in the blob.
func (s *section) address(off uint64) (uint64, error) {
	if off > uint64(len(s.data)) {
		return 0, fmt.Errorf("offset %d lies outside section %s of %d bytes", off, s.Name, len(s.data))
	}
	if s.merge == 0 {
		return s.start + off, nil
	}
	i, rest := off/uint64(s.merge), off%uint64(s.merge)
	if i >= uint64(len(s.entries)) {
		return 0, fmt.Errorf("offset %d lies outside section %s of %d bytes", off, s.Name, len(s.data))
	}
	return s.entries[i] + rest, nil
}

// parse reads the loaded sections, symbols and relocations of object number i.
func parse(i int, raw []byte) (*object, error) {
	bad := func(format string, args ...any) (*object, error) {
		return nil, fmt.Errorf("link: object %d: %s", i, fmt.Sprintf(format, args...))
	}
	f, err := elf.NewFile(bytes.NewReader(raw))
	if err != nil {
		return bad("not an ELF file: %v", err)
	}
	if f.Type != elf.ET_REL || f.Machine != elf.EM_X86_64 && f.Machine != elf.EM_AARCH64 || f.Class != elf.ELFCLASS64 || f.Data != elf.ELFDATA2LSB {
		return bad("%v %v %v %v, expected a 64-bit relocatable x86-64 or AArch64 object", f.Class, f.Data, f.Type, f.Machine)
	}
	o := &object{index: i, machine: f.Machine, byIndex: map[elf.SectionIndex]*section{}}
	if o.syms, err = f.Symbols(); err != nil && err != elf.ErrNoSymbols {
		return bad("symbol table: %v", err)
	}
	for n, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Name == ".eh_frame" || s.Size == 0 {
			continue
		}
		switch {
		case s.Flags&elf.SHF_TLS != 0:
			return bad("section %s is thread-local; the code must not use thread-local storage", s.Name)
		case s.Flags&elf.SHF_WRITE != 0:
			return bad("section %s of %d bytes is writable; the code must be read-only", s.Name, s.Size)
		case s.Type != elf.SHT_PROGBITS:
			return bad("section %s has type %v, expected PROGBITS", s.Name, s.Type)
		case s.Addralign > MaxAlign || s.Addralign&(s.Addralign-1) != 0:
			return bad("section %s has alignment %d, expected a power of two up to %d", s.Name, s.Addralign, MaxAlign)
		}
		data, err := s.Data()
		if err != nil {
			return bad("section %s: %v", s.Name, err)
		}
		sec := &section{Section: s, index: elf.SectionIndex(n), data: data, align: max(1, int(s.Addralign))}
		if e := s.Entsize; s.Flags&elf.SHF_MERGE != 0 && s.Flags&elf.SHF_STRINGS == 0 &&
			e > 0 && e <= 64 && s.Size%e == 0 && e%uint64(sec.align) == 0 {
			sec.merge = int(e)
		}
		o.sections = append(o.sections, sec)
		o.byIndex[sec.index] = sec
	}
	for _, s := range f.Sections {
		sec := o.byIndex[elf.SectionIndex(s.Info)]
		if s.Type == elf.SHT_REL && sec != nil {
			return bad("section %s has relocations without addends", s.Name)
		}
		if s.Type != elf.SHT_RELA || sec == nil {
			continue
		}
		data, err := s.Data()
		if err != nil {
			return bad("section %s: %v", s.Name, err)
		}
		for ; len(data) >= 24; data = data[24:] {
			info := binary.LittleEndian.Uint64(data[8:])
			r := rela{off: binary.LittleEndian.Uint64(data), sym: uint32(info >> 32), kind: uint32(info),
				addend: int64(binary.LittleEndian.Uint64(data[16:]))}
			if r.off+4 > uint64(len(sec.data)) || r.off+4 < 4 {
				return bad("a relocation at offset %d lies outside section %s of %d bytes", r.off, sec.Name, len(sec.data))
			}
			if r.sym == 0 || int(r.sym) > len(o.syms) {
				return bad("a relocation of section %s names symbol %d of %d", sec.Name, r.sym, len(o.syms))
			}
			sec.relas = append(sec.relas, r)
		}
	}
	o.keepWhole()
	for _, s := range o.sections {
		if s.merge > 0 {
			s.entries = make([]uint64, len(s.data)/s.merge)
		}
	}
	return o, nil
}

// keepWhole takes the permission to merge from sections for which a relocation does not say which entry it means: those
// it reaches through the section's own symbol (the addend then mixes entry and instruction length) and those it writes
// into.
func (o *object) keepWhole() {
	for _, s := range o.sections {
		if len(s.relas) > 0 {
			s.merge = 0
		}
		for _, r := range s.relas {
			sym := &o.syms[r.sym-1]
			if t := o.byIndex[sym.Section]; t != nil && elf.ST_TYPE(sym.Info) == elf.STT_SECTION {
				t.merge = 0
			}
		}
	}
}

// function names the function of section s that holds offset off, or else the section.
func (o *object) function(s *section, off uint64) string {
	name, best := s.Name, uint64(0)
	for i := range o.syms {
		y := &o.syms[i]
		if y.Section == s.index && elf.ST_TYPE(y.Info) == elf.STT_FUNC && y.Value <= off && y.Value >= best {
			name, best = y.Name, y.Value
		}
	}
	return name
}
