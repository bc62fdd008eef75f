package eval

import "pgc/ir"

// conv2d sums what every filter sees at every place.
func conv2d(c *call) (*Tensor, error) {
	a := c.op.Attrs.(ir.ConvAttrs)
	x, w := c.in[0], c.in[1]
	out := c.bias()
	each(c.shape, func(i, j, o, at int) {
		for channel := range w.Shape[1] {
			for u := range w.Shape[2] {
				for v := range w.Shape[3] {
					h, k := a.Stride*i+u-a.Padding, a.Stride*j+v-a.Padding
					if h >= 0 && k >= 0 && h < x.Shape[0] && k < x.Shape[1] {
						out[at] += w.at(o, channel, u, v) * x.at(h, k, channel)
					}
				}
			}
		}
	})
	return c.result(out)
}

// convTranspose2d adds to the result what every element of x makes of every filter.
func convTranspose2d(c *call) (*Tensor, error) {
	a := c.op.Attrs.(ir.ConvAttrs)
	x, w := c.in[0], c.in[1]
	out := c.bias()
	each(x.Shape, func(h, k, channel, at int) {
		for o := range w.Shape[1] {
			for u := range w.Shape[2] {
				for v := range w.Shape[3] {
					i, j := a.Stride*h+u-a.Padding, a.Stride*k+v-a.Padding
					if i >= 0 && j >= 0 && i < c.shape[0] && j < c.shape[1] {
						out[(i*c.shape[1]+j)*c.shape[2]+o] += w.at(channel, o, u, v) * x.Data[at]
					}
				}
			}
		}
	})
	return c.result(out)
}

// bias is the result before anything is added: the bias, or 0.
func (c *call) bias() []float64 {
	if len(c.in) < 3 {
		return make([]float64, count(c.shape))
	}
	return append([]float64(nil), c.in[2].broadcast(c.shape)...)
}

// each visits the elements of a tensor of three dimensions in order.
func each(shape []int, visit func(i, j, k, at int)) {
	at := 0
	for i := range shape[0] {
		for j := range shape[1] {
			for k := range shape[2] {
				visit(i, j, k, at)
				at++
			}
		}
	}
}

// at is an element.
func (t *Tensor) at(index ...int) float64 {
	at := 0
	for i, n := range index {
		at = at*t.Shape[i] + n
	}
	return t.Data[at]
}
