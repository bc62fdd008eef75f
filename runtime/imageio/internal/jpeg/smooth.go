package jpeg

// A progressive file that lacks scans leaves coefficients unknown, or without their last bits. As libjpeg-turbo does,
// this file estimates those that are zero from the DC coefficients of the surrounding 5x5 blocks, after an idea of
// T.81, K.8.

// known is the number of coefficients, in zigzag order, that take part.
const known = 10

// kernel weighs the DC coefficients around a block, in 256ths.
type kernel [5][5]int32

func (k kernel) transposed() (t kernel) {
	for y := range k {
		for x := range k {
			t[x][y] = k[y][x]
		}
	}
	return t
}

// The kernels of the first coefficients of the top row; their transposes serve the left column. Without any AC
// coefficients all are wider, and the DC coefficient is smoothed, too.
var (
	narrow01 = kernel{2: {-7, 50, 0, -50, 7}}
	narrow02 = kernel{2: {-1, 13, -24, 13, -1}}
	narrow11 = kernel{{0, -1, 0, 1, 0}, {-1, 10, 0, -10, 1}, {}, {1, -10, 0, 10, -1}, {0, 1, 0, -1, 0}}

	wide00 = kernel{{-2, -6, -8, -6, -2}, {-6, 6, 42, 6, -6}, {-8, 42, 152, 42, -8}, {-6, 6, 42, 6, -6}, {-2, -6, -8, -6, -2}}
	wide01 = kernel{{-1, -1, 0, 1, 1}, {-3, 13, 0, -13, 3}, {-3, 38, 0, -38, 3}, {-3, 13, 0, -13, 3}, {-1, -1, 0, 1, 1}}
	wide02 = kernel{1: {0, 2, -5, 2, 0}, 2: {1, 7, -14, 7, 1}, 3: {0, 2, -5, 2, 0}}
	wide11 = kernel{{-1, 0, 0, 0, 1}, {0, 9, 0, -9, 0}, {}, {0, -9, 0, 9, 0}, {1, 0, 0, 0, -1}}
	wide03 = kernel{1: {0, 1, 0, -1, 0}, 2: {0, 2, 0, -2, 0}, 3: {0, 1, 0, -1, 0}}
	wide12 = kernel{1: {0, 1, -3, 1, 0}, 3: {0, -1, 3, -1, 0}}

	narrow = []kernel{1: narrow01, narrow01.transposed(), narrow02.transposed(), narrow11, narrow02}
	wide   = []kernel{wide00, wide01, wide01.transposed(), wide02.transposed(), wide11, wide02, wide03, wide12, wide12.transposed(), wide03.transposed()}
)

// unfinished reports whether a coefficient that can be estimated is not known to its last bit, and no quantizer stands
// in the way.
func (f *file) unfinished() bool {
	found := false
	for i := range f.comps {
		c := &f.comps[i]
		for k, bits := range c.bits {
			if c.quant[zigzag[k]] == 0 {
				return false
			}
			found = found || k > 0 && bits != 0
		}
	}
	return found
}

// smooth returns block (bx, by) with its estimates.
func (c *component) smooth(bx, by int) (b [64]int16) {
	copy(b[:], c.coefs[64*(by*c.stride+bx):])
	around := c.around(bx, by)
	kernels := wide
	for _, bits := range c.bits[1:] {
		if bits >= 0 {
			kernels = narrow
		}
	}
	for k := len(kernels) - 1; k >= 0; k-- {
		at := zigzag[k]
		if k > 0 && (c.bits[k] == 0 || b[at] != 0) || k == 0 && len(kernels) == len(narrow) {
			continue
		}
		sum := int64(0)
		for y, row := range kernels[k] {
			for x, w := range row {
				sum += int64(w) * int64(around[y][x])
			}
		}
		sum *= int64(c.quant[0])
		q := int64(c.quant[at])
		v := (q<<7 + max(sum, -sum)) / (q << 8)
		if limit := int64(1)<<max(c.bits[k], 0) - 1; k > 0 && c.bits[k] > 0 {
			v = min(v, limit)
		}
		if sum < 0 {
			v = -v
		}
		b[at] = int16(v)
	}
	return b
}

// around returns the DC coefficients of the 5x5 blocks around a block, clamped at the edges. At the bottom, rows of
// padding count except for the last row of MCUs.
func (c *component) around(bx, by int) (dc [5][5]int16) {
	rows := len(c.coefs) / 64 / c.stride
	lastMCU, bottom := rows-c.v, rows-1
	if by >= lastMCU {
		bottom = c.down - 1
	}
	for y := range dc {
		from := min(max(by+y-2, 0), bottom)
		if y == 0 && by == c.v && c.down == c.v+1 { // libjpeg miscounts rows here
			from = by - 1
		}
		for x := range dc[y] {
			dc[y][x] = c.coefs[64*(from*c.stride+min(max(bx+x-2, 0), c.across-1))]
		}
	}
	return dc
}
