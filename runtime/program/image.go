package program

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"pgc/runtime/output"
)

// Executable is an opened executable: its programs decoded, its sections mapped from the file.
type Executable struct {
	Programs []*Program // one for each instruction set, the best first
	Program  *Program   // the one in use: the first, unless the owner sets another
	Weights  []byte     // read-only; pages come from the file when they are first touched
	Sections []SectionInfo
	Info     fs.FileInfo // of the file when it was opened
	Opened   time.Time
	Sum      uint32 // the footer's checksum: it covers those of all sections

	path       string
	mapped     map[string][]byte // sections, with the padding
	code       map[string][]byte // unpacked, by section and instruction set
	mappings   [][]byte          // what these lie in
	runs       bool              // code runs as it is mapped
	sums       []uint32          // of the weights' blocks
	unchecked  *os.File          // the file, of which checksums were not compared; nil if they were
	completing sync.Mutex
	unpacking  sync.Mutex // of code and mappings
}

// Open maps the sections of an executable file, of which the first byte must be that of the runtime, and checks
// everything but the weights. Errors are one line and name the file and the section at fault. The file may be closed
// afterwards.
func Open(f *os.File) (*Executable, error) {
	m, err := OpenHeads(f, func(*Executable) bool { return false })
	if err != nil {
		return nil, err
	}
	for _, p := range m.Programs {
		if err := m.Complete(p); err != nil {
			m.Close()
			return nil, err
		}
	}
	return m, nil
}

// OpenHeads is Open of what describing an executable takes: its programs have no launches before Complete. It does not
// compare checksums if whole, which may look at Info and Sum, says that they were right before.
func OpenHeads(f *os.File, whole func(*Executable) bool) (*Executable, error) {
	m := &Executable{path: f.Name(), mapped: map[string][]byte{}, code: map[string][]byte{}}
	if err := m.open(f, whole); err != nil {
		m.Close()
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return m, nil
}

// Complete reads the launches of a program of the executable, the first time it is called. It may be called from many
// goroutines.
func (m *Executable) Complete(p *Program) error {
	m.completing.Lock()
	defer m.completing.Unlock()
	if err := p.complete(); err != nil {
		return fmt.Errorf("%s: %w", m.path, err)
	}
	return nil
}

// OpenFile is Open of the file at a path.
func OpenFile(path string) (*Executable, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Open(f)
}

func (m *Executable) open(f *os.File, whole func(*Executable) bool) error {
	var err error
	if m.Info, err = f.Stat(); err != nil {
		return output.Cause(err)
	}
	m.Opened = time.Now()
	if !m.Info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	if m.Sections, m.Sum, err = readTable(f, m.Info.Size()); err != nil {
		return err
	}
	if whole(m) {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return err
		}
		m.unchecked = os.NewFile(uintptr(fd), m.path)
	}
	for i := range m.Sections {
		s := &m.Sections[i]
		err := m.mapSection(f, s)
		if err == nil && m.unchecked == nil {
			err = m.checkSection(f, s)
		}
		if err != nil {
			return fmt.Errorf("section %s: %w", s.Name, err)
		}
	}
	if m.Section(SectionProgram) == nil {
		return fmt.Errorf("no section %s", SectionProgram)
	}
	if m.Programs, err = decode(m.Section(SectionProgram)); err != nil {
		return err
	}
	for _, p := range m.Programs {
		if err := p.fits(m.Sections); err != nil {
			return err
		}
	}
	if err := m.readSums(); err != nil {
		return fmt.Errorf("section %s: %w", SectionSums, err)
	}
	m.Program = m.Programs[0]
	m.Weights = m.Section(SectionWeights)
	return nil
}

// Path is the file's.
func (m *Executable) Path() string { return m.path }

// Variants lists the instruction sets, the best first.
func (m *Executable) Variants() []string {
	names := make([]string, len(m.Programs))
	for i, p := range m.Programs {
		names[i] = p.Target.CPU
	}
	return names
}

// Choose returns the program of the named instruction set, or for "" of the best one that lacks nothing. lacks says
// what this machine lacks for a target.
func (m *Executable) Choose(name string, lacks func(Target) error) (*Program, error) {
	var errs []string
	for _, p := range m.Programs {
		if name != "" && p.Target.CPU != name {
			continue
		}
		err := lacks(p.Target)
		if err == nil {
			return p, nil
		}
		errs = append(errs, fmt.Sprintf("its code for %s does not run here: %v", p.Target.CPU, err))
	}
	if len(errs) == 0 {
		return nil, fmt.Errorf("%s has no code for %s: it has %s", m.path, name, strings.Join(m.Variants(), ", "))
	}
	return nil, fmt.Errorf("%s: %s", m.path, strings.Join(errs, "; "))
}

// mapSection maps a section, except the runtime's.
func (m *Executable) mapSection(f *os.File, s *SectionInfo) error {
	if s.Bytes == 0 || s.Name == SectionRuntime { // the kernel has that mapped already
		return nil
	}
	if int64(int(s.padded())) != s.padded() {
		return fmt.Errorf("%d bytes are more than this machine can address", s.Bytes)
	}
	page := int64(os.Getpagesize())
	if s.page%page != 0 {
		return fmt.Errorf("it lies at a multiple of %d bytes, this machine's pages have %d: expected a file for it", s.page, page)
	}
	before := s.Offset % page // of sections in front of it
	mmap := func(prot int) ([]byte, error) {
		return unix.Mmap(int(f.Fd()), s.Offset-before, int(before+s.padded()), prot, unix.MAP_SHARED)
	}
	var b []byte
	var err error
	if s.runs() && before == 0 {
		b, err = mmap(unix.PROT_READ | unix.PROT_EXEC)
		m.runs = err == nil
	}
	if b == nil { // of code, where files are not executed: Code copies it
		b, err = mmap(unix.PROT_READ)
	}
	if err != nil {
		return fmt.Errorf("cannot map its %d bytes: %w", s.Bytes, err)
	}
	m.mappings = append(m.mappings, b)
	m.mapped[s.Name] = b[before:]
	if s.Name == SectionWeights {
		// Asks for huge pages, which the system may deny: what is read from the disk then comes in huge pages, and
		// mapping them when they are touched takes 4 ms instead of 126 for 2 GB that are in memory already.
		unix.Madvise(b, unix.MADV_HUGEPAGE)
	}
	return nil
}

// checkSection compares a section's checksum, unless it is the weights.
func (m *Executable) checkSection(f *os.File, s *SectionInfo) error {
	if s.Bytes == 0 || s.Name == SectionWeights {
		return nil
	}
	sum := crc32.New(crcTable())
	if s.Name == SectionRuntime { // read in pieces, it adds nothing to the memory
		if _, err := io.CopyBuffer(sum, struct{ io.Reader }{io.NewSectionReader(f, s.Offset, s.padded())}, make([]byte, 64<<10)); err != nil {
			return output.Cause(err)
		}
	} else {
		sum.Write(m.mapped[s.Name])
	}
	if sum.Sum32() != s.Sum {
		return errors.New("damaged: its checksum is wrong: " + remedy)
	}
	return nil
}

// CheckSections compares the checksums that OpenHeads was told were right before. Those of the weights are not among
// them.
func (m *Executable) CheckSections() error {
	if m.unchecked == nil {
		return nil
	}
	for i := range m.Sections {
		if err := m.checkSection(m.unchecked, &m.Sections[i]); err != nil {
			return fmt.Errorf("%s: section %s: %w", m.path, m.Sections[i].Name, err)
		}
	}
	return nil
}

// Section returns the bytes of the named section, read-only, or nil if there is none. The runtime's own are not kept.
func (m *Executable) Section(name string) []byte {
	for _, s := range m.Sections {
		if s.Name == name && m.mapped[name] != nil {
			return m.mapped[name][:s.Bytes:s.Bytes]
		}
	}
	return nil
}

// Close unmaps all sections. Nothing of them may be used any more.
func (m *Executable) Close() error {
	var first error
	clear(m.mapped)
	clear(m.code)
	for _, b := range m.mappings {
		if err := unix.Munmap(b); err != nil && first == nil {
			first = err
		}
	}
	m.mappings, m.Weights = nil, nil
	if m.unchecked != nil {
		m.unchecked.Close()
	}
	return first
}
