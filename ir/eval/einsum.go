package eval

import (
	"runtime"
	"strings"
	"sync"

	"pgc/ir"
)

// einsum brings the operands to [batch, rows, k] and [batch, columns, k], multiplies, and permutes the product.
func einsum(c *call) (*Tensor, error) {
	e, err := ir.ParseEinsum(c.op.Attrs.(ir.EinsumAttrs).Spec)
	if err != nil {
		return nil, err
	}
	x, y := c.in[0], c.in[1]
	batch := common(e.X, e.Y, e.Out)
	k := without(common(e.X, e.Y), e.Out)
	rows, columns := without(e.X, batch+k), without(e.Y, batch+k)
	xp := x.transpose(permutation(e.X, batch+rows+k))
	yp := y.transpose(permutation(e.Y, batch+columns+k))

	size := func(t *Tensor, labels, of string) int {
		n := 1
		for _, l := range of {
			n *= t.Shape[strings.IndexRune(labels, l)]
		}
		return n
	}
	b, m, n, depth := size(x, e.X, batch), size(x, e.X, rows), size(y, e.Y, columns), size(x, e.X, k)
	product := make([]float64, b*m*n)
	parallel(b*m, 1+1<<16/(1+n*depth), func(lo, hi int) {
		for r := lo; r < hi; r++ {
			at := r / m * n * depth
			products(product[r*n:(r+1)*n], xp.Data[r*depth:(r+1)*depth], yp.Data[at:at+n*depth])
		}
	})
	shape := make([]int, 0, len(e.Out))
	order := batch + rows + columns
	for _, l := range order {
		if i := strings.IndexRune(e.X, l); i >= 0 {
			shape = append(shape, x.Shape[i])
		} else {
			shape = append(shape, y.Shape[strings.IndexRune(e.Y, l)])
		}
	}
	t := &Tensor{ir.F32, shape, product}
	return t.transpose(permutation(order, e.Out)), nil
}

// products sets out[j] to the scalar product of x and row j of y, four rows at a time.
func products(out, x, y []float64) {
	k := len(x)
	j := 0
	for ; j+4 <= len(out); j += 4 {
		y0, y1, y2, y3 := y[j*k:][:k], y[(j+1)*k:][:k], y[(j+2)*k:][:k], y[(j+3)*k:][:k]
		var a0, a1, a2, a3 float64
		for i, v := range x {
			a0 += v * y0[i]
			a1 += v * y1[i]
			a2 += v * y2[i]
			a3 += v * y3[i]
		}
		out[j], out[j+1], out[j+2], out[j+3] = a0, a1, a2, a3
	}
	for ; j < len(out); j++ {
		a := 0.0
		for i, v := range y[j*k:][:k] {
			a += v * x[i]
		}
		out[j] = a
	}
}

// common returns the labels of the first string that all the others contain.
func common(labels string, others ...string) string {
	return strings.Map(func(l rune) rune {
		for _, o := range others {
			if !strings.ContainsRune(o, l) {
				return -1
			}
		}
		return l
	}, labels)
}

// without returns the labels that are not in remove.
func without(labels, remove string) string {
	return strings.Map(func(l rune) rune {
		if strings.ContainsRune(remove, l) {
			return -1
		}
		return l
	}, labels)
}

// permutation returns the index in from of each label of to.
func permutation(from, to string) []int {
	perm := make([]int, 0, len(to))
	for _, l := range to {
		perm = append(perm, strings.IndexRune(from, l))
	}
	return perm
}

// parallel runs body over parts of 0 … n, each at least grain long, with one part per processor.
func parallel(n, grain int, body func(lo, hi int)) {
	parts := min(runtime.GOMAXPROCS(0), n/max(grain, 1))
	if parts <= 1 {
		body(0, n)
		return
	}
	var wg sync.WaitGroup
	for p := range parts {
		wg.Go(func() { body(n*p/parts, n*(p+1)/parts) })
	}
	wg.Wait()
}
