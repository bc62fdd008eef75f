package program

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sys/unix"

	"pgc/runtime/fault"
)

// Part is a stretch of the code that all programs of a kind have together. A file has that code as it is, or each part as a deflate
// stream of its own, so that a machine unpacks only what its program needs.
type Part struct {
	At, Bytes int64 // in the code
	Packed    Span  // the stream in the section, or empty where that is the code; Write fills it in
}

// mostCode is more than any code takes.
const mostCode = 1 << 31

// mostPacked is how many bytes of a deflated stream a byte of it can make.
const mostPacked = 1032

// section is the one that has the code of programs of a kind.
func (k TargetKind) section() string {
	if k == PTX {
		return SectionPTX
	}
	return SectionCode
}

// codeEnd is where a program's code ends; between its parts is that of others.
func (p *Program) codeEnd() (end int64) {
	for _, part := range p.Parts {
		end = max(end, part.At+part.Bytes)
	}
	return end
}

// CodeBytes is the size of the code of all programs, unpacked.
func (m *Executable) CodeBytes() (n int64) {
	for kind := range targetKinds {
		end := int64(0)
		for _, p := range m.Programs {
			if p.Target.Kind == kind {
				end = max(end, p.codeEnd())
			}
		}
		n += end
	}
	return n
}

// CodeBytes is the size of a program's code, unpacked.
func (p *Program) CodeBytes() (n int64) {
	for _, part := range p.Parts {
		n += part.Bytes
	}
	return n
}

// plain reports whether the section has the part as it is.
func (p Part) plain() bool { return p.Packed == Span{} }

// plain reports whether the section has the program's code as it is.
func (p *Program) plain() bool { return len(p.Parts) == 0 || p.Parts[0].plain() }

// UnpackedBytes is the size of a program's code in memory of its own, besides the file: none where it runs as it lies there.
func (p *Program) UnpackedBytes() int64 {
	if p.plain() {
		return 0
	}
	return p.CodeBytes()
}

// fits checks a part against the size of its section.
func (p Part) fits(section int64) error {
	if p.plain() {
		if p.At < 0 || p.Bytes < 0 || p.Bytes > section-p.At {
			return fmt.Errorf("program: a part of code, %d bytes at %d, lies outside the %d bytes of its section", p.Bytes, p.At, section)
		}
		return nil
	}
	if n := p.Packed.Bytes; p.At < 0 || p.Packed.Offset < 0 || n < 0 || n > section-p.Packed.Offset || p.Bytes < 0 || p.Bytes > mostCode || p.At > mostCode {
		return fmt.Errorf("program: a part of code, %d bytes at %d and packed %d at %d, lies outside the %d bytes of its section", p.Bytes, p.At, n, p.Packed.Offset, section)
	}
	return nil
}

// Code returns the code of a program, which lies there until the executable is closed: on a processor executable, of a GPU as
// text. If the file does not have it as it is, it is unpacked the first time. Code may be called from many goroutines.
func (m *Executable) Code(p *Program) ([]byte, error) {
	m.unpacking.Lock()
	defer m.unpacking.Unlock()
	name := p.Target.Kind.section()
	if p.plain() && (m.runs || p.Target.Kind != CPU) {
		return m.Section(name), nil
	}
	key := name + " of " + p.Target.CPU
	if b := m.code[key]; b != nil || len(p.Parts) == 0 {
		return b, nil
	}
	b, err := unix.Mmap(-1, 0, int(p.codeEnd()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err == nil {
		err = p.unpack(m.Section(name), b)
	}
	if err == nil && p.Target.Kind == CPU {
		b, err = executable(b)
	}
	if err != nil {
		unix.Munmap(b)
		return nil, fmt.Errorf("%s: section %s: its %d bytes of code cannot be unpacked: %w", m.path, name, p.CodeBytes(), err)
	}
	m.mappings = append(m.mappings, b)
	m.code[key] = b
	return b, nil
}

// unpack fills in the parts of a program's code.
func (p *Program) unpack(section, code []byte) error {
	errs := make([]error, len(p.Parts))
	var all sync.WaitGroup
	for i, part := range p.Parts {
		all.Go(func() {
			errs[i] = fault.Guard(func() error {
				if part.plain() {
					copy(code[part.At:][:part.Bytes], section[part.At:])
					return nil
				}
				return unpack(code[part.At:][:part.Bytes], section[part.Packed.Offset:][:part.Packed.Bytes])
			})
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// executable makes code executable that was written. Where the system forbids that for memory that was writable, as systemd does
// on request, it lies in a file of memory.
func executable(b []byte) ([]byte, error) {
	const prot = unix.PROT_READ | unix.PROT_EXEC
	first := unix.Mprotect(b, prot)
	if first == nil {
		return b, nil
	}
	fd, err := unix.MemfdCreate("code", unix.MFD_CLOEXEC)
	if err != nil {
		return b, first
	}
	defer unix.Close(fd)
	for at := 0; at < len(b); {
		n, err := unix.Write(fd, b[at:])
		if err != nil {
			return b, err
		}
		at += n
	}
	other, err := unix.Mmap(fd, 0, len(b), prot, unix.MAP_PRIVATE)
	if err != nil {
		return b, err
	}
	unix.Munmap(b)
	return other, nil
}

// inflate unpacks bytes, as many as there must be.
func inflate(to, packed []byte) error {
	z := flate.NewReader(bytes.NewReader(packed))
	_, err := io.ReadFull(z, to)
	if err == nil {
		if n, end := z.Read(make([]byte, 1)); n > 0 || end != io.EOF {
			err = errors.New("more follows than expected")
		}
	}
	return unpackable(err)
}

// remedy is what to do about a damaged file.
const remedy = "copy the file anew from where it is whole, or compile it again"

// unpackable says what to do about an error of unpacking, if it is one.
func unpackable(err error) error {
	if err != nil {
		return fmt.Errorf("damaged (%w): %s", err, remedy)
	}
	return nil
}

// unpack undoes pack.
func unpack(to, packed []byte) error {
	var b bytes.Buffer
	_, err := b.ReadFrom(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), mostForm(len(to))))
	if err == nil {
		err = withRepeats(to, b.Bytes())
	}
	return unpackable(err)
}

// pack makes the stream of a part.
func pack(code []byte) []byte { return deflate(withoutRepeats(code)) }

// deflate packs bytes.
func deflate(b []byte) []byte {
	var packed bytes.Buffer
	z, err := flate.NewWriter(&packed, flate.BestCompression)
	if err == nil {
		_, err = z.Write(b)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(err) // of a level that does not exist
	}
	return packed.Bytes()
}

// packed is a section of the code of all programs of a kind, deflated if it asks for that. It notes in them where their parts are: all
// of the code where a program names none.
func packed(sets []*Program, of Section) Section {
	return Section{Name: of.Name, Deflate: of.Deflate, Write: func(w io.Writer) error {
		var code bytes.Buffer
		if err := of.Write(&code); err != nil {
			return err
		}
		places, end := map[[2]int64]Span{}, int64(0)
		for _, p := range sets {
			if p.Target.Kind.section() != of.Name {
				continue
			}
			if len(p.Parts) == 0 && code.Len() > 0 {
				p.Parts = []Part{{Bytes: int64(code.Len())}}
			}
			for i := range p.Parts {
				part := &p.Parts[i]
				if part.At < 0 || part.Bytes < 0 || part.Bytes > int64(code.Len())-part.At {
					return fmt.Errorf("a part of %d bytes at %d lies outside the %d bytes of code", part.Bytes, part.At, code.Len())
				}
				if part.Packed = (Span{}); !of.Deflate {
					continue
				}
				at := [2]int64{part.At, part.Bytes}
				if _, ok := places[at]; !ok {
					b := pack(code.Bytes()[part.At:][:part.Bytes])
					if _, err := w.Write(b); err != nil {
						return err
					}
					places[at] = Span{end, int64(len(b))}
					end += int64(len(b))
				}
				part.Packed = places[at]
			}
		}
		if !of.Deflate {
			_, err := w.Write(code.Bytes())
			return err
		}
		return nil
	}}
}
