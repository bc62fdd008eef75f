package kernels

import (
	"pgc/ir/quant"
	"pgc/ir/tile"
)

// chunk is how many steps of k the integer loops take at once: four words of four.
const chunk = 16

// nibbles are the lower halves of the bytes of an i32; offsets make the signed bytes of one unsigned.
const (
	nibbles = 0x0f0f0f0f
	offsets = quant.Offset * 0x01010101
)

// dots is how a target adds products of integers. All three ways are exact, so they give the same sums:
//
//	fours  targets with tile.DotS4, or with tile.Dot4: unsigned weights (8 bits are offset by 128, see quant.Row) by signed x
//	pairs  8 bits elsewhere: both widened to i16, tile.DotI16
//	bytes  4 bits elsewhere: tile.DotU8, eight products in i16 before they are widened: 8·15·127 = 15240 fits
//
// A vector of weights is one register. Sums of lanes columns are one vector of i32, for pairs two, each of half the columns
// and two lanes a column.
type dots struct {
	g     *gen
	group Group
	way   int
}

// unsigned reports whether weights of 8 bits are made unsigned.
func (d dots) unsigned() bool { return d.way == fours && d.group.Bits == 8 && !d.g.target.Signed }

const (
	fours = iota
	pairs
	bytes
)

func (g *gen) dots(q Group) dots {
	switch {
	case g.target.VNNI || g.target.Signed:
		return dots{g, q, fours}
	case q.Bits == 8:
		return dots{g, q, pairs}
	}
	return dots{g, q, bytes}
}

// halves is how many vectors hold the sums of lanes columns.
func (d dots) halves() int {
	if d.way == pairs {
		return 2
	}
	return 1
}

// vectors is how many vectors of weights a chunk of lanes columns has.
func (d dots) vectors() int { return chunk / 4 * d.halves() }

// elem is the type of a vector of weights.
func (d dots) elem() tile.Elem {
	if d.way == pairs {
		return tile.I16
	}
	return tile.I8
}

// width is how many elements a vector of weights has.
func (d dots) width() int { return 4 * d.g.lanes / d.elem().Bytes() }

// unpacked gives the vectors of weights of chunk k0 of columns v·lanes … of a block. They are asked for in order.
func (d dots) unpacked(block, k0 *tile.Value, v int) func(i int) *tile.Value {
	b, lanes := d.g.b, d.g.lanes
	if d.way == pairs {
		return func(i int) *tile.Value {
			at := b.Add(b.Mul(k0, b.Int(PanelWidth)), b.Int(groupHeader+int64(i/2*4*PanelWidth+4*v*lanes+i%2*2*lanes)))
			return b.WidenTo(b.Load(block, at, 2*lanes), tile.I16)
		}
	}
	words := b.PtrCast(b.PtrAdd(block, b.Mul(k0, b.Int(PanelWidth*int64(d.group.Bits)/8))), tile.I32)
	load := func(i int) *tile.Value { return b.Load(words, b.Int(groupHeader/4+int64(i*PanelWidth+v*lanes)), lanes) }
	if d.group.Bits == 8 {
		return func(i int) *tile.Value {
			if !d.unsigned() {
				return b.Bits(load(i), tile.I8)
			}
			return b.Bits(b.Logic(tile.Xor, load(i), b.Int32(offsets, lanes)), tile.I8)
		}
	}
	mask := b.Int32(nibbles, lanes)
	var x *tile.Value
	return func(i int) *tile.Value {
		if i%2 == 1 {
			return b.Bits(b.Logic(tile.And, b.Logic(tile.Shr, x, b.Int32(4, lanes)), mask), tile.I8)
		}
		x = load(i / 2)
		return b.Bits(b.Logic(tile.And, x, mask), tile.I8)
	}
}

// chains is how many sums of one vector of columns a single row keeps, so that no product waits for the one before.
func (d dots) chains() int {
	switch {
	case d.way == fours && d.g.lanes == 4: // a panel is four vectors
		return 2
	case d.way == fours:
		return chunk / 4
	}
	return d.halves()
}

// four adds four products to every lane of a sum.
func (d dots) four(sum, w, x *tile.Value) *tile.Value {
	if d.g.target.Signed {
		return d.g.b.DotS4(sum, w, x)
	}
	return d.g.b.Dot4(sum, w, x)
}

// start gives the sums before the first product of a row; offset loads its number in quant.Row.Offsets.
func (d dots) start(offset func() *tile.Value) []*tile.Value {
	b, out := d.g.b, make([]*tile.Value, d.halves())
	for i := range out {
		out[i] = b.Int32(0, d.g.lanes)
	}
	if d.unsigned() {
		out[0] = b.Splat(offset(), d.g.lanes)
	}
	return out
}

// add adds a chunk's products to sums, which are row by row, vector of columns by vector, half by half: w gives vector i of
// the weights of columns v, x the words of a row.
func (d dots) add(sums []*tile.Value, rows, vecs int, w, x func(at, i int) *tile.Value) []*tile.Value {
	b, lanes := d.g.b, d.g.lanes
	out := append([]*tile.Value{}, sums...)
	word := func(r, i int) *tile.Value {
		v := x(r, i)
		return b.Bits(b.Splat(v, 4*lanes/v.Type.Elem.Bytes()), d.elem())
	}
	if d.way == bytes {
		ones := b.Integer(tile.Vec(tile.I16, 2*lanes), 1)
		for r := range rows {
			words := once(func(i int) *tile.Value { return word(r, i) })
			for v := range vecs {
				var sum *tile.Value
				for i := range d.vectors() {
					p := b.Dot(tile.DotU8, w(v, i), words(i))
					if sum == nil {
						sum = p
					} else {
						sum = b.Add(sum, p)
					}
				}
				out[r*vecs+v] = b.Add(out[r*vecs+v], b.Dot(tile.DotI16, sum, ones))
			}
		}
		return out
	}
	halves := d.halves()
	for i := range chunk / 4 {
		for r := range rows {
			y := word(r, i)
			for v := range vecs {
				for h := range halves {
					s := &out[(r*vecs+v)*halves+h]
					if d.way == fours {
						*s = d.four(*s, w(v, i), y)
					} else {
						*s = b.Add(*s, b.Dot(tile.DotI16, w(v, i*halves+h), y))
					}
				}
			}
		}
	}
	return out
}

// addOne is add for one row, whose sums are vector of columns by vector, chain by chain.
func (d dots) addOne(sums []*tile.Value, vecs int, w, x func(at, i int) *tile.Value) []*tile.Value {
	if d.way != fours {
		return d.add(sums, 1, vecs, w, x)
	}
	b, lanes, chains := d.g.b, d.g.lanes, d.chains()
	out := append([]*tile.Value{}, sums...)
	for i := range chunk / 4 {
		y := b.Bits(b.Splat(x(0, i), lanes), tile.I8)
		for v := range vecs {
			s := &out[v*chains+i%chains]
			*s = d.four(*s, w(v, i), y)
		}
	}
	return out
}

// total joins the halves or the chains of a sum.
func (d dots) total(sum []*tile.Value) *tile.Value {
	b := d.g.b
	for d.way != pairs && len(sum) > 1 {
		half := make([]*tile.Value, len(sum)/2)
		for i := range half {
			half[i] = b.Add(sum[i], sum[len(half)+i])
		}
		sum = half
	}
	if len(sum) == 1 {
		return sum[0]
	}
	even, odd := make([]int, d.g.lanes), make([]int, d.g.lanes)
	for i := range even {
		even[i], odd[i] = 2*i, 2*i+1
	}
	return b.Add(b.Shuffle(sum[0], sum[1], even...), b.Shuffle(sum[0], sum[1], odd...))
}

// scaled adds a group's sum of integer products to a float accumulator: sum·sx·scale, and for 4 bits the minimum times the
// sum of the group of x.
func (d dots) scaled(acc, sum, sx, xs, scale, least *tile.Value) *tile.Value {
	b := d.g.b
	acc = b.FMA(b.Mul(b.Cast(tile.IToF, sum), sx), scale, acc)
	if least != nil {
		acc = b.FMA(xs, least, acc)
	}
	return acc
}

// once remembers what f gives.
func once(f func(i int) *tile.Value) func(i int) *tile.Value {
	made := map[int]*tile.Value{}
	return func(i int) *tile.Value {
		if made[i] == nil {
			made[i] = f(i)
		}
		return made[i]
	}
}

// quantRows are rows of quantized x: their integers as the dots want them, and the numbers of every group.
type quantRows struct {
	dots
	words  *tile.Value // words of four neighbours in k
	perRow int64       // words from one row to the next
	x      *tile.Value // *i8: the rows in memory
	lay    quant.Row
}

func (m *mmBuild) quantRows(q Group, x *tile.Value) quantRows {
	r := quantRows{dots: m.g.dots(q), x: x, lay: quant.RowLayout(m.K, m.X.Len)}
	r.words, r.perRow = m.g.b.PtrCast(x, tile.I32), r.lay.Bytes/4
	return r
}

// at loads the word of row r, step k.
func (r *quantRows) at(row, k *tile.Value) *tile.Value {
	b := r.g.b
	return b.Load(r.words, b.Add(b.Mul(row, b.Int(r.perRow)), b.Div(k, b.Int(4))), 1)
}

// number loads a row's number of a group, of those that begin at `first` of the row.
func (r *quantRows) number(e tile.Elem, first int64, row, group *tile.Value) *tile.Value {
	b := r.g.b
	p := b.PtrCast(b.PtrAdd(r.x, b.Mul(row, b.Int(r.lay.Bytes))), e)
	return b.Load(p, b.Add(b.Int(first/4), group), 1)
}

// factors are the scale of a row's group and the sum of the group times it.
func (r *quantRows) factors(row, group *tile.Value) (scale, sum *tile.Value) {
	b, lanes := r.g.b, r.g.lanes
	scale = b.Splat(r.number(tile.F32, r.lay.Scales, row, group), lanes)
	if r.group.Bits == 4 {
		sum = b.Splat(r.number(tile.F32, r.lay.Sums, row, group), lanes)
	}
	return scale, sum
}

// sums are the sums of a group before its first product, of `vecs` vectors of columns.
func (r *quantRows) starts(row, group *tile.Value, vecs int) []*tile.Value {
	one := r.start(func() *tile.Value { return r.number(tile.I32, r.lay.Offsets, row, group) })
	var out []*tile.Value
	for range vecs {
		out = append(out, one...)
	}
	return out
}

// widened makes r read i16 copies in scratch of n integers from `from` on of `rows` rows; a row of the copy has room for most.
func (r *quantRows) widened(scratch, from, rows, n *tile.Value, most int64) {
	b := r.g.b
	copies := b.PtrCast(scratch, tile.I16)
	b.Range(b.Int(0), rows, b.Int(1), func(i *tile.Value) {
		src := b.PtrAdd(r.x, b.Add(b.Mul(i, b.Int(r.lay.Bytes)), from))
		b.Range(b.Int(0), n, b.Int(chunk), func(k *tile.Value) {
			b.Store(copies, b.Add(b.Mul(i, b.Int(most)), k), b.WidenTo(b.Load(src, k, chunk), tile.I16))
		})
	})
	r.words, r.perRow = b.PtrCast(scratch, tile.I64), most/4
}
