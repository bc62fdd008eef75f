package bench

import (
	"fmt"
	"slices"

	"pgc/codegen/kernels"
	"pgc/codegen/packing"
	"pgc/codegen/schedule"
	"pgc/ir/quant"
	"pgc/ir/scalar"
	"pgc/ir/target"
	"pgc/ir/tile"
	"pgc/runtime/program"
)

// attentionClass stands for attention among the classes of products.
const attentionClass schedule.Class = "Attention"

// job searches the schedule of a class for some number of rows.
type job struct {
	class schedule.Class
	rows  int64                                                  // 0 for attention
	space func(target.Target) schedule.Space[schedule.Attention] // of attention
	laps  []subject
}

// subject is a kernel that is timed.
type subject struct {
	name   string
	spec   kernels.Spec
	in     []int64 // bytes of its operands; the last ones are weights or keys and values
	weight int     // the operand that is another slice of memory every time, or -1
	out    int64   // bytes of its result
	ops    int64   // operations
	row    Row     // whose limit they have
}

// storage lists what products multiply: weights, and groups of x.
var storage = []struct {
	name string
	elem tile.Elem
	w, x kernels.Group
	bf16 bool
}{
	{"f32", tile.F32, kernels.Group{}, kernels.Group{}, false},
	{"bf16", tile.BF16, kernels.Group{}, kernels.Group{}, false},
	{"bf16 by bf16", tile.BF16, kernels.Group{}, kernels.Group{}, true},
	{"int8", tile.I8, kernels.Group{Format: quant.Int8, Len: 128}, kernels.Group{Format: quant.Int8, Len: 128}, false},
	{"int4", tile.I8, kernels.Group{Format: quant.Int4, Len: 128}, kernels.Group{Format: quant.Int8, Len: 128}, false},
	{"int4 by f32", tile.I8, kernels.Group{Format: quant.Int4, Len: 128}, kernels.Group{}, false},
}

const (
	promptRows = 266     // rows of a picture of 224 pixels and ten tokens
	batchRows  = 8       // rows of a batch
	sliceBytes = 4 << 20 // of weights that one run of one or few rows reads
	manyWide   = 256     // columns that one run of many rows multiplies
)

// products returns the kernels that multiply some rows by K×N weights.
func products(o TuneOptions, rows int64) (list []subject) {
	for _, f := range storage {
		n := min(o.N, manyWide)
		perColumn := o.K * int64(f.elem.Bytes())
		if f.w.Len > 0 {
			perColumn = f.w.PackedBytes(1, packing.PanelPad, o.K) / packing.PanelPad
		}
		if rows <= batchRows {
			n = min(o.N, max(packing.PanelPad, sliceBytes/perColumn/packing.PanelPad*packing.PanelPad))
		}
		s := &kernels.Matmul{M: kernels.Const(rows), K: o.K, XStride: o.K, X: f.x, BF16: f.bf16, Parts: []kernels.Part{{
			Blocks: 1, N: n, Elem: f.elem, Group: f.w, Accs: 1,
			Exprs: []*scalar.Expr{scalar.X(0, scalar.F32)},
			Outs:  []kernels.Out{{Elem: tile.F32, Strides: []int64{n, 0, 1}}}}}}
		x := rows * o.K * 4
		if f.x.Len > 0 {
			x = rows * quant.RowLayout(o.K, f.x.Len).Bytes
		}
		w := packing.Len(1, n, packing.PaddedK(o.K, f.bf16)) * int64(f.elem.Bytes())
		if f.w.Len > 0 {
			w = f.w.PackedBytes(1, n, o.K)
		}
		of := Row{Flops: 2 * rows * o.K * n, Bytes: w, lhs: program.DType(s.LHS().String()), rhs: program.DType(s.Parts[0].RHS().String())}
		list = append(list, subject{name: fmt.Sprintf("%s %d×%d×%d", f.name, rows, o.K, n), spec: s, in: []int64{x, w}, weight: 1,
			out: rows * n * 4, ops: of.Flops, row: of})
	}
	return list
}

// attentions returns those of the encoder and of a prompt, of so many patches and tokens.
func attentions(patches, tokens int64) (list []subject) {
	p, t := kernels.Const(patches), kernels.Const(tokens)
	for _, s := range []kernels.Attention{
		{S: p, T: p, G: 8, R: 1, H: 72, Scale: .1},
		{S: t, T: t, G: 1, R: 8, H: 256, Scale: .1, Causal: true, Prefix: t, Offset: kernels.Const(0)},
	} {
		heads := s.G * s.R
		s.Q = [4]int64{heads * s.H, s.R * s.H, s.H, 1}
		s.KV, s.Elem = tile.F32, tile.F32
		s.Out, s.K, s.V = s.Q, [3]int64{s.G * s.H, s.H, 1}, [3]int64{s.G * s.H, s.H, 1}
		ops := 4 * s.S.N * s.T.N * heads * s.H
		q, kv := 4*s.S.N*heads*s.H, 4*s.T.N*s.G*s.H
		list = append(list, subject{name: fmt.Sprintf("attention %d×%d, %d heads of %d", s.S.N, s.T.N, heads, s.H), spec: &s,
			in: []int64{q, kv, kv}, weight: -1, out: q, ops: ops, row: Row{Flops: ops}})
	}
	return list
}

// jobs lists what is searched: each class that this target has, for many rows, one and few.
func jobs(o TuneOptions) (list []*job) {
	wanted := func(c schedule.Class) bool { return len(o.Only) == 0 || slices.Contains(o.Only, string(c)) }
	for _, rows := range []int64{promptRows, 1, batchRows} {
		of := map[schedule.Class]*job{}
		for _, s := range products(o, rows) {
			c := s.spec.(*kernels.Matmul).Class(o.Target)
			if !wanted(c) {
				continue
			}
			if of[c] == nil {
				of[c] = &job{class: c, rows: rows}
				list = append(list, of[c])
			}
			of[c].laps = append(of[c].laps, s)
		}
	}
	if wanted(attentionClass) {
		list = append(list, &job{class: attentionClass, space: schedule.OfAttention, laps: attentions(256, promptRows)},
			&job{class: attentionClass, space: schedule.OfStrips, laps: attentions(1024, 512)})
	}
	return list
}

// classes lists the names that Only may have.
func classes(o TuneOptions) (names []string) {
	o.Only = nil
	for _, j := range jobs(o) {
		if !slices.Contains(names, string(j.class)) {
			names = append(names, string(j.class))
		}
	}
	return names
}

// search finds the best schedule of the job's rows and notes it in t.
func (j *job) search(m *meter, t *Tuned, seconds float64) error {
	var both []result
	var err error
	if j.class == attentionClass {
		space := j.space(m.o.Target)
		t.Attention, both, err = search("Attention, "+space.Name, space, t.Attention, seconds, m.o.Log, func(cs []schedule.Attention, seconds float64) (int, []result, error) {
			return m.race(j.laps, len(cs), seconds, func(i int) *schedule.Table {
				row := cs[i]
				row.Family, row.Lanes = m.o.Target.Family, m.o.Target.Lanes
				return &schedule.Table{Products: schedule.Default.Products, Attentions: append([]schedule.Attention{row}, schedule.Default.Attentions...)}
			})
		})
	} else {
		of := map[int64]func(schedule.Class, target.Target) schedule.Space[schedule.Product]{promptRows: schedule.OfMany, 1: schedule.OfOne, batchRows: schedule.OfFew}[j.rows]
		space := of(j.class, m.o.Target)
		t.Product, both, err = search(fmt.Sprintf("%s, %s", j.class, space.Name), space, t.Product, seconds, m.o.Log, func(cs []schedule.Product, seconds float64) (int, []result, error) {
			return m.race(j.laps, len(cs), seconds, func(i int) *schedule.Table {
				return schedule.Default.With(schedule.Row{Class: j.class, Family: m.o.Target.Family, Lanes: m.o.Target.Lanes, Product: cs[i]})
			})
		})
	}
	if err != nil {
		return err
	}
	for i, s := range j.laps {
		t.Lines = append(t.Lines, m.line(s, both[0].laps[i], both[1].laps[i]))
	}
	return nil
}
