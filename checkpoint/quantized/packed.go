package quantized

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"pgc/checkpoint/lazy"
	"pgc/ir"
	stored "pgc/ir/floats"
	"pgc/models/config"
	"pgc/runtime/safetensors"
)

// grid is a matrix [rows, columns] of integers: it fills q with the elements of row r from column c on.
type grid func(q []int32, r, c int)

// scaled is a weight (q - zero)·scale + offset with parameters for every group of columns of a row, rounded to the type of the
// scales.
type scaled struct {
	q, zero grid      // [rows, columns], [rows, groups]; zero is nil where all are 0
	table   []float32 // what q stands for; nil for numbers
	scales  []float32 // row r and group g at r·row + g·by
	offsets []float32 // likewise; nil where all are 0
	product ir.DType  // what the product is rounded to before the offset is added; float32 if it is Invalid
	row, by int       // the strides of rows and groups
	size    int       // columns of a group
	tall    int       // rows that share scales; 0 for one
	group   []int     // of a column; nil where groups follow each other
}

// chunk is how many elements are made at once.
const chunk = 512

func (s scaled) tensor(shape []int, dtype ir.DType) lazy.Tensor {
	columns := shape[1]
	return lazy.Tensor{DType: dtype, Shape: shape, Values: func(x []float32, at int) {
		q, zero := make([]int32, min(chunk, len(x))), make([]int32, 1)
		for len(x) > 0 {
			r, c := at/columns, at%columns
			first := r / max(1, s.tall) * s.row // of the scales of the row
			n := min(len(x), len(q), columns-c)
			s.q(q[:n], r, c)
			for i := 0; i < n; {
				g, to := (c+i)/s.size, 0
				if s.group != nil {
					g, to = s.group[c+i], i+1
				} else {
					to = min(n, (g+1)*s.size-c)
				}
				if s.zero != nil {
					s.zero(zero, r/max(1, s.tall), g)
				}
				scale, z := s.scales[first+g*s.by], zero[0]
				for ; i < to && s.table != nil; i++ {
					x[i] = float32(s.table[q[i]] * scale)
				}
				for ; i < to; i++ {
					x[i] = float32(float32(q[i]-z) * scale)
				}
			}
			if s.offsets != nil {
				if s.product != ir.Invalid {
					stored.Round(x[:n], s.product)
				}
				for i := range n {
					x[i] += s.offsets[first+(c+i)/s.size*s.by]
				}
			}
			x, at = x[n:], at+n
		}
	}}
}

// words returns the values of so many bits that lie in the 32-bit words of a tensor, first the low bits, along its rows or,
// if down, along its columns; swapped exchanges rows and columns of the result. order is which value of a word a position
// has; nil for the plain order.
func words(t safetensors.Tensor, bits int, down, swapped bool, order []int) grid {
	if 32%bits != 0 {
		return across(t, bits, down, swapped)
	}
	per, width, mask := 32/bits, t.Shape[1], uint32(1)<<bits-1
	shifts := make([]int, per)
	for k := range shifts {
		if shifts[k] = bits * k; order != nil {
			shifts[k] = bits * order[k]
		}
	}
	return func(q []int32, r, c int) {
		if swapped == down { // along words: each is read once
			line, step := r*width, 1
			if swapped {
				line, step = r, width
			}
			for i := 0; i < len(q); {
				word := binary.LittleEndian.Uint32(t.Data[4*(line+(c+i)/per*step):])
				for k := (c + i) % per; k < per && i < len(q); k, i = k+1, i+1 {
					q[i] = int32(word >> shifts[k] & mask)
				}
			}
			return
		}
		line, step, shift := r/per*width+c, 1, shifts[r%per]
		if swapped {
			line, step = c*width+r/per, width
		}
		for i := range q {
			q[i] = int32(binary.LittleEndian.Uint32(t.Data[4*(line+i*step):]) >> shift & mask)
		}
	}
}

// across is words of values that do not divide a word, some of which lie in two.
func across(t safetensors.Tensor, bits int, down, swapped bool) grid {
	width, mask := t.Shape[1], uint64(1)<<bits-1
	word := func(n, line int) uint64 {
		at := line*width + n
		if down {
			at = n*width + line
		}
		if 4*at >= len(t.Data) { // behind the last value
			return 0
		}
		return uint64(binary.LittleEndian.Uint32(t.Data[4*at:]))
	}
	return func(q []int32, r, c int) {
		for i := range q {
			along, line := c+i, r
			if swapped != down {
				along, line = r, c+i
			}
			n, shift := along*bits/32, along*bits%32
			v := word(n, line) >> shift
			if shift+bits > 32 {
				v |= word(n+1, line) << (32 - shift)
			}
			q[i] = int32(v & mask)
		}
	}
}

// less and masked shift the values of a grid.
func less(g grid, n int32) grid {
	return func(q []int32, r, c int) {
		g(q, r, c)
		for i := range q {
			q[i] -= n
		}
	}
}

func masked(g grid, n, m int32) grid {
	return func(q []int32, r, c int) {
		g(q, r, c)
		for i := range q {
			q[i] = (q[i] + n) & m
		}
	}
}

// matrix returns a stored matrix of a type and shape.
func matrix(get Get, name string, dtype safetensors.DType, shape ...int) (safetensors.Tensor, error) {
	t, ok := get(name)
	if !ok {
		return t, fmt.Errorf("tensor %s is missing, without which a quantized weight cannot be read: expected all tensors of one save", name)
	}
	if t.DType != dtype || !slices.Equal(t.Shape, shape) {
		return t, fmt.Errorf("tensor %s is %s of shape %v, expected %s of %v", safetensors.Printable(t.Name), t.DType, t.Shape, dtype, shape)
	}
	return t, nil
}

// groups reads which group every column belongs to from an optional tensor; the result is nil where groups of size columns
// follow each other.
func groups(get Get, name string, columns, count, size int) ([]int, []string, error) {
	t, ok := get(name)
	if !ok {
		return nil, nil, nil
	}
	v, err := t.Int32s()
	if err == nil && len(v) != columns {
		err = fmt.Errorf("tensor %s has %d elements, expected %d", safetensors.Printable(t.Name), len(v), columns)
	}
	group, plain := make([]int, len(v)), true
	for i, g := range v {
		if group[i] = int(g); g < 0 || int(g) >= count {
			return nil, nil, fmt.Errorf("tensor %s has the group %d, expected 0 to %d", safetensors.Printable(t.Name), g, count-1)
		}
		plain = plain && group[i] == i/size
	}
	if plain {
		group = nil
	}
	return group, []string{name}, err
}

// scales reads a tensor of scales and its type.
func scales(get Get, name string, want int) ([]float32, ir.DType, error) {
	v, err := floats(get, name, want)
	if err != nil {
		return nil, 0, err
	}
	t, _ := get(name)
	d := map[safetensors.DType]ir.DType{safetensors.BF16: ir.BF16, safetensors.F16: ir.F16}[t.DType]
	if d == ir.Invalid {
		d = ir.F32
	}
	return v, d, nil
}

// compressed returns the reader of compressed-tensors: integers of up to 8 bits in words (pack-quantized) or in bytes
// (int-quantized, naive-quantized), with a scale for a group, a row or the matrix, and floats of 8 and 4 bits.
func compressed(_, s *config.Section) Reader {
	if t, given := s.Section("transform_config"); given && t.Len() > 0 {
		s.Fail("transform_config", "rotates what is multiplied with the weights, which is not read: %s", Dequantize)
	}
	var groups map[string]struct {
		Weights struct {
			Bits     int    `json:"num_bits"`
			Strategy string `json:"strategy"`
			Block    []int  `json:"block_structure"`
		} `json:"weights"`
	}
	if s.Has("config_groups") {
		_ = json.Unmarshal(s.Raw("config_groups"), &groups) // only tells apart what shapes leave open
	}
	known := map[int]bool{}
	sizes := either(equal, blocks([2]int{128, 128}))
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		w := groups[name].Weights
		known[w.Bits] = true
		if w.Strategy == "block" {
			size := [2]int{128, 128}
			copy(size[:], w.Block)
			sizes = either(blocks(size), sizes)
		}
	}
	return func(name string, shape []int, get Get) (*Weight, error) {
		return compressedOf(known, sizes, name, shape, get)
	}
}

// compressedOf reads a weight, of so many bits if any are known. sizes are those of blocks of float8.
func compressedOf(known map[int]bool, sizes cut, name string, shape []int, get Get) (*Weight, error) {
	s, scaled8 := get(name + "_scale")
	if !scaled8 || len(shape) != 2 {
		return nil, nil
	}
	if q, _ := get(name + "_packed"); s.DType == safetensors.F8E4M3 || q.DType == safetensors.U8 && inPowers(s) {
		return packedFloats(name, shape, get)
	}
	if q, _ := get(name); q.DType == safetensors.F8E4M3 {
		if _, ok := get(name + "_zero_point"); ok {
			return nil, fmt.Errorf("tensor %s_zero_point shifts floats of 8 bits, which is not read: %s", name, Dequantize)
		}
		t, err := float8(name, name+"_scale", shape, sizes, ir.Invalid, get)
		return &Weight{Tensor: t, From: name, Used: append(activations(name, get), name, name+"_scale")}, err
	}
	rows, columns, all := shape[0], shape[1], count(s.Shape)
	count, row, tall := 1, 1, 0 // groups of a row, the stride of rows, and rows that share scales
	size := 0                   // of a group
	if len(s.Shape) == 2 {
		tall, size = sizes(0, rows, s.Shape[0]), sizes(1, columns, s.Shape[1])
	}
	switch {
	case len(s.Shape) == 2 && s.Shape[0] == rows && s.Shape[1] > 0 && columns%s.Shape[1] == 0:
		count, row, tall, size = s.Shape[1], s.Shape[1], 0, columns/s.Shape[1]
	case all == 1:
		row, tall, size = 0, 0, columns
	case tall > 0 && size > 0:
		count, row = s.Shape[1], s.Shape[1]
	default:
		return nil, fmt.Errorf("tensor %s has shape %v, expected a scale for every row, group or block of %v", safetensors.Printable(s.Name), s.Shape, shape)
	}
	v, dtype, err := scales(get, name+"_scale", all)
	if err != nil {
		return nil, err
	}
	group, used, err := groups(get, name+"_g_idx", columns, count, size)
	if err != nil {
		return nil, err
	}
	w := scaled{scales: v, row: row, by: 1, size: size, tall: tall, group: group}
	from := name
	packed, inWords := get(name + "_packed")
	bits := 8
	if inWords {
		from = name + "_packed"
		fits := slices.DeleteFunc([]int{2, 4, 8, 3, 5, 6, 7, 1}, func(bits int) bool { // with the usual ones first
			return len(known) > 0 && !known[bits] || !slices.Equal(packed.Shape, []int{rows, (columns*bits + 31) / 32})
		})
		if len(fits) == 0 || packed.DType != safetensors.I32 {
			return nil, fmt.Errorf("tensor %s is %s of shape %v, expected words of 1 to 8 bits for %v: %s", safetensors.Printable(packed.Name), packed.DType, packed.Shape, shape, Dequantize)
		}
		bits = fits[0]
		w.q = less(words(packed, bits, false, false, nil), 1<<(bits-1))
		used = append(used, name+"_shape")
	} else {
		t, err := matrix(get, name, safetensors.I8, shape...)
		if err != nil {
			return nil, err
		}
		w.q = signed(t, columns)
	}
	if z, ok := get(name + "_zero_point"); ok {
		used = append(used, name+"_zero_point")
		switch {
		case z.DType == safetensors.I32 && inWords:
			if _, err := matrix(get, name+"_zero_point", safetensors.I32, (rows*bits+31)/32, count); err != nil {
				return nil, err
			}
			w.zero = less(words(z, bits, true, false, nil), 1<<(bits-1))
		case z.DType == safetensors.I8 && slices.Equal(z.Shape, s.Shape):
			w.zero = signed(z, row)
		default:
			return nil, fmt.Errorf("tensor %s is %s of shape %v, expected I8 of %v", safetensors.Printable(z.Name), z.DType, z.Shape, s.Shape)
		}
	}
	used = append(used, activations(name, get)...)
	return &Weight{Tensor: w.tensor(shape, dtype), From: from, Used: append(used, from, name+"_scale")}, nil
}

// signed are the values of a matrix of int8 whose rows are so far apart.
func signed(t safetensors.Tensor, stride int) grid {
	return func(q []int32, r, c int) {
		for i, v := range t.Data[r*stride+c : r*stride+c+len(q)] {
			q[i] = int32(int8(v))
		}
	}
}
