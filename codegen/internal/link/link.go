// Package link joins llc's relocatable x86-64 or AArch64 ELF objects into one blob of position-independent code.
//
// The blob holds all functions, then the read-only constants that they refer to, and refers only to itself, relative to
// the program counter: it runs wherever it is mapped at a page boundary, with no dynamic loader and no writable part.
// Whatever does not fit that form (writable data, thread-local storage, absolute addresses, a call out of the objects
// such as memset or expf) is an error that names the function and the symbol.
package link

import (
	"bytes"
	"debug/elf"
	"fmt"
	"slices"
	"strings"
)

// MaxAlign is the largest section alignment, in bytes, that the blob can keep: it is mapped at page boundaries.
const MaxAlign = 4096

// Image is a linked blob of code.
type Image struct {
	// Code is the blob: functions from offset 0 on, constants after them.
	Code []byte
	// TextBytes is the length of the part of Code that holds functions.
	TextBytes int
	// Symbols maps each global symbol to its offset in Code.
	Symbols map[string]uint64
	// Parts are the stretches of Code that this program needs. Functions of the same programs lie together.
	Parts []Part
}

// Part is a stretch of a blob.
type Part struct{ At, Bytes int }

// Link joins relocatable ELF objects of one architecture. The result depends only on the objects and their order.
// Errors name the object by its index when no symbol says more.
func Link(objs [][]byte) (*Image, error) {
	images, err := Join([][][]byte{objs})
	if err != nil {
		return nil, err
	}
	return images[0], nil
}

// Join is Link of several programs into one blob, which all images have: functions and constants that are equal are
// in it once.
func Join(programs [][][]byte) ([]*Image, error) {
	l := &linker{pool: map[constant]uint64{}}
	for n, objs := range programs {
		p := &linked{map[string]uint64{}, map[string]int{}}
		l.programs = append(l.programs, p)
		for i, raw := range objs {
			o, err := parse(i, raw)
			if err != nil {
				return nil, err
			}
			o.program, o.of = p, n
			l.objs = append(l.objs, o)
			if o.machine != l.objs[0].machine {
				return nil, fmt.Errorf("link: object %d is for %v, object 0 for %v", i, o.machine, l.objs[0].machine)
			}
		}
	}
	groups := l.placeFunctions()
	text := len(l.code)
	l.placeConstants()
	for _, o := range l.objs {
		if err := l.define(o); err != nil {
			return nil, err
		}
	}
	for _, o := range l.objs {
		for _, s := range o.sections {
			if s.again {
				continue
			}
			if err := l.relocate(o, s); err != nil {
				return nil, err
			}
		}
	}
	var images []*Image
	for n, p := range l.programs {
		images = append(images, &Image{Code: l.code, TextBytes: text, Symbols: p.symbols, Parts: l.partsOf(groups, n)})
	}
	return images, nil
}

// constant identifies constants that are stored once, an entry of a mergeable section or a whole section, by alignment
// and content.
type constant struct {
	align int
	data  string
}

// linked is one of the programs of a blob.
type linked struct {
	symbols map[string]uint64 // global name -> offset in code
	defined map[string]int    // global name -> object that defines it
}

type linker struct {
	programs []*linked
	objs     []*object
	code     []byte
	pool     map[constant]uint64
}

// identity returns what a section of code has in common with equal ones: its bytes, and where it refers to what
// constants. ok is false where it refers to something else, which may differ.
func (o *object) identity(s *section) (key string, ok bool) {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %d %s", s.align, len(s.data), s.data)
	for _, r := range s.relas {
		sym := &o.syms[r.sym-1]
		t := o.byIndex[sym.Section]
		if t == nil || t.Flags&elf.SHF_EXECINSTR != 0 || len(t.relas) > 0 || sym.Value > uint64(len(t.data)) {
			return "", false
		}
		data, at := t.data, sym.Value
		if t.merge > 0 {
			first := at / uint64(t.merge) * uint64(t.merge)
			if first == uint64(len(t.data)) {
				return "", false
			}
			data, at = data[first:first+uint64(t.merge)], at-first
		}
		fmt.Fprintf(&b, "\x00%d %d %d %d %d %d %s", r.off, r.kind, r.addend, at, t.align, len(data), data)
	}
	return b.String(), true
}

// part is a section of constants, or the entry of it that is merged with equal ones.
type part struct {
	s     *section
	entry int // 0 where the section is not merged
}

// placeConstants appends the constants that functions and global symbols refer to, equal ones once, those of the largest
// alignment first. So the blob does not depend on how functions are divided among objects.
func (l *linker) placeConstants() {
	var parts []part
	seen := map[part]bool{}
	var refer func(o *object, sym *elf.Symbol)
	refer = func(o *object, sym *elf.Symbol) {
		s := o.byIndex[sym.Section]
		if s == nil || s.Flags&elf.SHF_EXECINSTR != 0 {
			return
		}
		p := part{s: s}
		if s.merge > 0 {
			if p.entry = int(sym.Value / uint64(s.merge)); p.entry >= len(s.entries) {
				return // address says so
			}
		}
		if seen[p] {
			return
		}
		seen[p] = true
		parts = append(parts, p)
		for _, r := range s.relas {
			refer(o, &o.syms[r.sym-1])
		}
	}
	for _, o := range l.objs {
		for _, s := range o.sections {
			if s.Flags&elf.SHF_EXECINSTR == 0 || s.again {
				continue
			}
			for _, r := range s.relas {
				refer(o, &o.syms[r.sym-1])
			}
		}
		for i := range o.syms {
			if elf.ST_BIND(o.syms[i].Info) != elf.STB_LOCAL {
				refer(o, &o.syms[i])
			}
		}
	}
	slices.SortStableFunc(parts, func(a, b part) int { return b.s.align - a.s.align })
	for _, p := range parts {
		s := p.s
		switch {
		case s.merge > 0:
			s.entries[p.entry] = l.once(s.data[p.entry*s.merge:(p.entry+1)*s.merge], s.align)
		case len(s.relas) == 0:
			s.start = l.once(s.data, s.align)
		default:
			s.start = l.add(s.data, s.align)
		}
	}
}

// once returns where constants lie in the blob, to which it appends them unless they are there.
func (l *linker) once(data []byte, align int) uint64 {
	key := constant{align, string(data)}
	at, ok := l.pool[key]
	if !ok {
		at = l.add(data, align)
		l.pool[key] = at
	}
	return at
}

// add appends data at a multiple of align and returns its offset. The gap between functions is filled with int3 or
// AArch64's udf, so that a wild jump traps.
func (l *linker) add(data []byte, align int) uint64 {
	if pad := -len(l.code) & (align - 1); pad > 0 {
		trap := byte(0xcc)
		if l.objs[0].machine == elf.EM_AARCH64 {
			trap = 0
		}
		l.code = append(l.code, bytes.Repeat([]byte{trap}, pad)...)
	}
	at := uint64(len(l.code))
	l.code = append(l.code, data...)
	return at
}

// define records the global symbols of o.
func (l *linker) define(o *object) error {
	for i := range o.syms {
		s := &o.syms[i]
		if s.Section == elf.SHN_UNDEF || elf.ST_BIND(s.Info) == elf.STB_LOCAL {
			continue
		}
		if s.Section == elf.SHN_COMMON {
			return fmt.Errorf("link: object %d: %s is writable data; the code must be read-only", o.index, s.Name)
		}
		sec := o.byIndex[s.Section]
		if sec == nil {
			continue // in a section that is not loaded, such as debug information
		}
		if first, dup := o.program.defined[s.Name]; dup {
			return fmt.Errorf("link: %s is defined twice, in objects %d and %d", s.Name, first, o.index)
		}
		at, err := sec.address(s.Value)
		if err != nil {
			return fmt.Errorf("link: object %d: symbol %s: %w", o.index, s.Name, err)
		}
		o.program.defined[s.Name], o.program.symbols[s.Name] = o.index, at
	}
	return nil
}

// target returns the offset in the blob that symbol s of object o plus addend means.
func (l *linker) target(o *object, s *elf.Symbol, addend int64) (uint64, error) {
	if s.Section == elf.SHN_UNDEF {
		at, ok := o.program.symbols[s.Name]
		if !ok {
			return 0, fmt.Errorf("%s is defined by no object (library calls such as libm's or memset cannot be linked)", s.Name)
		}
		return at + uint64(addend), nil
	}
	sec := o.byIndex[s.Section]
	if sec == nil {
		return 0, fmt.Errorf("%s lies in a section that is not loaded", s.Name)
	}
	at, err := sec.address(s.Value)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.Name, err)
	}
	return at + uint64(addend), nil
}
