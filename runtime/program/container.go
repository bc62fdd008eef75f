package program

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"sync"
)

// An executable file is
//
//	section "runtime"   the runtime's ELF file, at offset 0
//	section "code"      here if it is not deflated, so that it is mapped and runs as it lies
//	section "weights"   if there are any
//	section "sums"      the checksums of their blocks
//	more sections       in the order they were given
//	section "program"   encode's bytes
//	section table       an entry for each section
//	footer              footerBytes long, at the very end
//
// The runtime and code that is not deflated are padded to whole pages, so that the weights begin at one, too; all sections behind them
// are padded to 64 bytes: kernels read none of them, and their mappings begin where their first page does.
//
// A section's checksum covers the zeros that follow it, too, and the footer's covers table and footer, so that
// no byte of the file can change unnoticed.

// Names of the sections that have a meaning here.
const (
	SectionRuntime = "runtime"
	SectionWeights = "weights" // the only one not checked when the file is opened
	SectionSums    = "sums"    // of the weights: a CRC-32C for every BlockBytes, the padding included, little-endian
	SectionCode    = "code"    // of all instruction sets of CPUs: as it is, or a deflate stream for each part
	SectionPTX     = "ptx"     // modules for GPUs, text, likewise
	SectionProgram = "program"
)

// maxPageBytes is the largest page that a kernel maps files by: 64 KiB, on arm64.
const maxPageBytes = 64 << 10

// denseBytes is where sections end that need no whole pages.
const denseBytes = 64

// pageBytes returns the alignment of weights in a file: the largest page of the machines that the runtime, an ELF file, and the code of
// its programs are for.
func pageBytes(runtime []byte, programs []*Program) int64 {
	const machine, x86 = 18, 62 // where an ELF file has it, and debug/elf's EM_X86_64: that package takes 25 kB
	amd64 := len(runtime) >= machine+2 && binary.LittleEndian.Uint16(runtime[machine:]) == x86
	for _, p := range programs {
		amd64 = amd64 || p.Target.Kind == CPU && p.Target.Arch == "amd64"
	}
	if amd64 {
		return 4 << 10
	}
	return maxPageBytes
}

// FormatVersion is of the sections and of what code and runtime expect of each other (abi.go). A file of another one is
// refused, whose code would run beside a runtime that counts otherwise.
const FormatVersion = 20

const (
	magic       = "pgc:exec"
	footerBytes = 40
	entryBytes  = 40
	nameBytes   = 16
	maxSections = 64

	wholePages = 1 // a flag of a section: it is padded to them
)

// crcTable is of the Castagnoli polynomial, for which processors have an instruction. It takes 0.2 ms to make.
var crcTable = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })

// shortSum is the same checksum of some hundred bytes, without a table.
func shortSum(b []byte) uint32 {
	sum := ^uint32(0)
	for _, x := range b {
		sum ^= uint32(x)
		for range 8 {
			sum = sum>>1 ^ crc32.Castagnoli&-(sum&1)
		}
	}
	return ^sum
}

// SectionInfo is an entry of the section table.
type SectionInfo struct {
	Name   string
	Offset int64  // in the file
	Bytes  int64  // without the padding
	Sum    uint32 // CRC-32C of the section and its padding
	page   int64
	whole  bool // whether it is padded to whole pages
}

// padded returns the length of the section with its padding.
func (s *SectionInfo) padded() int64 {
	to := min(s.page, denseBytes)
	if s.whole {
		to = s.page
	}
	return (s.Bytes + to - 1) / to * to
}

// runs reports whether the section is code that a processor runs as it lies in the file.
func (s *SectionInfo) runs() bool { return s.Name == SectionCode && s.whole }

// appendTable appends the section table and the footer.
func appendTable(b []byte, page int64, sections []SectionInfo) []byte {
	le := binary.LittleEndian
	start := len(b)
	end := int64(0)
	for _, s := range sections {
		var name [nameBytes]byte
		copy(name[:], s.Name)
		b = append(b, name[:]...)
		b = le.AppendUint64(b, uint64(s.Offset))
		b = le.AppendUint64(b, uint64(s.Bytes))
		b = le.AppendUint32(b, s.Sum)
		flags := uint32(0)
		if s.whole {
			flags = wholePages
		}
		b = le.AppendUint32(b, flags)
		end = s.Offset + s.padded()
	}
	// Footer: file size, sections, version, alignment of sections, a reserved word, checksum, magic.
	b = le.AppendUint64(b, uint64(end)+uint64(len(sections)*entryBytes+footerBytes))
	b = le.AppendUint32(b, uint32(len(sections)))
	b = le.AppendUint32(b, FormatVersion)
	b = le.AppendUint64(b, uint64(page))
	b = le.AppendUint32(b, 0)
	b = le.AppendUint32(b, shortSum(b[start:]))
	return append(b, magic...)
}

// readTable finds and checks the section table of a file of the given size. sum is the footer's checksum.
func readTable(r io.ReaderAt, size int64) (sections []SectionInfo, sum uint32, err error) {
	le := binary.LittleEndian
	var footer [footerBytes]byte
	if size < footerBytes {
		return nil, 0, fmt.Errorf("the file has %d bytes and no program at its end", size)
	}
	if _, err := r.ReadAt(footer[:], size-footerBytes); err != nil {
		return nil, 0, fmt.Errorf("cannot read the footer: %w", err)
	}
	if string(footer[32:]) != magic {
		return nil, 0, fmt.Errorf("no program at the end of the file: it is truncated, or pgc did not write it")
	}
	if v := le.Uint32(footer[12:]); v != FormatVersion {
		return nil, 0, fmt.Errorf("damaged footer, or made by another version of pgc, in format %d, expected %d: compile it again", v, FormatVersion)
	}
	count := le.Uint32(footer[8:])
	tableBytes := int64(count) * entryBytes
	if count == 0 || count > maxSections || tableBytes > size-footerBytes {
		return nil, 0, fmt.Errorf("damaged footer: %d sections, expected 1 to %d", count, maxSections)
	}
	table := make([]byte, tableBytes+footerBytes)
	start := size - int64(len(table))
	if _, err := r.ReadAt(table, start); err != nil {
		return nil, 0, fmt.Errorf("cannot read the section table: %w", err)
	}
	summed := len(table) - 12
	if shortSum(table[:summed]) != le.Uint32(table[summed:]) {
		return nil, 0, fmt.Errorf("damaged section table: its checksum is wrong: %s", remedy)
	}
	if want := le.Uint64(footer[:]); want != uint64(size) {
		return nil, 0, fmt.Errorf("the file has %d bytes, expected %d", size, want)
	}
	page := int64(le.Uint64(footer[16:]))
	if page < 1 || page > maxPageBytes || page&(page-1) != 0 {
		return nil, 0, fmt.Errorf("damaged footer: sections are aligned to %d bytes, expected a power of two up to %d", page, maxPageBytes)
	}
	sections = make([]SectionInfo, count)
	next := int64(0)
	for i := range sections {
		e := table[i*entryBytes:]
		name, _, _ := bytes.Cut(e[:nameBytes], []byte{0})
		offset, length := le.Uint64(e[16:]), le.Uint64(e[24:])
		s := SectionInfo{string(name), next, int64(length), le.Uint32(e[32:]), page, le.Uint32(e[36:])&wholePages != 0}
		if length > math.MaxInt64-maxPageBytes || offset != uint64(next) || s.Bytes > start-next || next+s.padded() > start {
			return nil, 0, fmt.Errorf("damaged section table: section %s at %d of %d bytes, expected it at %d within %d", name, offset, length, next, start)
		}
		sections[i] = s
		next += s.padded()
	}
	if next != start {
		return nil, 0, fmt.Errorf("damaged section table: sections end at %d, expected %d", next, start)
	}
	return sections, le.Uint32(table[summed:]), nil
}
