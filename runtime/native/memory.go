package native

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pageBytes is 4096 on x86-64; on arm64 it depends on the kernel.
var pageBytes = os.Getpagesize()

// Memory is a range of address space outside Go's heap: the garbage collector neither scans nor moves it. It starts at
// a page boundary and lies between two pages that fault when touched.
type Memory struct {
	whole []byte // with the guard pages
	size  int
}

// Reserve maps size zero bytes, readable and writable. Pages take memory when they are first touched.
func Reserve(size int64) (*Memory, error) {
	if size < 0 || size > 1<<46 {
		return nil, fmt.Errorf("cannot reserve %d bytes of memory", size)
	}
	inner := (int(size) + pageBytes - 1) / pageBytes * pageBytes
	whole, err := unix.Mmap(-1, 0, inner+2*pageBytes, unix.PROT_NONE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("cannot reserve %d bytes of memory: %w", size, err)
	}
	m := &Memory{whole, int(size)}
	if inner > 0 {
		if err := unix.Mprotect(whole[pageBytes:pageBytes+inner], unix.PROT_READ|unix.PROT_WRITE); err != nil {
			m.Close()
			return nil, fmt.Errorf("cannot reserve %d bytes of memory: %w", size, err)
		}
		// Large pages where the system grants them; without them it only takes longer.
		unix.Madvise(whole[pageBytes:pageBytes+inner], unix.MADV_HUGEPAGE)
	}
	return m, nil
}

// Grow makes the range size bytes long, unless it is that long already. What is in it stays, and the new bytes are
// zero, but it may move.
func (m *Memory) Grow(size int64) error {
	if size <= int64(m.size) {
		return nil
	}
	n, err := Reserve(size)
	if err != nil {
		return err
	}
	old, inner := m.whole, len(m.whole)-2*pageBytes
	if inner > 0 { // its pages move to the new range, which they are a part of
		const move = unix.MREMAP_MAYMOVE | unix.MREMAP_FIXED
		if _, err := unix.MremapPtr(m.at(0), uintptr(inner), n.at(0), uintptr(len(n.whole)-2*pageBytes), move); err != nil {
			n.Close()
			return fmt.Errorf("cannot reserve %d bytes of memory: %w", size, err)
		}
	}
	*m = *n
	// What is left of the old range are the pages at its ends; between them somebody else may have mapped memory since.
	for _, page := range [][]byte{old[:pageBytes], old[len(old)-pageBytes:]} {
		if err := unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(page)), uintptr(pageBytes)); err != nil {
			return err
		}
	}
	return nil
}

// LoadCode copies a blob of position-independent machine code into fresh memory and makes that readable and executable.
// It serves code that does not lie in a file.
func LoadCode(code []byte) (*Memory, error) {
	m, err := Reserve(int64(len(code)))
	if err != nil {
		return nil, err
	}
	copy(m.Bytes(), code)
	if len(code) > 0 {
		if err := unix.Mprotect(m.whole[pageBytes:len(m.whole)-pageBytes], unix.PROT_READ|unix.PROT_EXEC); err != nil {
			m.Close()
			return nil, fmt.Errorf("cannot make %d bytes of code executable: %w", len(code), err)
		}
	}
	return m, nil
}

// Bytes returns the range as a slice.
func (m *Memory) Bytes() []byte { return m.whole[pageBytes:][:m.size:m.size] }

// Addr returns the address of the first byte.
func (m *Memory) Addr() uintptr { return addr(m.whole) + uintptr(pageBytes) }

// Len returns the size in bytes.
func (m *Memory) Len() int { return m.size }

// Close gives the range back. Nothing may use it any more. It may be called twice.
func (m *Memory) Close() error {
	if m == nil || m.whole == nil {
		return nil
	}
	whole := m.whole
	m.whole, m.size = nil, 0
	return unix.Munmap(whole)
}

// addr returns the address of the first byte of b.
func addr(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
