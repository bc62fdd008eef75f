package ptx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgc/codegen/packing"
	"pgc/codegen/ptx/emu"
	store "pgc/codegen/weights"
	"pgc/ir"
	"pgc/ir/floats"
	"pgc/runtime/program"
)

// single is a checkpoint of one tensor.
type single struct{ t store.Tensor }

func (s single) Tensor(string) (store.Tensor, error) { return s.t, nil }
func (single) Prefetch(string, int64, int64)         {}
func (single) Evict(string, int64, int64)            {}

// packed is a matrix as the file has it.
type packed struct {
	program.Weight
	d    ir.DType
	file []byte
}

// newPacked packs a random matrix of rows × cols, of which a product reads selections of runs.
func newPacked(t testing.TB, rng *rand.Rand, d ir.DType, kpack uint8, split, run, rows, cols int64) packed {
	t.Helper()
	return packedAs(t, rng, d, program.Layout{Kind: program.LayoutPanels, KPack: kpack, Split: split, Run: run, Cols: cols}, rows)
}

// packedAs is a random matrix of so many rows in a layout.
func packedAs(t testing.TB, rng *rand.Rand, d ir.DType, l program.Layout, rows int64) packed {
	t.Helper()
	cols := l.Cols
	var data []byte
	for range rows * cols {
		v := math.Float32bits(float32(rng.NormFloat64())) &^ 0xffff
		data = binary.LittleEndian.AppendUint32(data, v)
	}
	plan := &store.Plan{}
	plan.Matrix(store.Matrix{Layout: l, Blocks: rows / l.Split / l.Run, W: &ir.Value{Key: "w", Type: ir.T(d, ir.Dims(int(rows), int(cols))...)}})
	var section bytes.Buffer
	if err := plan.Write(&section, single{store.Tensor{DType: ir.F32, Shape: []int{int(rows), int(cols)}, Data: data}}, store.Writing{}); err != nil {
		t.Fatal(err)
	}
	return packed{plan.Weights()[0], d, section.Bytes()}
}

// onDevice runs the kernels that write a matrix on the device.
func (p packed) onDevice(t testing.TB) []byte {
	t.Helper()
	d, err := onDevice("load", p.Weight)
	if err != nil {
		t.Fatal(err)
	}
	out := &emu.Memory{Data: bytes.Repeat([]byte{0xee}, int(d.Bytes))}
	for _, k := range d.Kernels {
		launch(t, parsed(t, k), k, k.Tasks[0].Size.N, emu.Pointer{Memory: &emu.Memory{Data: p.file}}, emu.Pointer{Memory: out})
	}
	return out.Data
}

// placeOf returns where element (n, k) of a strip lies, and by how many bits its code is shifted in the byte there.
func placeOf(f packing.Fragments, n, k int64) (at int64, shift int) {
	in := k % f.TileK()
	p, h, j, u := in%2, in/8%2, in/16, n/8
	at = k/f.TileK()*packing.TileBytes + (n%8*4+in%8/2)*16
	switch f.Bits() {
	case 16:
		return at + 8*h + 4*u + 2*p, 0
	case 8:
		return at + 8*j + 4*h + 2*p + u, 0
	}
	return at + 4*j + 2*p + h, int(4 * u)
}

// unpackedFragments reads a matrix on the device, in the order of its places, as values.
func unpackedFragments(f packing.Fragments, data []byte) [][]float32 {
	var rows [][]float32
	half := func(at int64) float32 {
		return math.Float32frombits(uint32(binary.LittleEndian.Uint16(data[at:])) << 16)
	}
	for strip := range int64(len(data)) / f.StripBytes() {
		for n := range int64(packing.PanelWidth) {
			row := make([]float32, f.K)
			for k := range f.K {
				at, shift := placeOf(f, n, k)
				at += strip * f.StripBytes()
				if f.Group.Len == 0 {
					row[k] = half(at)
					continue
				}
				code := data[at] >> shift
				if f.Bits() == 4 {
					code &= 15
				}
				s := strip*f.StripBytes() + f.ScaleAt(n, k/f.Group.Len)
				if f.Affine() {
					row[k] = f.Group.Format.Value(code, half(s), half(s+2))
				} else {
					row[k] = f.Group.Format.Value(code, math.Float32frombits(binary.LittleEndian.Uint32(data[s:])), 0)
				}
			}
			for k := f.K; k < f.Tiles()*f.TileK(); k++ { // padding is zero
				if at, shift := placeOf(f, n, k); data[at+strip*f.StripBytes()]>>shift&15 != 0 {
					row[0] = float32(math.NaN())
				}
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// TestRepack writes matrices of every type that a GPU multiplies to the device, from panels of either packing of k, and
// finds the values there that the file has: odd sizes, selections, short groups.
func TestRepack(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 7))
	for _, d := range append([]ir.DType{ir.BF16}, ir.Groups.List()...) {
		for _, size := range [][4]int64{{1, 27, 27, 43}, {2, 5, 20, 7}, {1, 16, 32, 128}, {1, 48, 48, 417}} {
			for kpack := uint8(1); kpack <= 2; kpack++ {
				q := store.GroupOf(d)
				if q.Len > 0 && kpack == 2 || !(packing.Fragments{Group: q}).Exact() {
					continue
				}
				w := newPacked(t, rng, d, kpack, size[0], size[1], size[2], size[3])
				name := fmt.Sprintf("%s %v packed by %d", d, size, kpack)
				got := unpackedFragments(packing.Fragments{K: size[3], Group: q}, w.onDevice(t))
				back, err := store.Unpack(w.Weight, w.file)
				if err != nil {
					t.Fatal(err)
				}
				rows := int(size[2])
				want := make([]float32, rows*int(size[3]))
				for i := range want {
					if d == ir.BF16 {
						want[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(back.Data[2*i:])) << 16)
					} else {
						want[i] = math.Float32frombits(binary.LittleEndian.Uint32(back.Data[4*i:]))
					}
				}
				for place, r := range placesOf(size) {
					for k, v := range got[place] {
						x := float32(0)
						if r >= 0 {
							x = want[r*int(size[3])+k]
						}
						if v != x {
							t.Fatalf("%s: row %d at place %d has %g at %d, expected %g", name, r, place, v, k, x)
						}
					}
				}
			}
		}
	}
}

// TestRepackRows packs matrices of few rows, which lie row by row in the file and without padding, on the device: every element is in
// its place, and zeros are around them.
func TestRepackRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 11))
	for _, d := range []ir.DType{ir.BF16, ir.F32} {
		for _, size := range [][2]int64{{1, 43}, {5, 7}, {16, 128}, {17, 33}, {31, 300}} {
			rows, cols := size[0], size[1]
			w := packedAs(t, rng, d, program.Layout{Kind: program.LayoutRows, KPack: 1, Split: 1, Run: rows, Cols: cols}, rows)
			if want := rows * cols * int64(d.Bytes()); int64(len(w.file)) != want || w.Bytes != want {
				t.Fatalf("%s %v: %d bytes in the file, expected %d", d, size, len(w.file), want)
			}
			device := w.onDevice(t)
			at := func(n, k int64) float32 {
				return math.Float32frombits(binary.LittleEndian.Uint32(device[4*((n/packing.PanelWidth*cols+k)*packing.PanelWidth+n%packing.PanelWidth):]))
			}
			if d == ir.BF16 {
				got := unpackedFragments(packing.Fragments{K: cols}, device)
				at = func(n, k int64) float32 { return got[n][k] }
			} else if len(device) != int(2*packing.PanelWidth*cols*4) {
				t.Fatalf("%s %v: %d bytes on the device", d, size, len(device))
			}
			values := make([]float32, rows*cols)
			floats.Decode(values, w.file, d)
			for n := range int64(packing.PanelPad) {
				for k := range cols {
					want := float32(0)
					if n < rows {
						want = values[n*cols+k]
					}
					if at(n, k) != want {
						t.Fatalf("%s %v: element (%d, %d) is %g, expected %g", d, size, n, k, at(n, k), want)
					}
				}
			}
		}
	}
}

// placesOf lists the rows of a matrix in the places that panels give them, -1 for padding (weights.packing.order).
func placesOf(size [4]int64) (places []int) {
	split, run, rows := int(size[0]), int(size[1]), int(size[2])
	pad := func(n int) {
		for len(places)%n != 0 {
			places = append(places, -1)
		}
	}
	for which := range split {
		for first := which * run; first < rows; first += split * run {
			for r := range run {
				places = append(places, first+r)
			}
			pad(packing.PanelWidth)
		}
		pad(packing.PanelPad)
	}
	return places
}

// What bfloat16 cannot hold is refused in a sentence that names the weight and the way out.
func TestRepackRefuses(t *testing.T) {
	for _, d := range []program.DType{"f16", "nf4g64"} {
		_, err := onDevice("load", program.Weight{Name: "w", DType: d, Layout: program.Layout{Kind: program.LayoutPanels, KPack: 1, Split: 1, Run: 3, Cols: 5}})
		if err == nil || !strings.Contains(err.Error(), "weight w: a GPU multiplies no matrices stored as "+string(d)+": expected --weights bf16") {
			t.Errorf("%s: %v", d, err)
		}
	}
}
