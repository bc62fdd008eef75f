// Package npz reads the arrays of .npz files, zip archives of .npy files (numpy.savez): stored or deflated, of floats,
// integers and booleans in the order of C or Fortran, and bfloat16 as numpy writes it, as two bytes without a type.
package npz

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"pgc/runtime/safetensors"
)

// maxRatio is more than deflate shrinks anything by.
const maxRatio = 1100

// Open maps a file. Its tensors are the arrays whose names are wanted; what others hold does not matter. Errors are one line
// and name the file and the array.
func Open(file string, wanted func(name string) bool) (*safetensors.File, error) {
	return safetensors.Map(file, "an archive of numpy", func(data []byte) (map[string]safetensors.Tensor, error) { return parse(data, wanted) })
}

// parse finds the wanted arrays of an archive.
func parse(data []byte, wanted func(name string) bool) (map[string]safetensors.Tensor, error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("it is no .npz archive (%w): copy or download it again if it was cut", err)
	}
	tensors := map[string]safetensors.Tensor{}
	for _, f := range z.File {
		name, isArray := strings.CutSuffix(f.Name, ".npy")
		if !isArray || !wanted(name) {
			continue
		}
		if _, twice := tensors[name]; twice {
			return nil, fmt.Errorf("its array %s is there twice: write it again with numpy.savez", safetensors.Printable(name))
		}
		t, err := array(data, f)
		if err != nil {
			return nil, fmt.Errorf("its array %s %w", safetensors.Printable(name), err)
		}
		t.Name = name
		tensors[name] = t
	}
	return tensors, nil
}

// array returns the array of a member. Errors continue a sentence that begins with its name.
func array(data []byte, f *zip.File) (safetensors.Tensor, error) {
	member, err := content(data, f)
	if err != nil {
		return safetensors.Tensor{}, err
	}
	h, elements, err := parseHeader(member)
	if err != nil {
		return safetensors.Tensor{}, err
	}
	t := safetensors.Tensor{DType: h.dtype, Shape: h.shape, Data: elements}
	n := h.dtype.Bytes()
	for _, d := range h.shape {
		if d > 0 && n > len(data)*maxRatio/d {
			return t, fmt.Errorf("has shape %v, more than the file can hold: damaged, copy or download it again", h.shape)
		}
		n *= d
	}
	if len(elements) != n {
		return t, fmt.Errorf("has %d bytes, expected %d for %s%v: truncated or damaged, copy or download it again", len(elements), n, h.dtype, h.shape)
	}
	if h.fortran && len(h.shape) > 1 {
		t.Data = fromColumns(elements, h.dtype.Bytes(), h.shape)
	}
	return t, nil
}

// content returns the bytes of a member, whose checksum it compares.
func content(data []byte, f *zip.File) ([]byte, error) {
	const encrypted = 1 // a bit of Flags
	if f.Flags&encrypted != 0 {
		return nil, errors.New("is encrypted, expected it as numpy.savez writes it")
	}
	at, err := f.DataOffset()
	if n := int64(len(data)); err != nil || at > n || f.CompressedSize64 > uint64(n-at) {
		return nil, errors.New("lies outside the file: truncated, copy or download it again")
	}
	packed := data[at:][:f.CompressedSize64]
	switch f.Method {
	case zip.Store:
		if f.CompressedSize64 != f.UncompressedSize64 {
			return nil, fmt.Errorf("is stored in %d bytes, but claims %d: damaged, copy or download it again", f.CompressedSize64, f.UncompressedSize64)
		}
		if crc32.ChecksumIEEE(packed) != f.CRC32 {
			return nil, errors.New("does not match its checksum: damaged, copy or download it again")
		}
		return packed, nil
	case zip.Deflate:
		if f.UncompressedSize64 > maxRatio*f.CompressedSize64 {
			return nil, fmt.Errorf("claims %d bytes, more than its %d can hold: damaged, copy or download it again", f.UncompressedSize64, f.CompressedSize64)
		}
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("cannot be read (%w): damaged, copy or download it again", err)
		}
		defer r.Close()
		out := make([]byte, f.UncompressedSize64)
		if _, err = io.ReadFull(r, out); err == nil {
			_, err = r.Read(make([]byte, 1)) // the end, where the checksum is compared
		}
		if err != io.EOF {
			return nil, fmt.Errorf("cannot be decompressed (%v): damaged, copy or download it again", err)
		}
		return out, nil
	}
	return nil, fmt.Errorf("is compressed by method %d of zip, expected stored or deflated: write it again with numpy.savez", f.Method)
}

// fromColumns returns the elements of an array in Fortran's order, the first index fastest, in the order of C.
func fromColumns(data []byte, size int, shape []int) []byte {
	out := make([]byte, 0, len(data))
	strides := make([]int, len(shape))
	n := size
	for i, d := range shape {
		strides[i] = n
		n *= d
	}
	var visit func(axis, from int)
	visit = func(axis, from int) {
		if axis == len(shape) {
			out = append(out, data[from:][:size]...)
			return
		}
		for i := range shape[axis] {
			visit(axis+1, from+i*strides[axis])
		}
	}
	visit(0, 0)
	return out
}

// magic begins every .npy file; two bytes of version and the length of the header follow.
const magic = "\x93NUMPY"

// header is what a .npy file says about its array.
type header struct {
	dtype   safetensors.DType
	fortran bool
	shape   []int
}

// parseHeader splits a .npy file into its header and its elements.
func parseHeader(member []byte) (h header, elements []byte, err error) {
	short := errors.New("ends within its header: truncated, copy or download it again")
	if len(member) < len(magic)+4 || string(member[:len(magic)]) != magic {
		return h, nil, errors.New("is no .npy file: write it again with numpy.savez")
	}
	version, rest := member[len(magic)], member[len(magic)+2:]
	var length int
	switch version {
	case 1:
		length, rest = int(binary.LittleEndian.Uint16(rest)), rest[2:]
	case 2, 3:
		if len(rest) < 4 {
			return h, nil, short
		}
		length, rest = int(binary.LittleEndian.Uint32(rest)), rest[4:]
	default:
		return h, nil, fmt.Errorf("is in version %d of .npy, expected 1 to 3", version)
	}
	if length > len(rest) {
		return h, nil, short
	}
	h, err = parseDict(string(rest[:length]))
	return h, rest[length:], err
}
