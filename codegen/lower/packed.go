package lower

import "pgc/ir"

// Packed is how the weights that products read are stored, by their keys: the number of neighbours in k that lie side by side.
type Packed map[string]uint8

// kpack is how products with rows of bfloat16, and others, have their weights.
func kpack(bf16 bool) uint8 {
	if bf16 {
		return 2
	}
	return 1
}

// PackedOf finds the weights of a module that products read. A matrix that any product reads whole is stored in panels, for
// lookups, too.
func PackedOf(m *ir.Module) Packed {
	packed := Packed{}
	for _, f := range m.Funcs {
		for _, op := range f.Ops {
			if op.Def == ir.OpMatmul {
				a := op.Attrs.(ir.MatmulAttrs)
				for _, w := range a.Weights(op.In) {
					if p := weight(w); p != nil && (w.Type.Rank() == 2 || p.Type.DType.IsQuantized()) && packed[p.Key] != 1 {
						packed[p.Key] = kpack(a.Factor(op.In) == ir.BF16)
					}
				}
			}
		}
	}
	return packed
}
