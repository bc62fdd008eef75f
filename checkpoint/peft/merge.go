package peft

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"pgc/checkpoint/lazy"
	"pgc/ir"
	"pgc/ir/floats"
)

// matrix is a tensor as rows of its first dimension; a vector is one row.
type matrix struct {
	lazy.Tensor
	cols int
}

func matrixOf(t lazy.Tensor) matrix {
	m := matrix{t, 1}
	for _, n := range t.Shape[min(1, len(t.Shape)-1):] {
		m.cols *= n
	}
	return m
}

func (m matrix) rows() int { return m.Elements() / m.cols }

// decode reads elements of row r from column c on.
func (m matrix) decode(to []float32, r, c int) { m.Decode(to, r*m.cols+c) }

// whole decodes all elements.
func (m matrix) whole() []float32 {
	v := make([]float32, m.rows()*m.cols)
	m.decode(v, 0, 0)
	return v
}

// step is one change of a weight, as peft does it; values are rounded to the weight's type after it. It is started with
// what reads the weight as it is before the step.
type step func(before reader, dtype ir.DType) change

// change changes x, the elements of row r from column c on.
type change func(x []float32, r, c int)

// reader fills x with the elements of row r from column c on.
type reader func(x []float32, r, c int)

// Merged is a weight of the base with an adapter's changes, made when it is read.
type Merged struct {
	base    matrix
	dtype   ir.DType
	steps   []step
	once    sync.Once
	changes []change // the steps, started
}

// reader reads the weight after all steps, which it starts.
func (w *Merged) reader() reader {
	w.once.Do(func() {
		for _, s := range w.steps {
			w.changes = append(w.changes, s(w.until(w.changes), w.dtype))
		}
	})
	return w.until(w.changes)
}

// Read fills to with the bytes of the weight from a position on. Calls may run at the same time.
func (w *Merged) Read(to []byte, from int64) {
	read := w.reader()
	size, cols := int64(w.dtype.Bytes()), w.base.cols
	first, last := from/size, (from+int64(len(to))+size-1)/size // elements
	x := make([]float32, min(int64(cols), last-first))
	var made []byte
	for at := first; at < last; {
		r, c := int(at)/cols, int(at)%cols
		n := min(cols-c, int(last-at))
		read(x[:n], r, c)
		made = floats.Append(made[:0], x[:n], w.dtype)
		to = to[copy(to, made[max(0, from-at*size):]):]
		at += int64(n)
	}
}

// until reads the weight as it is after some changes.
func (w *Merged) until(changes []change) reader {
	return func(x []float32, r, c int) {
		w.base.decode(x, r, c)
		floats.Round(x, w.dtype)
		for _, change := range changes {
			change(x, r, c)
			floats.Round(x, w.dtype)
		}
	}
}

// replace puts a tensor of the adapter in the place of the weight.
func replace(by matrix) step {
	return func(reader, ir.DType) change { return by.decode }
}

// rows puts rows of the adapter in the place of some rows; at maps the weight's to the adapter's.
func rows(at map[int]int, by matrix) step {
	return func(reader, ir.DType) change {
		return func(x []float32, r, c int) {
			if i, ok := at[r]; ok {
				by.decode(x, i, c)
			}
		}
	}
}

// add adds a scaled vector: the bias of lora_B to the bias of a layer.
func add(by matrix, scale float32) step {
	return func(reader, ir.DType) change {
		return func(x []float32, r, c int) {
			d := make([]float32, len(x))
			by.decode(d, r, c)
			for i := range x {
				x[i] += float32(d[i] * scale)
			}
		}
	}
}

// lowRank adds scale·B·A, and with a magnitude gives the rows of the sum, or its columns, that norm (DoRA).
type lowRank struct {
	a, b      matrix // [rank, columns], [rows, rank]
	embedding bool   // the factors are those of the transposed weight: a [rank, rows], b [columns, rank]
	scale     float32
	magnitude *matrix
}

// start is its step.
func (l lowRank) start(before reader, dtype ir.DType) change {
	p := l.product()
	switch {
	case l.magnitude != nil:
		factors := p.normed(before, l.magnitude.whole(), l.embedding)
		return func(x []float32, r, c int) {
			p.addTo(x, r, c)
			for i := range x {
				if l.embedding {
					x[i] *= factors[c+i]
				} else {
					x[i] *= factors[r]
				}
			}
		}
	case l.embedding: // peft's Embedding.merge converts the product, its Linear.merge does not
		p.rounded = dtype
	}
	return p.addTo
}

// product is scale·B·A in float32.
func (l lowRank) product() *product {
	a, b := l.a.whole(), l.b.whole()
	p := &product{rank: l.a.rows(), columns: l.a.cols, left: b, right: a, scale: l.scale, rounded: ir.F32}
	if l.embedding {
		p.columns, p.left, p.right = l.b.rows(), transpose(a, p.rank), transpose(b, l.b.rows())
	}
	return p
}

// product is scale·left·right, with factors [rows, rank] and [rank, columns].
type product struct {
	rank, columns int
	left, right   []float32
	scale         float32
	rounded       ir.DType // what elements are rounded to before they are added
}

// transpose returns m [n, len(m)/n] as [len(m)/n, n].
func transpose(m []float32, n int) []float32 {
	width := len(m) / n
	t := make([]float32, len(m))
	for i := range n {
		for j := range width {
			t[j*n+i] = m[i*width+j]
		}
	}
	return t
}

// addTo adds elements of row r from column c on to x. As in torch's matrix products a sum is of fused multiply-adds in
// the order of the rank. Explicit conversions keep compilers from fusing other roundings away.
func (p *product) addTo(x []float32, r, c int) {
	d := make([]float32, len(x))
	for k, l := range p.left[r*p.rank : (r+1)*p.rank] {
		floats.AddProduct(d, p.right[k*p.columns+c:], l)
	}
	for i := range d {
		d[i] = float32(d[i] * p.scale)
	}
	floats.Round(d, p.rounded)
	for i := range x {
		x[i] += d[i]
	}
}

// normed returns by what rows, or columns, are multiplied to have the magnitudes as their norms. The squares are summed
// up in float32 in torch's order.
func (p *product) normed(before reader, magnitude []float32, byColumn bool) []float32 {
	count := len(p.left) / p.rank
	squares := make([]float32, len(magnitude))
	if byColumn {
		const wide = 64
		parallel((p.columns+wide-1)/wide, func(i int) {
			of := squares[i*wide : min(p.columns, (i+1)*wide)]
			x := make([]float32, len(of))
			for r := range count {
				before(x, r, i*wide)
				p.addTo(x, r, i*wide)
				for c, v := range x {
					of[c] += float32(v * v)
				}
			}
		})
	} else {
		parallel(count, func(r int) {
			x := make([]float32, p.columns)
			before(x, r, 0)
			p.addTo(x, r, 0)
			squares[r] = sumOfSquares(x)
		})
	}
	factors := make([]float32, len(magnitude))
	for i, v := range squares {
		factors[i] = magnitude[i] / float32(math.Sqrt(float64(v)))
	}
	return factors
}

// sumOfSquares adds up as torch's norm of a row does: in eight lanes, which follow each other at last, as does the rest.
func sumOfSquares(x []float32) (sum float32) {
	var lanes [8]float32
	for ; len(x) >= len(lanes); x = x[len(lanes):] {
		for i := range lanes {
			lanes[i] += float32(x[i] * x[i])
		}
	}
	for _, v := range lanes {
		sum += v
	}
	for _, v := range x {
		sum += float32(v * v)
	}
	return sum
}

// parallel calls do for 0 to n-1 on all processors.
func parallel(n int, do func(i int)) {
	var next atomic.Int64
	var busy sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		busy.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	busy.Wait()
}
