package lower

import "pgc/ir"

// packing is how a weight is stored for products; the zero packing is that of tensors which none reads.
type packing uint8

const (
	unpacked packing = iota
	inPanels
	inPairs // of k, in panels
)

func packingOf(pairs bool) packing {
	if pairs {
		return inPairs
	}
	return inPanels
}

// Packed says how weights are stored, by their keys.
type Packed map[string]packing

// PackedOf finds the weights of a module that products read. A matrix that any product reads whole is stored in panels, for
// lookups, too.
func PackedOf(m *ir.Module) Packed {
	packed := Packed{}
	for _, f := range m.Funcs {
		for _, op := range f.Ops {
			if op.Def == ir.OpMatmul {
				a := op.Attrs.(ir.MatmulAttrs)
				for _, w := range a.Weights(op.In) {
					if p := weight(w); p != nil && (w.Type.Rank() == 2 || p.Type.DType.IsQuantized()) && packed[p.Key] != inPanels {
						packed[p.Key] = packingOf(a.Factor(op.In) == ir.BF16)
					}
				}
			}
		}
	}
	return packed
}
