// Package weights lays out the weights section of a program: which tensors it holds, in which layout and where (Plan), and
// streams it from a checkpoint, converted and packed.
//
// It imports ir, ir/quant, codegen/kernels for the order of elements in a panel, and runtime/program.
package weights

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"

	"pgc/codegen/kernels"
	"pgc/ir"
	"pgc/ir/quant"
	"pgc/runtime/program"
)

// Layouts of tensors in the weights section.
const (
	LayoutPlain  = "plain"              // row-major
	LayoutPanels = "panel16"            // panels of kernels.PanelWidth rows, see package kernels; "panel16 2x128x2048" packs every other 128 rows of 2048 apart
	LayoutTurned = "panel16 transposed" // panels of the columns of a matrix that products read transposed
	PairsSuffix  = " in pairs"          // behind a layout of panels: words of two neighbours in k, see package kernels
)

// Tensor is a tensor of the checkpoint: little-endian data of a float type. One read back from groups of integers has their
// type and float32 values.
type Tensor struct {
	DType ir.DType
	Shape []int
	Data  []byte
}

// Source gives the tensors of a checkpoint by canonical name.
type Source interface {
	Tensor(key string) (Tensor, error)
	// Need and Drop are told which bytes of a tensor are about to be read, and which have been, so that their memory may go.
	Need(key string, from, to int64)
	Drop(key string, from, to int64)
}

// Matrix says how a matmul reads a weight: all rows of it, or one of every Split runs of Rows rows, as the halves of
// the heads of a rotary embedding.
type Matrix struct {
	W                  *ir.Value
	Turned             bool // its rows are the columns of the weight
	Split, Which       int64
	Blocks, Rows, Cols int64
	Pairs              bool
}

// GroupOf is the format of integers that d is, or that of floats.
func GroupOf(d ir.DType) kernels.Group {
	bits, n := d.Group()
	return kernels.Group{Bits: bits, Len: int64(n)}
}

// Plan says what the weights section holds and where.
type Plan struct {
	entries []entry
	index   map[string]int // layout + key
	bytes   int64

	rounding func(key string) *quant.Rounding // nil: plain
}

// entry is one tensor of the weights section: a checkpoint tensor in a layout, or the values of a constant.
type entry struct {
	program.Weight
	rows, cols int64 // of a packed matrix
	split, run int64 // a packed matrix: every split-th run of so many rows is packed together
	turned     bool  // its rows are the tensor's columns
	pairs      bool  // its elements lie in pairs of k
	dtype      ir.DType
	values     []float64 // of a constant
}

// large tensors begin at a page, so that they can be dropped and advised on their own.
const pageBytes = 4096

func (p *Plan) add(e entry) int {
	align := int64(64)
	if e.Bytes >= 1<<16 {
		align = pageBytes
	}
	e.Offset = (p.bytes + align - 1) / align * align
	p.bytes = e.Offset + e.Bytes
	p.entries = append(p.entries, e)
	return len(p.entries) - 1
}

// Matrix returns where a matrix in panels begins. Runs of rows that are read apart are packed apart, one selection behind
// the other, so that a tensor is stored once.
func (p *Plan) Matrix(m Matrix) int64 {
	layout := LayoutPanels
	if m.Split > 1 || m.Blocks > 1 && m.Rows%kernels.PanelWidth != 0 {
		layout = fmt.Sprintf("%s %dx%dx%d", LayoutPanels, m.Split, m.Rows, m.Cols)
	}
	if m.Turned {
		layout = LayoutTurned
	}
	if m.Pairs {
		layout += PairsSuffix
	}
	dtype := m.W.Type.DType
	each := kernels.PackedLen(m.Blocks, m.Rows, kernels.PackedK(m.Cols, m.Pairs)) * int64(dtype.Bytes())
	if q := GroupOf(dtype); q.Bits > 0 {
		each = q.PackedBytes(m.Blocks, m.Rows, m.Cols)
	}
	e := p.get(layout+" "+m.W.Key, func() entry {
		return entry{Weight: p.describe(m.W, layout, m.Split*each), dtype: dtype,
			rows: m.Blocks * m.Split * m.Rows, cols: m.Cols, split: m.Split, run: m.Rows, turned: m.Turned, pairs: m.Pairs}
	})
	return e.Offset + m.Which*each
}

// Plain returns where a weight as it is begins.
func (p *Plan) Plain(w *ir.Value) int64 {
	n := int64(1)
	for _, d := range w.Type.Shape {
		n *= int64(d.N)
	}
	return p.get(LayoutPlain+w.Key, func() entry {
		return entry{Weight: p.describe(w, LayoutPlain, n*int64(w.Type.DType.Bytes())), dtype: w.Type.DType}
	}).Offset
}

// Constant returns where constant values begin.
func (p *Plan) Constant(a ir.ConstantAttrs) int64 {
	key := "const " + ir.FormatAttrs(ir.OpConstant, a)
	return p.get(key, func() entry {
		return entry{Weight: program.Weight{Name: key, DType: program.DType(a.DType.String()), Layout: LayoutPlain,
			Bytes: int64(len(a.Values)) * a.DType.MemoryBytes()}, dtype: a.DType, values: a.Values}
	}).Offset
}

func (p *Plan) get(key string, build func() entry) entry {
	if p.index == nil {
		p.index = map[string]int{}
	}
	i, ok := p.index[key]
	if !ok {
		i = p.add(build())
		p.index[key] = i
	}
	return p.entries[i]
}

func (p *Plan) describe(w *ir.Value, layout string, bytes int64) program.Weight {
	shape := make([]int64, w.Type.Rank())
	for i, d := range w.Type.Shape {
		shape[i] = int64(d.N)
	}
	return program.Weight{Name: w.Key, DType: program.DType(w.Type.DType.String()), Shape: shape, Layout: layout,
		Bytes: bytes}
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

// SetRounding says how matrices become integers, by their names; without it all are rounded plainly.
func (p *Plan) SetRounding(of func(key string) *quant.Rounding) { p.rounding = of }

// Write streams the section to w: each tensor is read once, converted to its storage type, packed and written. progress, if
// not nil, is called with the bytes done.
func (p *Plan) Write(w io.Writer, src Source, progress func(name string, done, total int64)) error {
	at := int64(0)
	for _, e := range p.entries {
		if err := pad(w, e.Offset-at); err != nil {
			return err
		}
		out := &counted{w, e.Name, e.Offset, p.bytes, progress}
		var rounding *quant.Rounding
		if p.rounding != nil && e.dtype.IsQuantized() {
			rounding = p.rounding(e.Name)
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
	size := int64(t.DType.Bytes())
	if int64(len(t.Data)) != want*size {
		return fmt.Errorf("tensor %s has %d bytes, expected %d", e.Name, len(t.Data), want*size)
	}
	read := &cursor{src: src, key: e.Name, bytes: int64(len(t.Data))}
	if e.Layout == LayoutPlain {
		return e.writePlain(w, t, read)
	}
	return e.writePanels(w, t, read, rounding)
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
	part := func(i int) []byte { return t.Data[i*chunk : min(len(t.Data), (i+1)*chunk)] }
	return inOrder((len(t.Data)+chunk-1)/chunk, func(i int, buf []byte) []byte {
		return append(buf, convert(part(i), t.DType, e.dtype)...)
	}, func(i int, piece []byte) error {
		read.at(int64(i*chunk + len(part(i))))
		return e.store(w, t, piece)
	})
}

// packing is the order of a packed matrix's rows: selection by selection, block by block, every block padded to whole
// panels and every selection to kernels.PanelPad. order returns the rows in the places they have, -1 for padding.
func (e *entry) order() []int64 {
	var places []int64
	for which := range e.split {
		start := len(places)
		for first := which * e.run; first < e.rows; first += e.split * e.run {
			for r := range e.run {
				places = append(places, first+r)
			}
			for len(places)%kernels.PanelWidth != 0 {
				places = append(places, -1)
			}
		}
		for (len(places)-start)%kernels.PanelPad != 0 {
			places = append(places, -1)
		}
	}
	return places
}

// writePanels interleaves PanelWidth rows at a time; padding is zero.
func (e *entry) writePanels(w io.Writer, t Tensor, read *cursor, rounding *quant.Rounding) error {
	if e.turned {
		t.Data = transposed(t.Data, int(e.cols), int(e.rows), t.DType.Bytes())
	}
	size := e.panelBytes()
	rowBytes := e.cols * int64(t.DType.Bytes())
	each := int(max(1, chunk/size)) * kernels.PanelWidth
	parts := slices.Collect(slices.Chunk(e.order(), each))
	broken := make([]int64, len(parts)) // of every part a row that is not finite, counted from 1
	pack := func(i int, buf []byte) []byte {
		n := int(size) * len(parts[i]) / kernels.PanelWidth
		buf = slices.Grow(buf, n)[:n]
		clear(buf)
		var z *quantizer
		if q := GroupOf(e.dtype); q.Bits > 0 {
			z = newQuantizer(q, int(e.cols), rounding)
		}
		for p, r := range parts[i] {
			if r < 0 {
				continue
			}
			panel, row := buf[p/kernels.PanelWidth*int(size):], t.Data[r*rowBytes:(r+1)*rowBytes]
			if z != nil {
				floats(z.row, row, t.DType)
				if !z.pack(panel, p%kernels.PanelWidth) {
					broken[i] = r + 1
				}
			} else {
				interleave(panel, convert(row, t.DType, e.dtype), p%kernels.PanelWidth, e.dtype.Bytes(), e.pairs)
			}
		}
		return buf
	}
	return inOrder(len(parts), pack, func(i int, piece []byte) error {
		if row := broken[i]; row > 0 {
			return fmt.Errorf("tensor %s has a value that is infinite or no number in row %d, expected numbers: integers cannot stand for it", e.Name, row-1)
		}
		if last := slices.Max(parts[i]); last >= 0 {
			read.at((last + 1) * rowBytes)
		}
		return e.store(w, t, piece)
	})
}

// store writes a converted piece of t. A number that became infinite is an error: float16 ends at 65504.
func (e *entry) store(w io.Writer, t Tensor, piece []byte) error {
	if e.dtype == ir.F16 && t.DType != ir.F16 {
		for i := 0; i+2 <= len(piece); i += 2 {
			if binary.LittleEndian.Uint16(piece[i:])&0x7fff == 0x7c00 {
				return fmt.Errorf("tensor %s holds numbers over 65504, which f16 cannot: expected --weights bf16 or f32, or --keep '%s=f32'", e.Name, e.Name)
			}
		}
	}
	_, err := w.Write(piece)
	return err
}

// panelBytes is the size of a panel of rows.
func (e *entry) panelBytes() int64 {
	if q := GroupOf(e.dtype); q.Bits > 0 {
		return q.Blocks(e.cols) * q.BlockBytes()
	}
	return kernels.PackedK(e.cols, e.pairs) * kernels.PanelWidth * int64(e.dtype.Bytes())
}

// interleave puts a row's elements, or pairs of them, at place r of every group of PanelWidth.
func interleave(panel, row []byte, r, size int, pairs bool) {
	if pairs {
		if size *= 2; len(row)%size > 0 {
			row = append(slices.Clip(row), make([]byte, size/2)...)
		}
	}
	at, step := r*size, kernels.PanelWidth*size
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

// Unpack returns a tensor of a weights section in row-major order.
func Unpack(w program.Weight, section []byte) (Tensor, error) {
	d, ok := ir.ParseDType(string(w.DType))
	if !ok {
		return Tensor{}, fmt.Errorf("tensor %s has the unknown type %s", w.Name, w.DType)
	}
	t := Tensor{DType: d, Data: section[w.Offset : w.Offset+w.Bytes]}
	for _, n := range w.Shape {
		t.Shape = append(t.Shape, int(n))
	}
	if w.Layout == LayoutPlain {
		return t, nil
	}
	packed, size := t.Data, d.Bytes()
	rows, cols := t.Shape[0], 1
	for _, n := range t.Shape[1:] {
		cols *= n
	}
	e := entry{rows: int64(rows), cols: int64(cols), split: 1, run: int64(rows)}
	layout, pairs := strings.CutSuffix(w.Layout, PairsSuffix)
	switch layout {
	case LayoutPanels:
	case LayoutTurned:
		e.rows, e.cols, e.run, e.turned = e.cols, e.rows, e.cols, true
		rows, cols = cols, rows
	default:
		total := e.rows * e.cols
		if _, err := fmt.Sscanf(layout, LayoutPanels+" %dx%dx%d", &e.split, &e.run, &e.cols); err != nil ||
			min(e.split, e.run, e.cols) < 1 || total%(e.split*e.run*e.cols) != 0 {
			return Tensor{}, fmt.Errorf("tensor %s has the unknown layout %s", w.Name, w.Layout)
		}
	}
	cols, e.rows = int(e.cols), int64(rows*cols)/e.cols
	if q := GroupOf(d); q.Bits > 0 {
		t.Data = make([]byte, int(e.rows)*cols*4)
		for at, r := range e.order() {
			if r >= 0 {
				panel := packed[int64(at/kernels.PanelWidth)*q.Blocks(e.cols)*q.BlockBytes():]
				dequantize(t.Data[int(r)*cols*4:][:cols*4], panel, at%kernels.PanelWidth, q)
			}
		}
		return t, nil
	}
	t.Data = make([]byte, int(e.rows)*cols*size)
	for at, r := range e.order() {
		if r < 0 {
			continue
		}
		panel := packed[at/kernels.PanelWidth*int(kernels.PackedK(e.cols, pairs))*kernels.PanelWidth*size:]
		for c := range cols {
			n := at % kernels.PanelWidth
			place := c*kernels.PanelWidth + n
			if pairs {
				place = c/2*2*kernels.PanelWidth + 2*n + c%2
			}
			copy(t.Data[(int(r)*cols+c)*size:][:size], panel[place*size:])
		}
	}
	if e.turned {
		t.Data = transposed(t.Data, int(e.rows), cols, size)
	}
	return t, nil
}

// transposed returns a matrix with its rows as columns.
func transposed(data []byte, rows, cols, size int) []byte {
	out := make([]byte, len(data))
	for r := range rows {
		for c := range cols {
			copy(out[(c*rows+r)*size:][:size], data[(r*cols+c)*size:][:size])
		}
	}
	return out
}

// Same says where two plans differ: all instruction sets of a program read one copy of the weights.
func Same(a, b *Plan) error {
	for i := range max(len(a.entries), len(b.entries)) {
		if i >= len(a.entries) || i >= len(b.entries) {
			return fmt.Errorf("they store %d and %d tensors, expected the same", len(a.entries), len(b.entries))
		}
		if x, y := a.entries[i], b.entries[i]; !reflect.DeepEqual(x, y) {
			return fmt.Errorf("they store tensor %s as %s at %d and %s as %s at %d, expected the same", x.Name, x.Layout, x.Offset, y.Name, y.Layout, y.Offset)
		}
	}
	return nil
}
