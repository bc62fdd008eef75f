package ptx

import (
	"fmt"
	"slices"

	"pgc/codegen/kernels"
	"pgc/codegen/packing"
	"pgc/ir/tile"
)

// ofFloats reports whether the weights are float32, which tensor cores do not multiply.
func ofFloats(s *kernels.Matmul) bool {
	return slices.ContainsFunc(s.Parts, func(p kernels.Part) bool { return p.Group.Len == 0 && p.Elem == tile.F32 })
}

// floats emits products with float32 weights, in panels as on the CPU and with its bits: an einsum for every accumulator,
// whose warps take a row of x and a panel, and a map for every part's end. They are for small models beside a large one,
// such as convolutions.
func (m *matmul) floats() {
	if m.BF16 {
		fail("weights are f32 and rows of x are bfloat16, expected f32")
	}
	x, xStride := kernels.Arg{Kind: kernels.ArgIn}, m.XStride
	if m.Prologue != nil {
		x, xStride = m.rows(), padded(m.K)
	}
	for i := range m.Parts {
		p := &m.Parts[i]
		if p.Argmax > 0 || p.Elem != tile.F32 || p.Group.Len > 0 {
			fail("some weights of a product are f32, expected all of them, and no argmax")
		}
		const width = packing.PanelWidth
		perBlock := stripsOfBlock(p) * width // columns with the padding of a block to panels
		row := p.Blocks * perBlock
		first := m.FirstOperand(i)
		end := &kernels.Map{Dims: []kernels.Size{m.M, kernels.Const(p.Blocks), kernels.Const(p.N)}, Exprs: p.Exprs, Outs: p.Outs,
			Scatter: p.Scatter.Behind(p.Accs)}
		var sums []kernels.Arg
		for j := range p.Accs {
			sum := m.work(4 * m.M.N * row)
			m.add(fmt.Sprintf("sums%d_%d", i, j), &kernels.Einsum{
				Dims: []kernels.Size{m.M, kernels.Const(p.Blocks), kernels.Const(stripsOfBlock(p)), kernels.Const(width)}, Sum: []kernels.Size{kernels.Const(m.K)},
				X: []int64{xStride, 0, 0, 0, 1}, Y: []int64{0, perBlock * m.K, width * m.K, 1, width}, Out: []int64{row, perBlock, width, 1},
			}, func(a kernels.Arg) kernels.Arg {
				switch {
				case a.Kind == kernels.ArgOut:
					return sum
				case a.Kind == kernels.ArgIn && a.Index == 1:
					a.Index = first + j
				case a.Kind == kernels.ArgIn:
					return x
				}
				return a
			})
			sums = append(sums, sum)
			end.In = append(end.In, kernels.Operand{Elem: tile.F32, Strides: []int64{row, perBlock, 1}})
		}
		end.In = append(end.In, p.Extra...)
		m.add(fmt.Sprintf("end%d", i), end, func(a kernels.Arg) kernels.Arg {
			switch {
			case a.Kind == kernels.ArgOut:
				a.Index = i
			case a.Kind == kernels.ArgIn && a.Index < p.Accs:
				return sums[a.Index]
			case a.Kind == kernels.ArgIn:
				a.Index += first
			}
			return a
		})
	}
}
