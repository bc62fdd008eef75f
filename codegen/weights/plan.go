// Package weights lays out the weights section of a program: which tensors it holds, in which layout and where (Plan),
// and streams it from a checkpoint, converted and packed. Package packing has the order of elements in a panel.
package weights

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"

	"pgc/codegen/packing"
	"pgc/ir"
	"pgc/ir/floats"
	"pgc/ir/quant"
	"pgc/runtime/program"
)

// Tensor is a tensor of the checkpoint: little-endian data of a float type. One read back from groups of integers has
// their type and float32 values.
type Tensor struct {
	DType ir.DType
	Shape []int
	Data  []byte
	// Read stands for the data of a tensor that is made when it is read: it fills to with the bytes from a position on.
	// It is nil where Data is there. Calls may run at the same time.
	Read func(to []byte, from int64)
	File string // whence the data are, for errors; empty where nobody knows
}

// bytes is the size of the data.
func (t Tensor) bytes() int64 {
	n := int64(t.DType.Bytes())
	for _, d := range t.Shape {
		n *= int64(d)
	}
	return n
}

// part returns bytes of the data, in buf where they are made.
func (t Tensor) part(from, to int64, buf []byte) []byte {
	if t.Read == nil {
		return t.Data[from:to]
	}
	buf = slices.Grow(buf[:0], int(to-from))[:to-from]
	t.Read(buf, from)
	return buf
}

// All returns the whole data.
func (t Tensor) All() []byte {
	if t.Read == nil {
		return t.Data
	}
	return t.part(0, t.bytes(), nil)
}

// Source gives the tensors of a checkpoint by canonical name.
type Source interface {
	Tensor(key string) (Tensor, error)
	// Prefetch and Evict are told which bytes of a tensor are about to be read, and which have been, so that their
	// memory may go.
	Prefetch(key string, from, to int64)
	Evict(key string, from, to int64)
}

// Plan says what the weights section holds and where.
type Plan struct {
	entries []entry
	index   map[key]int
	bytes   int64
}

// key is what tells an entry from others: a tensor of the checkpoint in a layout, or a constant by its text.
type key struct {
	constant bool
	name     string
	layout   program.Layout
}

// entry is one tensor of the weights section: a checkpoint tensor in a layout, or the values of a constant.
type entry struct {
	program.Weight
	dtype  ir.DType
	values []float64 // of a constant
}

// Tensors begin at lines of a processor's cache, those of less than a page at what kernels rely on.
const (
	pageBytes    = 4096
	lineBytes    = 64
	alignedBytes = 16
)

func (p *Plan) add(e entry) int {
	align := int64(lineBytes)
	if e.Bytes < pageBytes {
		align = alignedBytes
	}
	e.Offset = roundUp(p.bytes, align)
	p.bytes = e.Offset + e.Bytes
	p.entries = append(p.entries, e)
	return len(p.entries) - 1
}

// Matrix returns where a matrix begins that products read.
func (p *Plan) Matrix(m Matrix) int64 {
	w := describe(m.W, m.stored())
	rows := layoutOf(w, m.W.Type.DType)
	w.Bytes = w.Layout.Split * rows.selectionBytes()
	return p.get(key{name: m.W.Key, layout: w.Layout}, entry{Weight: w, dtype: m.W.Type.DType}) + m.Which*rows.selectionBytes()
}

// PanelBytes is the size of a panel of a matrix.
func PanelBytes(m Matrix) int64 {
	return layoutOf(describe(m.W, m.stored()), m.W.Type.DType).panelBytes()
}

// Plain returns where a weight as it is begins.
func (p *Plan) Plain(v *ir.Value) int64 {
	w := describe(v, program.Layout{})
	w.Bytes = int64(v.Type.DType.Bytes())
	for _, n := range w.Shape {
		w.Bytes *= n
	}
	return p.get(key{name: v.Key}, entry{Weight: w, dtype: v.Type.DType})
}

// Constant returns where constant values begin.
func (p *Plan) Constant(a ir.ConstantAttrs) int64 {
	text := ir.FormatAttrs(ir.OpConstant, a)
	n := int64(len(a.Values))
	w := program.Weight{Name: "const " + text, DType: program.DType(a.DType.String()), Shape: []int64{n}, Bytes: n * a.DType.MemoryBytes()}
	return p.get(key{constant: true, name: text}, entry{Weight: w, dtype: a.DType, values: a.Values})
}

// get returns where the entry of a key begins; e is added unless there is one.
func (p *Plan) get(k key, e entry) int64 {
	if p.index == nil {
		p.index = map[key]int{}
	}
	i, ok := p.index[k]
	if !ok {
		i = p.add(e)
		p.index[k] = i
	}
	return p.entries[i].Offset
}

func describe(v *ir.Value, l program.Layout) program.Weight {
	w := program.Weight{Name: v.Key, DType: program.DType(v.Type.DType.String()), Layout: l}
	for _, d := range v.Type.Shape {
		w.Shape = append(w.Shape, int64(d.N))
	}
	return w
}

// Bytes is the length of the section.
func (p *Plan) Bytes() int64 { return p.bytes }

// Weights describes what the section holds, in order.
func (p *Plan) Weights() []program.Weight {
	var out []program.Weight
	for _, e := range p.entries {
		out = append(out, e.Weight)
	}
	return out
}

// Writing says how a section is written.
type Writing struct {
	Rounding func(key string) *quant.Rounding     // how matrices become integers, by their names; nil rounds all plainly
	Progress func(name string, done, total int64) // is told of bytes done, unless nil
}

// Write streams the section to w: each tensor is read once, converted to its storage type, packed and written.
func (p *Plan) Write(w io.Writer, src Source, o Writing) error {
	at := int64(0)
	for _, e := range p.entries {
		if err := pad(w, e.Offset-at); err != nil {
			return err
		}
		out := &counted{w, e.Name, e.Offset, p.bytes, o.Progress}
		var rounding *quant.Rounding
		if o.Rounding != nil && e.dtype.IsQuantized() {
			rounding = o.Rounding(e.Name)
		}
		if err := e.write(out, src, rounding); err != nil {
			return err
		}
		at = e.Offset + e.Bytes
	}
	return nil
}

// counted reports what is written of an entry.
type counted struct {
	io.Writer
	name        string
	done, total int64
	progress    func(name string, done, total int64)
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	if c.done += int64(n); c.progress != nil {
		c.progress(c.name, c.done, c.total)
	}
	return n, err
}

func pad(w io.Writer, n int64) error {
	_, err := w.Write(make([]byte, n))
	return err
}

func (e *entry) write(w io.Writer, src Source, rounding *quant.Rounding) error {
	if e.values != nil {
		_, err := w.Write(e.constant())
		return err
	}
	t, err := src.Tensor(e.Name)
	if err != nil {
		return err
	}
	want := int64(1)
	for _, d := range e.Shape {
		want *= d
	}
	size, n := int64(t.DType.Bytes()), t.bytes()
	if t.Read == nil {
		n = int64(len(t.Data))
	}
	if n != want*size {
		return fmt.Errorf("tensor %s has %d bytes, expected %d", e.Name, n, want*size)
	}
	read := &cursor{src: src, key: e.Name, bytes: n}
	switch e.Layout.Kind {
	case program.LayoutPanels:
		return e.writePacked(w, t, read, rounding)
	case program.LayoutColumns:
		return e.writeColumns(w, t, read)
	}
	return e.writePlain(w, t, read)
}

// constant is the data of a constant.
func (e *entry) constant() []byte {
	buf := make([]byte, 0, e.Bytes)
	for _, v := range e.values {
		bits := math.Float32bits(float32(v))
		if e.dtype != ir.F32 {
			bits = uint32(int32(v))
		}
		buf = binary.LittleEndian.AppendUint32(buf, bits)
	}
	return buf
}

// Constants calls put with every constant of the section and the place it has there.
func (p *Plan) Constants(put func(offset int64, data []byte)) {
	for _, e := range p.entries {
		if e.values != nil {
			put(e.Offset, e.constant())
		}
	}
}

// chunk is about how many bytes are converted or packed at a time.
const chunk = 1 << 20

func (e *entry) writePlain(w io.Writer, t Tensor, read *cursor) error {
	begin := func(i int) int64 { return min(read.bytes, int64(i)*chunk) }
	rowBytes := e.cols() * int64(t.DType.Bytes())
	broken := make([]int64, (read.bytes+chunk-1)/chunk) // of every piece a row that is not finite, counted from 1
	return inOrder(len(broken), func(i int, buf []byte) []byte {
		buf = append(buf, convert(t.part(begin(i), begin(i+1), nil), t.DType, e.dtype)...)
		if n := notFinite(buf, e.dtype); n >= 0 {
			broken[i] = (begin(i)+int64(n*t.DType.Bytes()))/rowBytes + 1
		}
		return buf
	}, func(i int, piece []byte) error {
		read.at(begin(i + 1))
		if row := broken[i]; row > 0 {
			return e.errNotFinite(row-1, t.part((row-1)*rowBytes, row*rowBytes, nil), t)
		}
		_, err := w.Write(piece)
		return err
	})
}

// cols is the length of the entry's rows.
func (e *entry) cols() int64 {
	if n := len(e.Shape); n > 1 {
		return e.Shape[n-1]
	}
	return 1
}

// writePacked interleaves the rows that lie side by side; padding is zero.
func (e *entry) writePacked(w io.Writer, t Tensor, read *cursor, rounding *quant.Rounding) error {
	pk := layoutOf(e.Weight, e.dtype)
	if pk.Transposed {
		t.Data, t.Read = transposed(t.All(), int(pk.Cols), int(pk.rows), t.DType.Bytes()), nil
	}
	size, wide := pk.panelBytes(), packing.PanelWidth
	rowBytes := pk.Cols * int64(t.DType.Bytes())
	each := int(max(1, chunk/size)) * wide
	parts := slices.Collect(slices.Chunk(pk.order(), each))
	broken := make([]int64, len(parts)) // of every part a row that is not finite, counted from 1
	pack := func(i int, buf []byte) []byte {
		n := int(size) * len(parts[i]) / wide
		buf = slices.Grow(buf, n)[:n]
		clear(buf)
		var z *quantizer
		if q := GroupOf(e.dtype); q.Len > 0 {
			z = newQuantizer(q, int(pk.Cols), rounding)
		}
		var made []byte
		for p, r := range parts[i] {
			if r < 0 {
				continue
			}
			made = t.part(r*rowBytes, (r+1)*rowBytes, made)
			panel, row := buf[p/wide*int(size):], made
			finite := true
			if z != nil {
				floats.Decode(z.row, row, t.DType)
				finite = z.pack(panel, p%wide)
			} else {
				row = convert(row, t.DType, e.dtype)
				finite = notFinite(row, e.dtype) < 0
				pk.interleave(panel, row, p%wide)
			}
			if !finite {
				broken[i] = r + 1
			}
		}
		return buf
	}
	return inOrder(len(parts), pack, func(i int, piece []byte) error {
		if row := broken[i]; row > 0 {
			return e.errNotFinite(row-1, t.part((row-1)*rowBytes, row*rowBytes, nil), t)
		}
		if last := slices.Max(parts[i]); last >= 0 {
			read.at((last + 1) * rowBytes)
		}
		_, err := w.Write(piece)
		return err
	})
}

// writeColumns writes a matrix column by column. Such ones are factors of low-rank products, which have few columns.
func (e *entry) writeColumns(w io.Writer, t Tensor, read *cursor) error {
	pk, broken := layoutOf(e.Weight, e.dtype), -1
	var data []byte
	return inOrder(1, func(_ int, buf []byte) []byte {
		if data = t.All(); pk.Transposed {
			data = transposed(data, int(pk.Cols), int(pk.rows), t.DType.Bytes())
		}
		rows := convert(data, t.DType, e.dtype)
		broken = notFinite(rows, e.dtype)
		return append(buf, pk.columns(rows)...)
	}, func(_ int, piece []byte) error {
		if broken >= 0 {
			row, bytes := int64(broken)/pk.Cols, pk.Cols*int64(t.DType.Bytes())
			return e.errNotFinite(row, data[row*bytes:][:bytes], t)
		}
		read.at(read.bytes)
		_, err := w.Write(piece)
		return err
	})
}

// errNotFinite says why row r of a checkpoint's tensor cannot be stored, whose data are those: a number too large for the
// storage type, or a value that is infinite or NaN already, which would make every answer one.
func (e *entry) errNotFinite(r int64, data []byte, of Tensor) error {
	name := "tensor " + e.Name
	if of.File != "" {
		name = of.File + ": " + name
	}
	if notFinite(data, of.DType) >= 0 || e.dtype == ir.F32 {
		return fmt.Errorf("%s has a value that is infinite or NaN in row %d, expected finite values: the training that wrote it diverged, or the file is damaged", name, r)
	}
	if e.dtype == ir.F16 {
		return fmt.Errorf("%s holds numbers over 65504, which f16 cannot: store matrices as bf16 or f32, or keep this one: '%s=f32'", name, e.Name)
	}
	return fmt.Errorf("%s holds numbers over 3.3e38, which %s cannot: store matrices as f32, or keep this one: '%s=f32'", name, e.dtype, e.Name)
}

// interleave puts a row's elements, or pairs of them, at place r of those that lie side by side.
func (p layout) interleave(panel, row []byte, r int) {
	size := p.dtype.Bytes() * int(p.KPack)
	if n := len(row) % size; n > 0 {
		row = append(slices.Clip(row), make([]byte, size-n)...)
	}
	at, step := r*size, packing.PanelWidth*size
	if size == 2 {
		for i := 0; i+2 <= len(row); i += 2 {
			binary.LittleEndian.PutUint16(panel[at:], binary.LittleEndian.Uint16(row[i:]))
			at += step
		}
		return
	}
	for i := 0; i+4 <= len(row); i += 4 {
		binary.LittleEndian.PutUint32(panel[at:], binary.LittleEndian.Uint32(row[i:]))
		at += step
	}
}
