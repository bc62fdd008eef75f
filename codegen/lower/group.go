package lower

import (
	"math"

	"pgc/codegen/kernels"
	"pgc/ir"
)

// Unnamed returns a spec whose symbols are called by their order, and what they are called in the module: attention of one sequence
// among several differs from that of the others by symbols only, and is the same kernel.
func Unnamed(spec kernels.Spec) (kernels.Spec, map[string]string) {
	a, ok := spec.(*kernels.Attention)
	if !ok {
		return spec, nil
	}
	b := *a
	short, names := map[string]string{}, map[string]string{}
	for _, s := range []*kernels.Size{&b.S, &b.T, &b.Prefix, &b.Offset} {
		if s.Sym == "" {
			continue
		}
		if short[s.Sym] == "" {
			short[s.Sym] = string(rune('a' + len(short)))
			names[short[s.Sym]] = s.Sym
		}
		s.Sym = short[s.Sym]
	}
	return &b, names
}

// Grouped cuts a function's launches into runs that become one launch each: neighbors of one kernel, a constant number of tasks, and
// results that no other of the run reads or writes. So the sequences of a batch are worked on at once, by all threads. tasks gives the
// factors of a spec's number of tasks.
func Grouped(m *ir.Module, all []Launch, tasks func(kernels.Spec) ([]kernels.Factor, error)) ([][]Launch, error) {
	var out [][]Launch
	for first := 0; first < len(all); {
		key, end := specKey(all[first]), first+1
		for end < len(all) && specKey(all[end]) == key && apart(m, all[first:end], all[end]) {
			end++
		}
		if end-first > 1 {
			spec, _ := Unnamed(all[first].Spec)
			factors, err := tasks(spec)
			if err != nil {
				return nil, err
			}
			for _, f := range factors {
				if f.Size.Sym != "" {
					end = first + 1
				}
			}
		}
		out = append(out, all[first:end])
		first = end
	}
	return out, nil
}

func specKey(l Launch) string {
	spec, _ := Unnamed(l.Spec)
	return kernels.Key(spec)
}

// apart reports whether a launch may run at the same time as others.
func apart(m *ir.Module, others []Launch, one Launch) bool {
	reads, writes := places(m, one.In), places(m, one.Outs)
	for _, o := range others {
		theirs := places(m, o.Outs)
		if meet(theirs, reads) || meet(theirs, writes) || meet(places(m, o.In), writes) {
			return false
		}
	}
	return true
}

// place is a range of bytes of a memory that kernels write.
type place struct {
	space    ir.Space
	of       any // which state, input or output
	from, to int64
}

// places are where values lie; weights and what has no memory are left out.
func places(m *ir.Module, values []*ir.Value) []place {
	var out []place
	for _, v := range values {
		b := v.Buf
		if b == nil || b.Space == ir.Weights || b.Space == ir.Folded {
			continue
		}
		p := place{space: b.Space, from: b.Offset, to: b.Offset + v.Type.DType.MemoryBytes()}
		switch b.Space {
		case ir.States, ir.Inputs:
			p.of = b.Param
		case ir.Outputs:
			p.of = b.Result
		}
		for i, d := range v.Type.Shape {
			p.to += int64(max(m.MaxDim(d)-1, 0)) * b.Strides[i] * v.Type.DType.MemoryBytes()
		}
		if v.Type.DType.IsQuantized() {
			p.to = p.from + m.Bytes(v.Type)
		}
		if len(b.Terms) > 0 {
			p.from, p.to = 0, math.MaxInt64
		}
		out = append(out, p)
	}
	return out
}

func meet(x, y []place) bool {
	for _, a := range x {
		for _, b := range y {
			if a.space == b.space && a.of == b.of && a.from < b.to && b.from < a.to {
				return true
			}
		}
	}
	return false
}
