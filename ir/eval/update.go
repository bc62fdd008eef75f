package eval

import (
	"fmt"
	"slices"

	"pgc/ir"
)

func dynamicSlice(c *call) (*Tensor, error) {
	x, axis, start := c.in[0], c.op.Attrs.(ir.DynamicSliceAttrs).Axis, int(c.in[1].Data[0])
	if limit := start + c.shape[axis]; start < 0 || limit > x.Shape[axis] {
		return nil, fmt.Errorf("elements %d to %d are outside axis %d of %v", start, limit, axis, x.Shape)
	}
	own := strides(x.Shape)
	out := make([]float64, count(c.shape))
	if len(out) > 0 {
		copyStrided(out, x.Data[start*own[axis]:], c.shape, own)
	}
	return c.result(out)
}

func dynamicUpdateSlice(c *call) (*Tensor, error) {
	state, update := c.in[0], c.in[1]
	own, first := strides(state.Shape), 0
	for i, s := range c.in[2:] {
		start := int(s.Data[0])
		if start < 0 || start+update.Shape[i] > state.Shape[i] {
			return nil, fmt.Errorf("elements %d to %d are outside dimension %d of the state, %v", start, start+update.Shape[i], i, state.Shape)
		}
		first += start * own[i]
	}
	out := slices.Clone(state.Data)
	inner := strides(update.Shape)
	for i, v := range update.Data {
		at := first
		for d, n := range inner {
			at += i / n % update.Shape[d] * own[d]
		}
		out[at] = v
	}
	return c.result(out)
}

func scatter(c *call) (*Tensor, error) {
	state, update, positions := c.in[0], c.in[1], c.in[2]
	row, rows, slots := count(state.Shape[2:]), update.Shape[1], state.Shape[1]
	out := slices.Clone(state.Data)
	for b, p := range positions.Data {
		for s := range rows {
			if at := int(p) + s; at >= 0 && at < slots {
				copy(out[(b*slots+at)*row:][:row], update.Data[(b*rows+s)*row:])
			}
		}
	}
	return c.result(out)
}
