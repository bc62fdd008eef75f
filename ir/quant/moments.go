package quant

import (
	"math"
	"runtime"
	"sync"
)

// Moments are the second moments of rows that a matrix is multiplied with: sums of x·xᵀ, in diagonal blocks of
// neighboring columns.
type Moments struct {
	k, block int
	rows     int
	sums     [][]float32 // of every block, row-major, filled above the diagonal

	once    sync.Once
	factors []factor
}

// momentsBlock is how many columns a block has, wholeBlock how many a matrix has that is one block: the work of
// compensation and the memory of moments grow with it. All groups divide it.
const momentsBlock, wholeBlock = 256, 512

// NewMoments begins moments of rows of k values.
func NewMoments(k int) *Moments {
	m := &Moments{k: k, block: momentsBlock}
	if k <= wholeBlock {
		m.block = k
	}
	for first := 0; first < k; first += m.block {
		n := min(m.block, k-first)
		m.sums = append(m.sums, make([]float32, n*n))
	}
	return m
}

// Add adds rows, one behind the other, before the moments are first used.
func (m *Moments) Add(x []float32) {
	rows := len(x) / m.k
	m.rows += rows
	m.parallel(func(b int) {
		sum := m.sums[b]
		n := min(m.block, m.k-b*m.block)
		row := func(r int) []float32 { return x[r*m.k+b*m.block:][:n] }
		r := 0
		for ; r+4 <= rows; r += 4 { // four rows at a time: a sum is loaded and stored once
			w, x, y, z := row(r), row(r+1), row(r+2), row(r+3)
			for i := range n {
				wi, xi, yi, zi := w[i], x[i], y[i], z[i]
				to := sum[i*n : i*n+n]
				w, x, y, z := w[:len(to)], x[:len(to)], y[:len(to)], z[:len(to)]
				for j := i; j < len(to); j++ {
					to[j] += float32(float32(wi*w[j])+float32(xi*x[j])) + float32(float32(yi*y[j])+float32(zi*z[j]))
				}
			}
		}
		for ; r < rows; r++ {
			x := row(r)
			for i, xi := range x {
				to := sum[i*n : i*n+n]
				for j := i; j < n; j++ {
					to[j] += float32(xi * x[j])
				}
			}
		}
	})
}

// parallel runs f for every block, on all processors.
func (m *Moments) parallel(f func(block int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for b := range m.sums {
		slots <- struct{}{}
		wg.Go(func() {
			f(b)
			<-slots
		})
	}
	wg.Wait()
}

// factor is a block's H = R·Rᵀ, R upper triangular, as rounding column by column needs it.
type factor struct {
	weight []float32 // R[j][j]²: what the error of column j costs once later columns have made up for what they can
	before []float32 // row j, from j·n on, holds R[i][j]/R[j][j] for i < j
}

// damping is added to the diagonal, as a share of its mean: what a few images do not show may still happen.
const damping = 0.01

// factored returns the factors of all blocks. The sums are gone then.
func (m *Moments) factored() []factor {
	m.once.Do(func() {
		m.factors = make([]factor, len(m.sums))
		m.parallel(func(b int) {
			n := min(m.block, m.k-b*m.block)
			m.factors[b] = factorize(m.sums[b], n, float64(m.rows)/float64(m.rows+doubt*n))
			m.sums[b] = nil
		})
	})
	return m.factors
}

// doubt says how many rows it takes, for each column, to trust what they say of the correlation of columns by half: few
// rows show correlations by chance.
const doubt = 2

// factorize is Cholesky's decomposition from the last column to the first, with correlations taken trust times.
func factorize(sum []float32, n int, trust float64) factor {
	r := make([]float64, n*n) // R transposed: row j holds column j
	mean := 0.0
	for i := range n {
		r[i*n+i] = float64(sum[i*n+i])
		for j := i + 1; j < n; j++ {
			r[j*n+i] = float64(sum[i*n+j]) * trust
		}
		mean += float64(sum[i*n+i]) / float64(n)
	}
	if !(mean > 0) || math.IsInf(mean, 0) { // nothing was seen: columns count alike and on their own
		clear(r)
		mean = 1 / damping
	}
	f := factor{make([]float32, n), make([]float32, n*n)}
	for j := n - 1; j >= 0; j-- {
		col := r[j*n : j*n+j+1]
		d := math.Sqrt(max(col[j], 0) + mean*damping)
		f.weight[j] = float32(d * d / mean)
		for i := range j {
			col[i] /= d
			f.before[j*n+i] = float32(col[i] / d)
		}
		for k := range j { // what is left of the columns before
			c := col[k]
			if c == 0 {
				continue
			}
			to := r[k*n : k*n+k+1]
			for i := range to {
				to[i] -= float64(c * col[i])
			}
		}
	}
	return f
}
