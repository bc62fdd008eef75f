package kernels

import (
	"pgc/codegen/packing"
	"pgc/ir/tile"
)

// Products in tile registers, of AMX. A block of 32 rows by 32 columns is four tiles of sums: with two tiles of x and two
// of weights a step of four products takes four loads. Panels lie as the tiles of weights do: 16 lines of 64 bytes are
// 64 values of k in bytes, or 32 in bfloat16, of 16 columns.
//
// Sums of a group of integers go to scratch, from which vectors scale them while the products of the next group run:
// between two products lie so many vectors that both end together. There is scratch for two groups, in turn.
//
// Rows are multiplied in two passes, whole blocks and the rest: a tile's number of rows must not change within a sum.
const (
	tileRows  = tile.TileRows
	tileBytes = tile.TileRowBytes
	tileLen   = tileRows * tileBytes / 4 // numbers of 32 bits in a tile

	tilesAt = tile.TileConfigBytes / 4 // in scratch, in numbers of 32 bits: behind the shapes of tiles
	inTurn  = 4 * tileLen              // a block of sums
)

// The tile registers: sums of a half of the rows by a panel of columns, halves of x, panels of weights.
func sumTile(half, panel int) int { return 2*half + panel }
func xTile(half int) int          { return 4 + half }
func wTile(panel int) int         { return 6 + panel }

// tiledLen counts the numbers of scratch that a product in tile registers takes.
func (p *product) tiledLen() int64 {
	switch {
	case p.tiles == 0:
		return 0
	case p.grouped():
		return tilesAt + 2*inTurn
	case p.units%p.body != 0:
		return tilesAt + 2*tileLen // the last step of k
	}
	return tilesAt
}

// inTiles multiplies whole blocks of rows, and then the rest.
func (t *blocked) inTiles() {
	b, block := t.g.b, t.g.b.Int(int64(t.MR))
	whole := b.Mul(b.Div(t.rows, block), block)
	if t.M.N >= int64(t.MR) {
		b.When(b.Compare(tile.LT, b.Int(0), whole), func() {
			t.configure(block)
			t.from(b.Int(0), whole).blocks(func(p *tilePanel) { p.wholes() })
		})
	}
	if t.M.Sym != "" || t.M.N%int64(t.MR) != 0 {
		b.When(b.Compare(tile.LT, whole, t.rows), func() {
			rest := b.Sub(t.rows, whole)
			t.configure(rest)
			t.from(whole, rest).blocks(func(p *tilePanel) { p.rest() })
		})
	}
	b.TileRelease()
}

// configure gives tile registers the shapes for a block of 1 to 32 rows. The second half has a row even if there is
// none for it, since a tile without rows is no tile.
func (t *blocked) configure(rows *tile.Value) {
	b, half := t.g.b, t.g.b.Int(tileRows)
	const (
		first  = 0x0000000100000101 // a byte for each register, of the first half of rows
		second = 0x0000010001010000
		panels = 0x1010000000000000 // 16 rows
	)
	ofAll := b.Add(b.Mul(b.Min(rows, half), b.Int(first)), b.Mul(b.Max(b.Sub(rows, half), b.Int(1)), b.Int(second)))
	b.TileShapes(b.PtrCast(t.registers, tile.I64), b.Add(ofAll, b.Int(panels)))
}

// from is t for some of its rows.
func (t *blocked) from(first, rows *tile.Value) *tiled {
	b, m, p, s := t.g.b, *t.mmBuild, *t.product, *t
	m.x = b.PtrAdd(m.x, b.Mul(first, b.Int(m.xStride)))
	p.mmBuild, s.product, s.rows = &m, &p, rows
	s.c = b.PtrAdd(s.c, b.Mul(first, b.Int(t.nr())))
	return &tiled{&s}
}

// tiled is a task, or some rows of it, in tile registers.
type tiled struct{ *blocked }

// blocks goes through k and columns in blocks of two panels.
func (t *tiled) blocks(multiply func(p *tilePanel)) {
	t.blocked.blocks(func(w, n, _, k0, k *tile.Value, x lhs, c *tile.Value) {
		b := t.g.b
		p := &tilePanel{tiled: t, w: w, panel: b.Div(n, b.Int(PanelWidth)), at: k0, k: k, x: x, c: c}
		if t.grouped() {
			length := b.Int(t.Group.Len)
			p.at, p.groups = b.Div(k0, length), b.Div(b.Add(k, b.Int(t.Group.Len-1)), length)
		}
		p.unpack()
		multiply(p)
	})
}

// tilePanel multiplies all rows by two panels of columns, and k units of k.
type tilePanel struct {
	*tiled
	w, panel  *tile.Value // the matrix, and the first panel
	at        *tile.Value // the first unit of k, or the first group
	k, groups *tile.Value // units, and groups
	x         lhs
	c         *tile.Value // sums, by row
}

// perPanel counts the vectors of a panel.
func (p *tilePanel) perPanel() int { return PanelWidth / p.g.lanes }

// columns returns the columns of panels from `ahead` panels behind the first on; at is the unit of k, or the group.
func (p *tilePanel) columns(at *tile.Value, ahead int64) []column {
	out := make([]column, p.Vecs)
	for v := range out {
		out[v] = p.column(p.w, p.g.b.Add(p.panel, p.g.b.Int(ahead)), at, v)
	}
	return out
}

// unpack writes to scratch what tiles of weights cannot be loaded from where it lies: codes of 4 bits with their scales,
// and the last step of k, with zeros behind it.
func (p *tilePanel) unpack() {
	b := p.g.b
	if !p.inPlace {
		b.Range(b.Int(0), p.groups, b.Int(1), func(group *tile.Value) {
			of := p.columns(b.Add(p.at, group), 0)
			p.stage(b.Mul(group, b.Int(p.Group.Len)), b.Int(p.Group.Len), of)
			for v, c := range of {
				p.stageHeader(group, v, c)
			}
		})
	}
	last := p.units % p.body
	if p.grouped() || last == 0 {
		return
	}
	p.atLast(func() {
		to := b.PtrCast(p.registers, tile.I32)
		for v, c := range p.columns(p.at, 0) {
			for line := range p.body {
				words := b.Int32(0, p.g.lanes)
				if line < last {
					from := b.Mul(b.Add(b.Sub(p.k, b.Int(last)), b.Int(line)), b.Int(PanelWidth))
					words = b.Load(c.p, b.Add(from, b.Add(c.in, b.Int(c.panel))), p.g.lanes)
				}
				b.Store(to, b.Add(c.in, b.Int(tilesAt+int64(v/p.perPanel())*tileLen+line*PanelWidth)), words)
			}
		}
	})
}

// atLast runs body where k ends within a step.
func (p *tilePanel) atLast(body func()) {
	b := p.g.b
	b.When(b.Compare(tile.LT, b.Int(0), b.Rem(p.k, b.Int(p.body))), body)
}

// loadX reads the tile of x for a half of the rows from `row` on, at a byte of k.
func (p *tilePanel) loadX(half int, row, k *tile.Value) {
	b, size := p.g.b, int64(p.x.p.Type.Elem.Bytes())
	stride := p.x.stride * size
	at := b.Add(b.Mul(b.Add(row, b.Int(int64(half*tileRows))), b.Int(stride)), k)
	b.TileLoad(xTile(half), b.PtrCast(p.x.p, tile.I8), at, b.Int(stride))
}

// step multiplies a step of k of one or two halves of the rows; between runs after every product.
func (p *tilePanel) step(halves int, loadX, loadW func(i int), between func()) {
	for half := range halves {
		loadX(half)
		for panel := range 2 {
			if half == 0 {
				loadW(panel)
			}
			p.g.b.TileDot(p.tiles, sumTile(half, panel), xTile(half), wTile(panel))
			between()
		}
	}
}

// wholes multiplies blocks of 32 rows.
func (p *tilePanel) wholes() {
	b, block := p.g.b, p.g.b.Int(int64(p.MR))
	if !p.grouped() {
		b.Range(b.Int(0), p.rows, block, func(row *tile.Value) {
			p.prefetchNext(p.columns(p.at, 2), row)
			p.add(2, row)
		})
		return
	}
	buffer := func(i *tile.Value) *tile.Value { return b.Mul(b.Rem(i, b.Int(2)), b.Int(inTurn)) }
	zero, one := b.Int(0), b.Int(1)
	p.group(2, zero, zero, zero, func() {})
	count := b.Mul(b.Div(p.rows, block), p.groups)
	last := b.For(one, count, one, []*tile.Value{zero, zero}, func(i *tile.Value, before []*tile.Value) []*tile.Value {
		row, group := before[0], before[1]
		next := b.Add(group, one)
		more := b.Compare(tile.LT, next, p.groups)
		row1, group1 := b.Select(more, row, b.Add(row, block)), b.Select(more, next, zero)
		p.prefetchShare(i)
		scale, done := p.scaled(row, group, buffer(b.Sub(i, one))), 0
		p.group(2, row1, group1, buffer(i), func() {
			for range p.MR * p.Vecs * tileBytes / (4 * int(p.Group.Len)) {
				scale(b.Int(int64(done/p.Vecs)), done%p.Vecs)
				done++
			}
		})
		return []*tile.Value{row1, group1}
	})
	p.scaleAll(last[0], last[1], buffer(b.Sub(count, one)), block)
}

// rest multiplies fewer than 32 rows.
func (p *tilePanel) rest() {
	b := p.g.b
	multiply := func(halves int) {
		if !p.grouped() {
			p.add(halves, b.Int(0))
			return
		}
		b.Range(b.Int(0), p.groups, b.Int(1), func(group *tile.Value) {
			p.group(halves, b.Int(0), group, b.Int(0), func() {})
			p.scaleAll(b.Int(0), group, b.Int(0), p.rows)
		})
	}
	if p.M.N <= tileRows {
		multiply(1)
		return
	}
	b.Either(b.Compare(tile.LE, p.rows, b.Int(tileRows)), func() { multiply(1) }, func() { multiply(2) })
}

// add adds products of bfloat16 to the sums of a block of rows.
func (p *tilePanel) add(halves int, row *tile.Value) {
	b, step := p.g.b, p.g.b.Int(p.body)
	sums := func(op func(t int, p, off, stride *tile.Value)) {
		for half := range halves {
			for panel := range 2 {
				at := b.Add(b.Mul(b.Add(row, b.Int(int64(half*tileRows))), b.Int(p.nr())), b.Int(int64(panel*PanelWidth)))
				op(sumTile(half, panel), p.c, at, b.Int(4*p.nr()))
			}
		}
	}
	of := p.columns(p.at, 0)
	products := func(k *tile.Value, loadW func(panel int)) {
		p.step(halves, func(half int) { p.loadX(half, row, b.Mul(k, b.Int(2*p.unit))) }, loadW, func() {})
	}
	sums(b.TileLoad)
	b.Range(b.Int(0), b.Mul(b.Div(p.k, step), step), step, func(k *tile.Value) {
		products(k, func(panel int) {
			c := of[panel*p.perPanel()]
			b.TileLoad(wTile(panel), c.p, b.Add(b.Mul(k, b.Int(PanelWidth)), b.Int(c.panel)), b.Int(tileBytes))
		})
	})
	if p.units%p.body != 0 {
		p.atLast(func() {
			products(b.Mul(b.Div(p.k, step), step), func(panel int) {
				b.TileLoad(wTile(panel), p.registers, b.Int(int64(tilesAt+panel*tileLen)), b.Int(tileBytes))
			})
		})
	}
	sums(b.TileStore)
}

// group multiplies a group of k of a block of rows, and stores the sums to scratch.
func (p *tilePanel) group(halves int, row, group, buffer *tile.Value, between func()) {
	b := p.g.b
	sums := func(do func(tile int)) {
		for half := range halves {
			for panel := range 2 {
				do(sumTile(half, panel))
			}
		}
	}
	sums(b.TileZero)
	first := b.Mul(group, b.Int(p.Group.Len))
	of := p.columns(b.Add(p.at, group), 0)
	for k := int64(0); k < p.Group.Len; k += tileBytes {
		p.step(halves, func(half int) { p.loadX(half, row, b.Add(first, b.Int(k))) }, func(panel int) {
			v := panel * p.perPanel()
			if p.inPlace {
				b.TileLoad(wTile(panel), of[v].p, b.Int(of[v].panel+packing.HeaderBytes+k*PanelWidth), b.Int(tileBytes))
				return
			}
			stride := b.Int(int64(p.Vecs * p.width(p.g.lanes)))
			b.TileLoad(wTile(panel), b.PtrCast(p.staging, tile.I8), p.staged(b.Add(first, b.Int(k)), p.Vecs, v, 0), stride)
		}, between)
	}
	sums(func(t int) {
		b.TileStore(t, b.PtrCast(p.registers, tile.I32), b.Add(buffer, b.Int(int64(tilesAt+t*tileLen))), b.Int(tileBytes))
	})
}

// scaled returns what adds the sums of a group, in a buffer, to C: vector v of a row of the block that begins at row.
func (p *tilePanel) scaled(row, group, buffer *tile.Value) func(r *tile.Value, v int) {
	b, lanes, lay := p.g.b, int64(p.g.lanes), p.rowLayout()
	sums := b.PtrAdd(b.PtrCast(p.registers, tile.I32), buffer)
	to := b.PtrAdd(p.c, b.Mul(row, b.Int(p.nr())))
	numbers := b.PtrAdd(b.PtrCast(b.PtrAdd(p.mmBuild.x, b.Mul(row, b.Int(lay.Bytes))), tile.F32), b.Add(p.at, group))
	header := make([][2]*tile.Value, p.Vecs)
	for v, c := range p.columns(b.Add(p.at, group), 0) {
		if p.inPlace {
			header[v][0], header[v][1] = c.header(p.g)
		} else {
			header[v][0], header[v][1] = p.stagedHeader(group, v)
		}
	}
	ofRow := func(r *tile.Value, first int64) *tile.Value {
		return b.Splat(b.Load(numbers, b.Add(b.Mul(r, b.Int(lay.Bytes/4)), b.Int(first/4)), 1), p.g.lanes)
	}
	var last, sx, xs *tile.Value
	return func(r *tile.Value, v int) {
		if last != r {
			last, sx = r, ofRow(r, lay.Scales)
			if p.Group.Affine() {
				xs = ofRow(r, lay.Sums)
			}
		}
		in, half := b.Rem(r, b.Int(tileRows)), b.Div(r, b.Int(tileRows))
		from := b.Add(b.Add(b.Mul(half, b.Int(2*tileLen)), b.Mul(in, b.Int(PanelWidth))),
			b.Int(tilesAt+int64(v/p.perPanel())*tileLen+int64(v%p.perPanel())*lanes))
		at := b.Add(b.Mul(r, b.Int(p.nr())), b.Int(int64(v)*lanes))
		sum := b.Mul(b.Cast(tile.IToF, b.Load(sums, from, p.g.lanes)), sx)
		b.Store(to, at, p.addScaled(sum, xs, header[v][0], header[v][1], b.Load(to, at, p.g.lanes)))
	}
}

// scaleAll adds the sums of a group of all rows of a block to C.
func (p *tilePanel) scaleAll(row, group, buffer, rows *tile.Value) {
	scale := p.scaled(row, group, buffer)
	p.g.b.Range(p.g.b.Int(0), rows, p.g.b.Int(1), func(r *tile.Value) {
		for v := range p.Vecs {
			scale(r, v)
		}
	})
}

// prefetchShare asks for a share of the next two panels: that of one group of a block of rows.
func (p *tilePanel) prefetchShare(i *tile.Value) {
	of := p.columns(p.at, 2)
	line := lineElems(of[0].p)
	groups := p.KC / p.Group.Len
	blocks := (p.MC + int64(p.MR) - 1) / int64(p.MR)
	share := (groups*p.Group.BlockBytes()/line + groups*blocks - 1) / (groups * blocks)
	p.prefetch(of, p.g.b.Mul(i, p.g.b.Int(share*line)), 0, share*line, 2)
}
