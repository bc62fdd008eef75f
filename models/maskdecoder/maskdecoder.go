// Package maskdecoder is the model that makes masks of PaliGemma's sixteen segment codes: the decoder of a vector-quantized
// autoencoder (big_vision, evaluators/proj/paligemma/transfers/segmentation.py; SwinTransformer/AiT, vae/models/VQVAE.py).
// It comes as vae-oid.npz, beside a checkpoint, and its function joins those of the checkpoint's model.
package maskdecoder

import (
	"fmt"
	"slices"
	"strings"

	. "pgc/frontend"
	"pgc/ir"
	"pgc/models"
	"pgc/runtime/entry"
)

// File is the name that the file has.
const File = "vae-oid.npz"

// Prefix begins the names of the decoder's weights in a graph. The file's own names follow.
const Prefix = "masks."

// Role is the part of a model that the decoder is.
const Role = "mask decoder"

const (
	grid     = 4 // codes lie in a square
	codebook = "_vq_vae._embedding"
	Codes    = grid * grid    // of a mask
	Side     = grid << stages // of a mask, in pixels
	stages   = 4              // each doubles the side
	maxWidth = 4096           // channels
)

// layer is a layer of the file: its name and the size of its filters.
type layer struct {
	name string
	size int
	// transposed says that it is a transposed convolution, whose weight has the channels that come in first.
	transposed bool
}

// The decoder's layers in order. A relu follows each but those that end a residual block, and the last.
var (
	first     = layer{name: "decoder.0", size: 1}
	residuals = []string{"decoder.2.net", "decoder.3.net"}
	block     = []layer{{name: ".0", size: 3}, {name: ".2", size: 3}, {name: ".4", size: 1}}
	ups       = [stages]layer{{"decoder.4", 4, true}, {"decoder.6", 4, true}, {"decoder.8", 4, true}, {"decoder.10", 4, true}}
	last      = layer{name: "decoder.12", size: 1}
)

// Reads reports whether a decoder reads a tensor of this name; a file has others, such as those of the encoder.
func Reads(name string) bool {
	all := append([]layer{first, last}, ups[:]...)
	for _, net := range residuals {
		for _, l := range block {
			all = append(all, layer{name: net + l.name})
		}
	}
	return name == codebook || slices.ContainsFunc(all, func(l layer) bool { return name == l.name+".weight" || name == l.name+".bias" })
}

// Config holds the widths of a decoder, which follow from its tensors.
type Config struct {
	Entries int // codes of the codebook
	shapes  map[string][]int
	order   []string
}

// Weights lists the tensors of the file that the decoder reads, with their shapes.
func (c *Config) Weights() (list []models.Weight) {
	for _, name := range c.order {
		list = append(list, models.Weight{Name: name, Shape: c.shapes[name]})
	}
	return list
}

// Read derives the widths from the shapes of a file's tensors; shape returns nil where there is none of a name. Names are
// those of the file. The error names the first tensor that is missing or does not fit those before it.
func Read(shape func(name string) []int) (*Config, error) {
	c := &Config{shapes: map[string][]int{}}
	r := reader{c, shape, nil}
	book := r.tensor(codebook, free, free)
	c.Entries = book[0]
	width := r.layer(first, book[1], free)
	for _, name := range residuals {
		in := width
		for i, l := range block {
			out := free
			if i == len(block)-1 {
				out = width // which it is added to
			}
			in = r.layer(layer{name: name + l.name, size: l.size}, in, out)
		}
	}
	for _, l := range ups {
		width = r.layer(l, width, free)
	}
	r.layer(last, width, 1)
	return c, r.err
}

// free is a size that any is right for.
const free = 0

// reader reads shapes until one is wrong.
type reader struct {
	c     *Config
	shape func(name string) []int
	err   error
}

// layer reads weight and bias of a layer with so many channels, and returns those of its result.
func (r *reader) layer(l layer, in, out int) int {
	want, at := []int{out, in, l.size, l.size}, 0
	if l.transposed {
		want, at = []int{in, out, l.size, l.size}, 1
	}
	got := r.tensor(l.name+".weight", want...)[at]
	r.tensor(l.name+".bias", got)
	return got
}

// tensor reads a shape. What it returns has as many sizes as expected.
func (r *reader) tensor(name string, want ...int) []int {
	if r.err != nil {
		return want
	}
	got := r.shape(name)
	fits := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		fits = fits && got[i] > 0 && got[i] <= maxWidth && (want[i] == free || got[i] == want[i])
	}
	switch {
	case got == nil:
		r.err = fmt.Errorf("tensor %s is missing, expected shape %s", name, expected(want))
	case !fits:
		r.err = fmt.Errorf("tensor %s has shape %v, expected %s", name, got, expected(want))
	default:
		r.c.shapes[name], r.c.order = got, append(r.c.order, name)
		return got
	}
	return want
}

// expected prints a shape, with N for a size from 1 to maxWidth.
func expected(shape []int) string {
	var parts []string
	for _, n := range shape {
		if n == free {
			parts = append(parts, "N")
		} else {
			parts = append(parts, fmt.Sprint(n))
		}
	}
	return "[" + strings.Join(parts, " ") + "]"
}

// Graph returns the module of the function
//
//	decode_mask(codes [16]) -> output mask [Side, Side]
//
// The object is where mask is above 0. Codes run along the rows of the square.
func Graph(c *Config) (*ir.Module, error) {
	return Build(func(m *Module) {
		m.Func(entry.DecodeMask, func(f *Func) {
			d := decoder{c, f}
			codes := f.Input(entry.InCodes, ir.I32, Codes)
			book := d.weight(codebook)
			x := Reshape(Gather(book, codes), grid, grid, book.Dim(1))
			x = Relu(d.conv(first.name, x, 0))
			for _, name := range residuals {
				x = d.residual(name, x)
			}
			for _, l := range ups {
				x = Relu(ConvTranspose2D(x, d.weight(l.name+".weight"), d.weight(l.name+".bias"), 2, 1))
			}
			f.Return(entry.OutMask, Reshape(d.conv(last.name, x, 0), Side, Side))
		})
	})
}

// decoder builds the function.
type decoder struct {
	*Config
	f *Func
}

// weight is a tensor of the file by its name there.
func (d decoder) weight(name string) *Value {
	var dims []any
	for _, n := range d.shapes[name] {
		dims = append(dims, n)
	}
	return d.f.Weight(Prefix+name, ir.F32, dims...)
}

// conv is a convolution that keeps the size of x.
func (d decoder) conv(name string, x *Value, padding int) *Value {
	return Conv2D(x, d.weight(name+".weight"), d.weight(name+".bias"), 1, padding)
}

// residual adds to x what three convolutions make of it. No relu follows the sum.
func (d decoder) residual(name string, x *Value) *Value {
	y := x
	for i, l := range block {
		if i > 0 {
			y = Relu(y)
		}
		y = d.conv(name+l.name, y, l.size/2)
	}
	return Add(x, y)
}
