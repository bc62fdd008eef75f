// Package safetensors reads and writes the safetensors format (8 bytes of header length, a JSON header, raw
// little-endian tensors). Compiler and runtime share it; it imports nothing of the project.
//
// A file's header is untrusted: every length, type and range is checked before it is used.
package safetensors

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sort"

	"github.com/x448/float16"
	"golang.org/x/sys/unix"
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
	U8   DType = "U8"
	Bool DType = "BOOL"
)

// Bytes is the size of an element, or 0 for an unknown type.
func (d DType) Bytes() int {
	return map[DType]int{F64: 8, I64: 8, F32: 4, I32: 4, F16: 2, BF16: 2, I16: 2, I8: 1, U8: 1, Bool: 1}[d]
}

// maxHeader bounds the JSON header, as the reference implementation does.
const maxHeader = 100_000_000

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
}

// Open maps a file and checks its header. Errors name the file and the tensor.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < 8 || info.IsDir() {
		return nil, fmt.Errorf("%s: %d bytes are too few for a safetensors file", path, info.Size())
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot map %d bytes: %w", path, info.Size(), err)
	}
	file, err := parse(data)
	if err != nil {
		unix.Munmap(data)
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	file.Path, file.mapped = path, data
	return file, nil
}

// header is an entry of the JSON header.
type header struct {
	DType   DType    `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// parse checks the content of a file.
func parse(data []byte) (*File, error) {
	if len(data) < 8 {
		return nil, fmt.Errorf("%d bytes are too few for a safetensors file", len(data))
	}
	n := uint64(0)
	for i := range 8 {
		n |= uint64(data[i]) << (8 * i)
	}
	if n > maxHeader || n > uint64(len(data)-8) {
		return nil, fmt.Errorf("the header claims %d bytes, the file has %d: truncated or not a safetensors file", n, len(data)-8)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data[8:8+n], &raw); err != nil {
		return nil, fmt.Errorf("the header is not a JSON object: %w", err)
	}
	body := data[8+n:]
	f := &File{tensors: map[string]Tensor{}, Metadata: map[string]string{}}
	type span struct {
		name       string
		start, end int64
	}
	var spans []span
	for name, text := range raw {
		if name == "__metadata__" {
			if err := json.Unmarshal(text, &f.Metadata); err != nil {
				return nil, fmt.Errorf("__metadata__ is not an object of strings: %w", err)
			}
			continue
		}
		var h header
		if err := json.Unmarshal(text, &h); err != nil {
			return nil, fmt.Errorf("tensor %s: malformed header entry: %w", name, err)
		}
		t, err := h.tensor(name, body)
		if err != nil {
			return nil, err
		}
		f.tensors[name] = t
		f.names = append(f.names, name)
		spans = append(spans, span{name, h.Offsets[0], h.Offsets[1]})
	}
	sort.Strings(f.names)
	sort.Slice(spans, func(i, j int) bool {
		return spans[i].start < spans[j].start || spans[i].start == spans[j].start && spans[i].end < spans[j].end
	})
	for i := 1; i < len(spans); i++ {
		if spans[i].start < spans[i-1].end {
			return nil, fmt.Errorf("tensors %s and %s overlap", spans[i-1].name, spans[i].name)
		}
	}
	return f, nil
}

// tensor checks an entry against the bytes behind the header.
func (h *header) tensor(name string, body []byte) (Tensor, error) {
	size := int64(h.DType.Bytes())
	if size == 0 {
		return Tensor{}, fmt.Errorf("tensor %s: unknown dtype %q", name, h.DType)
	}
	t := Tensor{Name: name, DType: h.DType, Shape: make([]int, len(h.Shape))}
	n := size
	for i, d := range h.Shape {
		if d < 0 || d > 0 && n > math.MaxInt64/d {
			return Tensor{}, fmt.Errorf("tensor %s: shape %v is not possible", name, h.Shape)
		}
		n *= d
		t.Shape[i] = int(d)
	}
	start, end := h.Offsets[0], h.Offsets[1]
	if start < 0 || end < start || end > int64(len(body)) {
		return Tensor{}, fmt.Errorf("tensor %s: bytes %d to %d lie outside the %d bytes of data: the file is truncated", name, start, end, len(body))
	}
	if end-start != n {
		return Tensor{}, fmt.Errorf("tensor %s: %s of shape %v takes %d bytes, the header gives %d", name, h.DType, h.Shape, n, end-start)
	}
	t.Data = body[start:end]
	return t, nil
}

// Names lists the tensors, sorted.
func (f *File) Names() []string { return f.names }

// Tensor returns a tensor by name.
func (f *File) Tensor(name string) (Tensor, bool) {
	t, ok := f.tensors[name]
	return t, ok
}

// Drop tells the system that a tensor's pages are no longer needed.
func (f *File) Drop(name string) {
	t, ok := f.tensors[name]
	if !ok || len(t.Data) == 0 {
		return
	}
	const page = 4096
	start := cap(f.mapped) - cap(t.Data)
	from, to := (start+page-1)/page*page, (start+len(t.Data))/page*page
	if to > from {
		unix.Madvise(f.mapped[from:to], unix.MADV_DONTNEED)
	}
}

// Close unmaps the file.
func (f *File) Close() error {
	if f.mapped == nil {
		return nil
	}
	m := f.mapped
	f.mapped, f.tensors = nil, nil
	return unix.Munmap(m)
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
