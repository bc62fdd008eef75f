package ptx

import (
	"fmt"

	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// expression is a scalar expression that kernels with a loop of their own compute in registers, a value in each thread.
type expression struct {
	body   *tile.Block
	inputs int
	result *tile.Value
}

// newExpression prepares an expression of so many inputs.
func newExpression(x *scalar.Expr, inputs int) *expression {
	out := &expression{inputs: inputs}
	k, err := tile.Build("expression", func(b *tile.Builder) {
		var args []*tile.Value
		for i := range inputs {
			args = append(args, b.Load(b.Ptr(fmt.Sprintf("x%d", i), tile.F32), b.Int(0), warp))
		}
		out.result = b.Expr(scalar.Lower(x), args, warp)
	})
	if err != nil {
		fail("%v", err)
	}
	out.body = k.Body
	return out
}

// apply computes an expression of registers.
func (a *asm) apply(x *expression, inputs ...string) string {
	e := newEmitter(a)
	e.each = 1
	for _, v := range inputs {
		e.params = append(e.params, binding{held: []string{v}})
	}
	e.block(x.body)
	return e.element(x.result, 0)
}
