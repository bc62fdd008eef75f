package safetensors

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"unsafe"

	"pgc/runtime/output"
)

// Spec describes a tensor to be written.
type Spec struct {
	Name  string
	DType DType
	Shape []int
}

func (s Spec) bytes() int64 {
	n := int64(s.DType.Bytes())
	for _, d := range s.Shape {
		n *= int64(d)
	}
	return n
}

// Writer streams tensors in the order of their specs through an output.File.
type Writer struct {
	path  string
	file  *output.File
	buf   *bufio.Writer
	specs []Spec
	next  int
	left  int64 // bytes missing of the tensor before next
}

// Create starts a file with the given tensors and metadata. The caller must Close or Abort it.
func Create(path string, metadata map[string]string, specs []Spec) (*Writer, error) {
	head := map[string]any{}
	if len(metadata) > 0 {
		head["__metadata__"] = metadata
	}
	at := int64(0)
	for _, s := range specs {
		if _, twice := head[s.Name]; twice || s.DType.Bytes() == 0 {
			return nil, fmt.Errorf("%s: tensor %s is given twice or has unknown dtype %q", path, s.Name, s.DType)
		}
		shape := s.Shape
		if shape == nil {
			shape = []int{}
		}
		head[s.Name] = map[string]any{"dtype": s.DType, "shape": shape, "data_offsets": []int64{at, at + s.bytes()}}
		at += s.bytes()
	}
	text, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	for len(text)%8 != 0 {
		text = append(text, ' ')
	}
	file, err := output.Create(path)
	if err != nil {
		return nil, err
	}
	w := &Writer{path: path, file: file, buf: bufio.NewWriterSize(file, 1<<20), specs: specs}
	w.buf.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(text))))
	w.buf.Write(text)
	return w, nil
}

// Write adds bytes to the current tensor and moves on to the next one when it is full.
func (w *Writer) Write(data []byte) (int, error) {
	written := 0
	for len(data) > 0 {
		for w.left == 0 {
			if w.next == len(w.specs) {
				return written, fmt.Errorf("%s: more data than the tensors hold", w.path)
			}
			w.left = w.specs[w.next].bytes()
			w.next++
		}
		n := min(int64(len(data)), w.left)
		if _, err := w.buf.Write(data[:n]); err != nil {
			return written, err
		}
		w.left -= n
		written += int(n)
		data = data[n:]
	}
	return written, nil
}

// WriteFloat32s adds float32 elements.
func (w *Writer) WriteFloat32s(v []float32) error { return writeRaw(w, v) }

// WriteInt32s adds int32 elements.
func (w *Writer) WriteInt32s(v []int32) error { return writeRaw(w, v) }

// writeRaw writes elements as they are in memory: pgc runs on little-endian machines only.
func writeRaw[E float32 | int32](w *Writer, v []E) error {
	if len(v) == 0 {
		return nil
	}
	_, err := w.Write(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v)))
	return err
}

// Close completes the file, which then has its name.
func (w *Writer) Close() error {
	missing := w.left
	for _, s := range w.specs[w.next:] {
		missing += s.bytes()
	}
	if missing > 0 {
		w.Abort()
		return fmt.Errorf("%s: %d bytes of tensors were not written", w.path, missing)
	}
	if err := w.buf.Flush(); err != nil {
		w.Abort()
		return err
	}
	return w.file.Close()
}

// Abort removes the incomplete file.
func (w *Writer) Abort() { w.file.Abort() }
