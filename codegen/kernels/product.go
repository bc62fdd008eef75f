package kernels

import (
	"fmt"

	"pgc/codegen/schedule"
	"pgc/ir/quant"
	"pgc/ir/tile"
)

// product multiplies one part of a matmul in a form.
type product struct {
	*mmBuild
	*Part
	*mma
	schedule.Many // rows; in a stream its microkernel is that of few
	one           schedule.One
	few           schedule.Few
	pack          bool        // rows of x are copied although the form takes them as they are
	paired        bool        // copies have every two rows side by side, 8 bytes of each in turn
	number        int         // of the part
	units         int64       // of k
	copies        *tile.Value // scratch: rows of x as the form takes them
	staging       *tile.Value // scratch: vectors of B, in the order k, vector of a unit, vector of columns; then scales and minima of sums
}

func (m *mmBuild) product(number int) *product {
	p := &product{mmBuild: m, Part: &m.Parts[number], number: number}
	p.mma = m.formOf(p.Part, m.g.target)
	p.units = p.mma.units(m.K)
	s := m.g.table.Of(p.class, m.g.target)
	if err := p.takes(s, m.g.lanes); err != nil {
		m.g.err = fmt.Errorf("%s for %s: %w", p.class, m.g.target.Name, err)
		s = schedule.Default.Of(p.class, m.g.target) // so that building goes on to its end
	}
	p.Many, p.one, p.few = s.Many, s.One, s.Few
	p.NC = roundUp(max(1, p.NC/int64(p.Accs)), p.columnUnit())
	p.MR = p.rowsWithoutRest()
	if m.M.N < p.MC {
		p.MC = roundUp(m.M.N, p.rowUnit())
	}
	return p
}

// littleWork bounds the multiply-adds of products for which another microkernel is not worth its code, latency the vectors of sums
// that keep multiply-adds from waiting for each other.
const (
	littleWork = 1 << 21
	latency    = 8
)

// rowsWithoutRest returns the rows of the microkernel of many rows: the schedule's, or for a product of floats of little work the most
// of which no rows are left over.
func (p *product) rowsWithoutRest() int {
	if p.M.Sym != "" || p.M.N <= fewRows || p.grouped() || p.mma.rows > 1 || p.tiles != 0 || p.M.N*p.Matmul.K*p.Part.columns()*int64(p.Accs) > littleWork {
		return p.MR
	}
	for rows := p.MR; rows*p.Vecs >= latency; rows-- {
		if p.M.N%int64(rows) == 0 {
			return rows
		}
	}
	return p.MR
}

// columnUnit is the least number of columns that a task takes, rowUnit that of rows, of which schedules' MC are multiples:
// two dozens or a microkernel, enough to make up for unpacking B once more.
func (p *product) columnUnit() int64 { return max(p.nr(), 2*PanelWidth) }
func (p *product) rowUnit() int64    { return int64(p.MR * max(1, 24/p.MR)) }

// LHS returns the type of x.
func (s *Matmul) LHS() DType {
	switch {
	case s.X.Len > 0:
		return groupsOf(s.X.Format)
	case s.BF16:
		return BF16
	}
	return F32
}

// RHS returns the type of the weights.
func (p *Part) RHS() DType {
	if p.Group.Len > 0 {
		return groupsOf(p.Group.Format)
	}
	return map[tile.Elem]DType{tile.F32: F32, tile.BF16: BF16, tile.F16: F16}[p.Elem]
}

// wholeBodies reports whether all blocks of k, and groups, are multiples of the body of the form's loops.
func (p *product) wholeBodies() bool {
	return p.units%p.body == 0 && p.KC%p.body == 0 && p.Group.Len%p.body == 0
}

// nr returns the columns of the microkernel.
func (p *product) nr() int64 { return int64(p.Vecs * p.g.lanes) }

// column returns vector v of the columns of a weight from a panel on; at is the unit of k, or the group of a matrix of
// groups.
func (p *product) column(w, panel, at *tile.Value, v int) column {
	b, perPanel := p.g.b, PanelWidth/p.g.lanes
	c := column{in: b.Int(int64(v % perPanel * p.g.lanes)), q: p.Group}
	size := p.units * PanelWidth
	off := b.Add(b.Mul(panel, b.Int(size)), b.Mul(at, b.Int(PanelWidth)))
	if q := p.Group; q.Len > 0 {
		size = q.Blocks(p.K) * q.BlockBytes()
		off = b.Mul(b.Add(b.Mul(panel, b.Int(q.Blocks(p.K))), at), b.Int(q.BlockBytes()))
	}
	c.p, c.panel = b.PtrAdd(w, off), int64(v/perPanel)*size
	return c
}

// stepElems counts the elements of a packed matrix that a unit of k takes.
func (p *product) stepElems() int64 {
	if p.Group.Len > 0 {
		return p.Group.StepBytes()
	}
	return PanelWidth
}

// prefetch asks for the lines of n elements of every column, those from at+first on.
func (p *product) prefetch(columns []column, at *tile.Value, first, n int64, level int) {
	for _, c := range columns {
		if in, ok := tile.ConstInt(c.in); !ok || in > 0 {
			continue // in a line asked for already
		}
		b, line := p.g.b, lineElems(c.p)
		ask := func(i *tile.Value) { b.Prefetch(c.p, b.Add(b.Add(at, i), b.Int(c.panel+first)), level) }
		if n > manyLines*line {
			b.Range(b.Int(0), b.Int(n), b.Int(line), ask)
			continue
		}
		for i := int64(0); i < n; i += line {
			ask(b.Int(i))
		}
	}
}

// manyLines are so many that they are asked for in a loop.
const manyLines = 8

// lineElems counts the elements of a cache line.
func lineElems(p *tile.Value) int64 { return int64(64 / p.Type.Elem.Bytes()) }

// staged locates vector i of columns v in scratch from unit k on, of vecs vectors of columns.
func (p *product) staged(k *tile.Value, vecs, v, i int) *tile.Value {
	b, width, each := p.g.b, int64(p.width(p.g.lanes)), int64(p.loader.vecs)
	return b.Add(b.Mul(k, b.Int(int64(vecs)*width*each/p.loader.units)), b.Int(int64(i*vecs+v)*width))
}

// stagedLen counts the floats of scratch that n units of vecs vectors of columns take, with the scales and minima of
// their groups.
func (p *product) stagedLen(n int64, vecs int) int64 {
	words := n * int64(p.loader.vecs) / p.loader.units * int64(vecs*p.g.lanes)
	if p.grouped() {
		words += n / p.Group.Len * int64(2*vecs*p.g.lanes)
	}
	return words
}

// stage writes n units of columns to scratch, from unit `first` there on.
func (p *product) stage(first, n *tile.Value, columns []column) {
	b := p.g.b
	to, together := b.PtrAdd(b.PtrCast(p.staging, p.mma.w), p.staged(first, len(columns), 0, 0)), len(columns)
	if p.Group.Len > 0 {
		together = 1 // scales stay in registers
	}
	for from := 0; from < len(columns); from += together {
		load := p.inMemory(columns[from:][:together])
		b.Range(b.Int(0), n, b.Int(p.loader.units), func(k *tile.Value) {
			for v := range together {
				w := load(k, v)
				for i := range p.loader.vecs {
					b.Store(to, p.staged(k, len(columns), from+v, i), w(i))
				}
			}
		})
	}
}

// fromStage reads what stage wrote of vecs vectors of columns, from unit `first` on.
func (p *product) fromStage(vecs int, first *tile.Value) vectors {
	b := p.g.b
	from := b.PtrAdd(b.PtrCast(p.staging, p.mma.w), p.staged(first, vecs, 0, 0))
	return func(k *tile.Value, v int) func(i int) *tile.Value {
		return func(i int) *tile.Value {
			return b.Load(from, p.staged(k, vecs, v, i), p.width(p.g.lanes))
		}
	}
}

// inMemory reads columns where they lie.
func (p *product) inMemory(columns []column) vectors {
	load := make([]reader, len(columns))
	for v, c := range columns {
		load[v] = p.loader.open(p.g, c)
	}
	return func(k *tile.Value, v int) func(i int) *tile.Value { return load[v](k) }
}

// copiesX reports whether rows of x are copied: where they are not what the form takes, where an odd K leaves half
// a word, and for tiles of bfloat16, which take whole steps, and whose rows may lie as far apart as lines that a cache
// keeps in one set.
func (p *product) copiesX() bool {
	return p.pack || p.paired || p.tiles == tile.TileDotBF16 || p.mma.x != map[DType]tile.Elem{F32: tile.F32, BF16: tile.BF16, Int8: tile.I8}[p.lhs] || p.K%p.unit != 0
}

// copiesLen counts the floats of scratch that n units of so many rows of x take.
func (p *product) copiesLen(rows, n int64) int64 {
	if !p.copiesX() {
		return 0
	}
	return roundUp(rows, int64(p.mma.rows)) * n * p.unit * int64(p.mma.x.Bytes()) / 4
}

// rowsOfX returns n units of x from unit k0 on, as the form takes them; copies have room for `most` units.
func (p *product) rowsOfX(k0, n, rows *tile.Value, most int64) lhs {
	b := p.g.b
	x := lhs{p: b.PtrAdd(p.mmBuild.x, b.Mul(k0, b.Int(p.unit))), stride: p.xStride, mul: p.unit, div: 1, words: p.words}
	if p.paired {
		return p.copyPairs(x, k0, n, rows, most)
	}
	if p.copiesX() {
		x.p, x.stride = p.copyX(x, k0, n, rows, most*p.unit), most*p.unit
	}
	return p.inWords(x)
}

// inWords counts x, rows of the form's type, in the elements that it loads.
func (p *product) inWords(x lhs) lhs {
	b := p.g.b
	switch p.mma.x {
	case tile.BF16:
		x.p = b.PtrCast(x.p, tile.I16)
	case tile.I8:
		x.p, x.stride, x.div = b.PtrCast(x.p, tile.I32), x.stride/4, 4
	case tile.I16:
		x.p, x.stride, x.div = b.PtrCast(x.p, tile.I64), x.stride/4, 4
	}
	return x
}

// copyPairs copies rows of x into scratch, `most` units apart and every two of them side by side, 8 bytes of each in
// turn; the last of an odd number of rows lies beside itself.
func (p *product) copyPairs(x lhs, k0, n, rows *tile.Value, most int64) lhs {
	b, from := p.g.b, p.inWords(x)
	to := p.inWords(lhs{p: b.PtrCast(p.copies, p.mma.x), stride: most * p.unit, mul: 2 * p.unit, div: 1, words: 2 * p.words, paired: true})
	b.Range(b.Int(0), rows, b.Int(2), func(r *tile.Value) {
		second := b.Min(b.Add(r, b.Int(1)), b.Sub(rows, b.Int(1)))
		left, right, pair := from.at(b, r, b.Int(0)), from.at(b, second, b.Int(0)), to.at(b, r, b.Int(0))
		b.Range(b.Int(0), n, b.Int(p.step), func(k *tile.Value) {
			for i := range int64(2) {
				at := b.Add(from.offset(b, k), b.Int(i*int64(p.words)))
				b.Store(pair.p, b.Mul(at, b.Int(2)), p.g.joinRows(b.Load(left.p, at, p.words), b.Load(right.p, at, p.words)))
			}
		})
	})
	return to
}

// copyX copies rows of x into scratch, stride elements apart: integers in whole chunks, as they are stored, floats with
// a zero behind an odd K; for tiles their bits, with zeros up to a whole row of a tile.
func (p *product) copyX(x lhs, k0, n, rows *tile.Value, stride int64) *tile.Value {
	b, lanes := p.g.b, p.g.lanes
	to, values := b.PtrCast(p.copies, p.mma.x), b.Mul(n, b.Int(p.unit))
	b.Range(b.Int(0), rows, b.Int(1), func(r *tile.Value) {
		from, row := b.PtrAdd(x.p, b.Mul(r, b.Int(x.stride))), b.PtrAdd(to, b.Mul(r, b.Int(stride)))
		if p.lhs == Int8 {
			b.Range(b.Int(0), n, b.Int(chunk), func(k *tile.Value) {
				v := b.Load(from, k, chunk)
				if p.mma.x != tile.I8 {
					v = b.WidenTo(v, p.mma.x)
				}
				b.Store(row, k, v)
			})
			return
		}
		whole := b.Min(values, b.Sub(b.Int(p.K), b.Mul(k0, b.Int(p.unit))))
		if p.tiles != 0 {
			p.copyBits(b.PtrCast(row, tile.I16), b.PtrCast(from, tile.I16), whole)
			return
		}
		p.g.vectors(whole, lanes, func(i, count *tile.Value) { p.g.store(row, i, p.g.load(from, i, lanes, count), count) })
		if p.K%p.unit != 0 {
			b.When(b.Compare(tile.LT, whole, values), func() { b.Store(row, whole, b.Float(0, 1)) })
		}
	})
	return to
}

// copyBits copies n numbers of 16 bits, and zeros up to a row of a tile.
func (p *product) copyBits(to, from, n *tile.Value) {
	b, lanes := p.g.b, 2*p.g.lanes
	step := b.Int(int64(lanes))
	whole := b.Mul(b.Div(n, step), step)
	b.Range(b.Int(0), whole, step, func(k *tile.Value) { b.Store(to, k, b.Load(from, k, lanes)) })
	row := b.Int(tileBytes / 2)
	end := b.Mul(b.Div(b.Add(n, b.Int(tileBytes/2-1)), row), row)
	if p.K%(tileBytes/2) != 0 {
		b.Range(whole, end, step, func(k *tile.Value) { b.Store(to, k, b.LoadTail(from, k, lanes, b.Sub(n, k))) })
	}
}

// block accumulates into rows × vecs vectors of C, which get reads and put writes.
type block struct {
	micro
	row, group *tile.Value // the first row; the group of k that sums belong to
	header     func(v int) (scale, low *tile.Value)
	get        func(i int) *tile.Value
	put        func(i int, x *tile.Value)
}

// accumulate adds k units of products to C. Sums of floats begin with what C has, or with zero if they are summed apart;
// those of a group of integers are scaled when they are added: sum·scale of x·scale, and for affine codes the minimum times
// the sum of the group of x.
func (p *product) accumulate(x block, k *tile.Value) {
	b := p.g.b
	s := mmaStep{mma: p.mma, g: p.g, rows: x.rows, vecs: x.vecs, chains: x.chains}
	switch {
	case p.grouped():
		s.sums = p.start(x)
	case p.resume != nil:
		s.sums = p.resume(s, x.get)
	case p.apart > 0:
		s.sums = zeros(b, p.sums(x.rows, x.vecs, x.chains), p.g.lanes)
	default:
		s.sums = collect(x.rows*x.vecs, x.get)
	}
	s.sums = x.run(p.g, k, s.sums)
	header := make([][2]*tile.Value, x.vecs)
	for r := range x.rows {
		var sx, xs *tile.Value
		if p.grouped() {
			sx = p.ofGroup(tile.F32, p.rowLayout().Scales, x, r)
			if p.Group.Affine() {
				xs = p.ofGroup(tile.F32, p.rowLayout().Sums, x, r)
			}
		}
		for v := range x.vecs {
			sum := p.total(s, r, v)
			if p.grouped() {
				if r == 0 {
					header[v][0], header[v][1] = x.header(v)
				}
				sum = b.Mul(b.Cast(tile.IToF, sum), sx)
				sum = p.addScaled(sum, xs, header[v][0], header[v][1], x.get(r*x.vecs+v))
			}
			if p.apart > 0 {
				sum = b.Add(x.get(r*x.vecs+v), sum)
			}
			x.put(r*x.vecs+v, sum)
		}
	}
}

// addScaled adds the sum of a group, times the scale of x, to C; xs is the scaled sum of x for affine codes, which have a
// minimum.
func (p *product) addScaled(sum, xs, scale, low, c *tile.Value) *tile.Value {
	b := p.g.b
	if c = b.FMA(sum, scale, c); xs != nil {
		c = b.FMA(xs, low, c)
	}
	return c
}

// start returns the sums of a group before its first product.
func (p *product) start(x block) []*tile.Value {
	b, lanes := p.g.b, p.g.lanes
	sums := collect(p.sums(x.rows, x.vecs, x.chains), func(int) *tile.Value { return b.Int32(0, lanes) })
	if !p.unsigned {
		return sums
	}
	for r := range x.rows {
		offset := p.ofGroup(tile.I32, p.rowLayout().Offsets, x, r)
		for v := range x.vecs {
			sums[(r*x.vecs+v)*x.chains] = offset
		}
	}
	return sums
}

// rowLayout says where quantized rows of x have their scales, sums and offsets.
func (s *Matmul) rowLayout() quant.Row { return quant.RowLayout(s.K, s.X.Len) }

// ofGroup loads a number that row r of a block has for its group, of those that begin at byte `first` of a row of x,
// into every lane.
func (p *product) ofGroup(e tile.Elem, first int64, x block, r int) *tile.Value {
	b := p.g.b
	row := b.Mul(b.Add(x.row, b.Int(int64(r))), b.Int(p.rowLayout().Bytes))
	numbers := b.PtrCast(b.PtrAdd(p.mmBuild.x, row), e)
	return b.Splat(b.Load(numbers, b.Add(b.Int(first/4), x.group), 1), p.g.lanes)
}
