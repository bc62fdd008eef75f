package ptx

import (
	"fmt"
	"slices"

	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/ir/scalar"
	"pgc/ir/tile"
)

// rowAlign is the number of elements that rows of x in the workspace are padded to, as copies of 16 bytes need. Padding
// is never used.
const rowAlign = 8

// padded returns the distance of rows of k elements.
func padded(k int64) int64 { return (k + rowAlign - 1) / rowAlign * rowAlign }

// matmul is a product being built: its kernels, and the memory that they hand on to each other.
type matmul struct {
	*kernels.Matmul
	name string
	out  *backend.Launches
}

// multiply emits the kernels of a matmul. Up to eight rows are one kernel for parts that are alike, prologue and all.
// More rows first become rows of bfloat16 that begin at multiples of 16 bytes, if they are not such. Products with float32
// weights have kernels of their own.
func multiply(name string, s *kernels.Matmul) (out *backend.Launches, err error) {
	defer recovered(name, &err)
	if s.X.Len > 0 {
		fail("rows of x are integers, expected floats")
	}
	if slices.ContainsFunc(s.Parts, func(p kernels.Part) bool { return len(p.Second) > 0 }) {
		fail("accumulators go on with second products, expected products of their own (pass join-products)")
	}
	m := &matmul{s, name, &backend.Launches{}}
	if ofFloats(s) {
		m.floats()
		return m.out, nil
	}
	if s.M.Sym == "" && s.M.N <= fewRows {
		m.few()
	} else {
		m.many()
	}
	return m.out, nil
}

// work takes n bytes of the workspace.
func (m *matmul) work(n int64) kernels.Arg {
	at := m.out.WorkBytes
	m.out.WorkBytes = (at + n + 255) / 256 * 256
	return kernels.Arg{Kind: kernels.ArgWork, Index: int(at)}
}

// add adds a kernel of a spec, in which `with` replaces arguments.
func (m *matmul) add(name string, s kernels.Spec, with func(a kernels.Arg) kernels.Arg) {
	k, err := emitSpec(m.name+"_"+name, s)
	if err != nil {
		panic(failure(err.Error()))
	}
	for i, a := range k.Args {
		k.Args[i] = with(a)
	}
	m.out.Kernels = append(m.out.Kernels, k)
}

// few emits products of up to eight rows.
func (m *matmul) few() {
	rows := &kernels.Rows{Matmul: m.Matmul}
	var x *kernels.Arg
	for i, parts := range alike(m.Matmul) {
		f := newFew(m.Matmul, parts)
		if f.chunks() > 1 && m.Prologue != nil { // their rows are too many to be computed in every block
			if x == nil {
				at := m.rows()
				x = &at
			}
			rows = &kernels.Rows{Matmul: &kernels.Matmul{M: m.M, K: m.K, XStride: padded(m.K), BF16: m.BF16, Aligned: true}}
		}
		work := m.work(f.sumsOfAll())
		m.out.Kernels = append(m.out.Kernels, f.build(fmt.Sprintf("%s_%d", m.name, i), rows, x, i == 0 && x == nil, int64(work.Index)))
	}
}

// rows emits what computes x by its prologue into the workspace, rows padded(K) elements apart, and returns where.
func (m *matmul) rows() kernels.Arg {
	out := kernels.Out{Elem: tile.F32, Strides: []int64{padded(m.K), 1}, Aligned: true}
	if m.BF16 {
		out.Elem = tile.BF16
	}
	x := m.work(int64(out.Elem.Bytes()) * m.M.N * padded(m.K))
	for i, e := range m.Prologue.Exprs { // x, then the further results, which come behind those of the parts
		row := &kernels.Row{Outer: []kernels.Size{m.M}, C: kernels.Const(m.K), In: m.Prologue.In, Reduce: m.Prologue.Reduce, Expr: e, Out: out}
		to := x
		if i > 0 {
			row.Out, to = m.Prologue.Outs[i-1], kernels.Arg{Kind: kernels.ArgOut, Index: len(m.Parts) + i - 1}
		}
		m.add(fmt.Sprintf("prologue%d", i), row, instead(kernels.ArgOut, to))
	}
	return x
}

// instead replaces arguments of a kind.
func instead(kind kernels.ArgKind, by kernels.Arg) func(a kernels.Arg) kernels.Arg {
	return func(a kernels.Arg) kernels.Arg {
		if a.Kind == kind {
			return by
		}
		return a
	}
}

// many emits products of more rows.
func (m *matmul) many() {
	x, stride := kernels.Arg{Kind: kernels.ArgIn}, m.XStride
	if m.Prologue != nil || !m.BF16 || !m.Aligned {
		x, stride = m.planes(), planesOf(m.Matmul)*padded(m.K)
	}
	for i, parts := range alike(m.Matmul) {
		g := newMany(m.Matmul, parts, stride)
		var sums kernels.Arg
		if g.Affine() {
			sums = m.work(4 * sumsRow(m.M) * g.Group.Blocks(m.K))
			m.out.Kernels = append(m.out.Kernels, g.groupSums(fmt.Sprintf("%s_sums%d", m.name, i), x, sums))
		}
		bytes := int64(0)
		if g.split > 1 {
			for _, part := range parts {
				bytes += g.split * partialBytes(m.Matmul, part)
			}
		}
		at := m.work(bytes)
		m.out.Kernels = append(m.out.Kernels, g.build(fmt.Sprintf("%s_%d", m.name, i), x, sums, int64(at.Index)))
		if g.split > 1 {
			var ends []finish
			for _, part := range parts {
				ends = append(ends, m.finish(part, g.split, at))
				at.Index += int(g.split * partialBytes(m.Matmul, part))
			}
			m.finishAll(ends)
		}
	}
}

// finish is what adds the sums of all parts of K, in their order, and applies the expressions of a part to them: a map, and
// where its operands and result lie.
type finish struct {
	part int
	spec *kernels.Map
	with func(a kernels.Arg) kernels.Arg
}

func (m *matmul) finish(part int, split int64, at kernels.Arg) finish {
	p := &m.Parts[part]
	n := p.Blocks * p.N
	s := &kernels.Map{Dims: []kernels.Size{m.M, kernels.Const(p.Blocks), kernels.Const(p.N)}, Outs: p.Outs}
	args := make([]*scalar.Expr, p.Accs+len(p.Extra))
	var offsets []int64
	for j := range p.Accs {
		for i := range split {
			x := scalar.X(len(s.In), scalar.F32)
			if i == 0 {
				args[j] = x
			} else {
				args[j] = scalar.Fn(scalar.Add, args[j], x)
			}
			offset := i*partialBytes(m.Matmul, part) + int64(j)*m.M.N*n*4
			s.In = append(s.In, kernels.Operand{Elem: tile.F32, Strides: []int64{n, p.N, 1}, Aligned: offset%16 == 0})
			offsets = append(offsets, offset)
		}
	}
	for i, o := range p.Extra {
		args[p.Accs+i] = scalar.X(len(s.In), scalar.Type(0))
		if o.Rows != nil {
			fail("an operand of the epilogue is a lookup")
		}
		s.In = append(s.In, o)
	}
	for _, e := range p.Exprs {
		s.Exprs = append(s.Exprs, substituted(e, args))
	}
	s.Scatter = p.Scatter.Behind(len(offsets))
	first := m.FirstOperand(part) + p.Accs
	return finish{part, s, func(a kernels.Arg) kernels.Arg {
		switch {
		case a.Kind == kernels.ArgIn && a.Index < len(offsets):
			return kernels.Arg{Kind: kernels.ArgWork, Index: at.Index + int(offsets[a.Index])}
		case a.Kind == kernels.ArgIn:
			a.Index += first - len(offsets)
		case a.Kind == kernels.ArgOut:
			a.Index = part
		}
		return a
	}}
}

// substituted is an expression with others for its arguments, whose types stay.
func substituted(e *scalar.Expr, args []*scalar.Expr) *scalar.Expr {
	if e.Op == scalar.Arg {
		if x := args[e.Index]; x.Op == scalar.Arg {
			return scalar.X(x.Index, e.Type)
		}
		return args[e.Index]
	}
	out := *e
	out.Args = make([]*scalar.Expr, len(e.Args))
	for i, a := range e.Args {
		out.Args[i] = substituted(a, args)
	}
	return &out
}

// argmax emits the kernels of a product whose tasks keep pairs of a value and its index, and of the row that finds the
// greatest.
func argmax(name string, s *kernels.Argmax) (out *backend.Launches, err error) {
	defer recovered(name, &err)
	product, row, n := s.Partials()
	if !ofFloats(s.Matmul) && newFew(s.Matmul, []int{0}).split > 1 {
		product, row, n = inOneRow(s.Matmul)
	}
	out, err = multiply(name, product)
	if err != nil {
		return nil, err
	}
	pairs := int(out.WorkBytes)
	last := out.Kernels[len(out.Kernels)-1]
	for i, a := range last.Args {
		last.Args[i] = instead(kernels.ArgOut, kernels.Arg{Kind: kernels.ArgWork, Index: pairs})(a)
	}
	k, err := emitSpec(name+"_index", row)
	if err != nil {
		return nil, err
	}
	for i, a := range k.Args {
		if a.Kind == kernels.ArgIn { // values, and behind them indices
			k.Args[i] = kernels.Arg{Kind: kernels.ArgWork, Index: pairs + a.Index*int(4*n)}
		}
	}
	out.Kernels, out.WorkBytes = append(out.Kernels, k), out.WorkBytes+8*n
	return out, nil
}

// inOneRow is an argmax of all columns, for products whose blocks share K: they have the bits of those that keep all.
func inOneRow(s *kernels.Matmul) (product *kernels.Matmul, row *kernels.Row, n int64) {
	m := *s
	n = m.Parts[0].N
	m.Parts = slices.Clone(m.Parts)
	m.Parts[0].Outs = []kernels.Out{{Elem: tile.F32, Strides: []int64{n, n, 1}}}
	values, indices := kernels.Operand{Elem: tile.F32, Strides: []int64{n, 1}}, kernels.Operand{Kind: kernels.Index, Dim: 1, Elem: tile.I32, Strides: []int64{0, 0}}
	return &m, kernels.ArgmaxRow(values, indices, []kernels.Size{kernels.Const(1)}, kernels.Const(n), []int64{1, 1}), n
}
