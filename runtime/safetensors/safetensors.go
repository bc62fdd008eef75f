// Package safetensors reads and writes the safetensors format (8 bytes of header length, a JSON header, raw
// little-endian tensors).
//
// A file's header is untrusted: every length, type and range is checked before it is used.
package safetensors

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"slices"

	"github.com/x448/float16"
	"golang.org/x/sys/unix"

	"pgc/runtime/fault"
)

// DType is an element type by its name in the format.
type DType string

// The element types.
const (
	F64  DType = "F64"
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
	I64  DType = "I64"
	I32  DType = "I32"
	I16  DType = "I16"
	I8   DType = "I8"
	U64  DType = "U64"
	U32  DType = "U32"
	U16  DType = "U16"
	U8   DType = "U8"
	Bool DType = "BOOL"

	F8E4M3 DType = "F8_E4M3"
	F8E5M2 DType = "F8_E5M2"
	F8E8M0 DType = "F8_E8M0"
)

// Bytes returns the size of an element, or 0 for an unknown type.
func (d DType) Bytes() int {
	switch d {
	case F64, I64, U64:
		return 8
	case F32, I32, U32:
		return 4
	case F16, BF16, I16, U16:
		return 2
	case I8, U8, Bool, F8E4M3, F8E5M2, F8E8M0:
		return 1
	}
	return 0
}

// Tensor is a tensor of a mapped file. Data is valid until the file is closed.
type Tensor struct {
	Name  string
	DType DType
	Shape []int
	Data  []byte
}

// File is a mapped file.
type File struct {
	Path     string
	Metadata map[string]string
	tensors  map[string]Tensor
	names    []string
	mapped   []byte
	file     *os.File
	info     fs.FileInfo // of file when it was mapped
}

// Open maps a file and checks its header. Errors are one line and name the file and the tensor.
func Open(path string) (*File, error) { return open(path, "a safetensors file", parse) }

// Map maps a file of another format, whose tensors find finds in its bytes. Errors of find continue a sentence that begins
// with the file's name.
func Map(path, format string, find func(data []byte) (map[string]Tensor, error)) (*File, error) {
	return open(path, format, func(data []byte) (*File, error) {
		tensors, err := find(data)
		return &File{tensors: tensors, names: slices.Sorted(maps.Keys(tensors))}, err
	})
}

func open(path, format string, parse func(data []byte) (*File, error)) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	file, err := mapFile(f, format, parse)
	if err != nil {
		f.Close()
	}
	return file, err
}

// mapFile maps an open file, which Close closes.
func mapFile(f *os.File, format string, parse func(data []byte) (*File, error)) (*File, error) {
	path := f.Name()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < 8 || info.Size() != int64(int(info.Size())) {
		return nil, fmt.Errorf("%s: it has %d bytes, expected %s of at least 8", path, info.Size(), format)
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot map %d bytes: %w", path, info.Size(), err)
	}
	var file *File
	if err := fault.Guard(func() (err error) { file, err = parse(data); return err }); err != nil {
		unix.Munmap(data)
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	file.Path, file.mapped, file.file, file.info = path, data, f, info
	return file, nil
}

// Unchanged says that the file was written or cut since it was mapped, so that what was read of it may be anything, or
// returns nil.
func (f *File) Unchanged() error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	if was := f.info; info.Size() != was.Size() || !info.ModTime().Equal(was.ModTime()) {
		return fmt.Errorf("%s has changed while it was read, from %d bytes to %d: begin again when nothing writes it any more", f.Path, was.Size(), info.Size())
	}
	return nil
}

// Names lists the tensors, sorted.
func (f *File) Names() []string { return f.names }

// Tensor returns a tensor by name.
func (f *File) Tensor(name string) (Tensor, bool) {
	t, ok := f.tensors[name]
	return t, ok
}

// Prefetch asks the system to read bytes from…to of a tensor ahead.
func (f *File) Prefetch(name string, from, to int64) { f.advise(name, from, to, unix.MADV_WILLNEED) }

// Evict releases the memory of bytes from…to of a tensor. They may be read again.
func (f *File) Evict(name string, from, to int64) { f.advise(name, from, to, unix.MADV_DONTNEED) }

// advise covers the page that the range begins in and all pages that begin in the range, so that adjacent ranges cover
// every page.
func (f *File) advise(name string, from, to int64, advice int) {
	page := int64(os.Getpagesize())
	t, ok := f.tensors[name]
	if !ok || from < 0 || to > int64(len(t.Data)) || from >= to {
		return
	}
	start := int64(cap(f.mapped) - cap(t.Data))
	if start < 0 { // a copy
		return
	}
	lo, hi := (start+from)/page*page, (start+to)/page*page
	if hi > lo {
		unix.Madvise(f.mapped[lo:hi], advice) // a failure costs only memory or time
	}
}

// Close unmaps the file.
func (f *File) Close() error {
	if f.mapped == nil {
		return nil
	}
	m := f.mapped
	f.mapped, f.tensors = nil, nil
	return errors.Join(unix.Munmap(m), f.file.Close())
}

// Float32s returns the elements of a float tensor as float32.
func (t Tensor) Float32s() ([]float32, error) {
	n := len(t.Data) / max(1, t.DType.Bytes())
	out := make([]float32, n)
	le := func(i, size int) uint64 {
		v := uint64(0)
		for j := range size {
			v |= uint64(t.Data[i*size+j]) << (8 * j)
		}
		return v
	}
	for i := range out {
		switch t.DType {
		case F32:
			out[i] = math.Float32frombits(uint32(le(i, 4)))
		case BF16:
			out[i] = math.Float32frombits(uint32(le(i, 2)) << 16)
		case F16:
			out[i] = float16.Frombits(uint16(le(i, 2))).Float32()
		case F64:
			out[i] = float32(math.Float64frombits(le(i, 8)))
		default:
			return nil, fmt.Errorf("tensor %s is %s, expected floats", t.Name, t.DType)
		}
	}
	return out, nil
}

// Int32s returns the elements of an I32 or I64 tensor.
func (t Tensor) Int32s() ([]int32, error) {
	size := t.DType.Bytes()
	if t.DType != I32 && t.DType != I64 {
		return nil, fmt.Errorf("tensor %s is %s, expected integers", t.Name, t.DType)
	}
	out := make([]int32, len(t.Data)/size)
	for i := range out {
		at := t.Data[i*size:]
		out[i] = int32(uint32(at[0]) | uint32(at[1])<<8 | uint32(at[2])<<16 | uint32(at[3])<<24)
	}
	return out, nil
}
