package lower

import (
	"slices"
	"strings"

	"pgc/codegen/kernels"
	"pgc/codegen/weights"
	"pgc/ir"
)

// Share lets products that differ in the second ones which they go on with, or in the order of their parts, have one kernel: that of
// the product with most second ones, where there are any. Of those that another lacks it takes no steps. So a model's functions and
// those of adapters, whichever matrices these change, need no kernels of their own for the same products. Likewise products of plain
// parts, those that are alike, have the kernel of that with most parts, of which the others have no rows.
func Share(functions [][]Launch) {
	products, most := map[string]*kernels.Matmul{}, map[string]*kernels.Matmul{} // by key, and by key without second products
	of := func(la *Launch) (key string, s *kernels.Matmul) {
		s, ok := la.Spec.(*kernels.Matmul)
		if !ok || !allPlain(s) && slices.ContainsFunc(s.Parts, isPlain) {
			return "", nil
		}
		return kernels.Key(s), s
	}
	for i := range functions {
		for j := range functions[i] {
			key, s := of(&functions[i][j])
			if s == nil || products[key] != nil {
				continue
			}
			products[key] = s
			if k := withoutSeconds(s); most[k] == nil || optional(s) > optional(most[k]) {
				most[k] = s
			}
		}
	}
	into := map[string]*place{}
	for key, s := range products {
		if w := most[withoutSeconds(s)]; w != s && optional(w) > 0 {
			into[key] = placeOf(s, w)
		}
	}
	if len(into) == 0 {
		return
	}
	for i := range functions {
		for j := range functions[i] {
			la := &functions[i][j]
			if key, s := of(la); s != nil && into[key] != nil {
				la.move(into[key])
			}
		}
	}
}

func isPlain(p kernels.Part) bool { return p.Plain != (kernels.Size{}) }

func allPlain(s *kernels.Matmul) bool {
	return !slices.ContainsFunc(s.Parts, func(p kernels.Part) bool { return !isPlain(p) })
}

// optional counts what a launch may have nothing of: second products and plain parts.
func optional(s *kernels.Matmul) (n int) {
	for _, p := range s.Parts {
		if n += len(p.Second); isPlain(p) {
			n++
		}
	}
	return n
}

// withoutSeconds is the key of a product without them, whatever the order of its parts, and of plain ones whatever their number.
func withoutSeconds(s *kernels.Matmul) string {
	var parts []string
	for _, p := range s.Parts {
		parts = append(parts, partKey(p))
	}
	slices.Sort(parts)
	if allPlain(s) {
		parts = slices.Compact(parts)
	}
	one := *s
	one.Parts = nil
	return kernels.Key(&one) + strings.Join(parts, "\n")
}

// partKey tells parts apart that differ in more than second products and the launch's numbers.
func partKey(p kernels.Part) string {
	p.Second, p.Plain.Own = nil, 0
	return kernels.Key(&kernels.Matmul{Parts: []kernels.Part{p}})
}

// place is where a product finds its own in one with more second products: for every part of that the number of its own, or -1, and
// for every second product there that of its own in the part, or -1.
type place struct {
	in      *kernels.Matmul
	parts   []int
	seconds [][]int
}

// placeOf finds the place of s in w, or nil if there is none.
func placeOf(s, w *kernels.Matmul) *place {
	at := &place{in: w}
	for _, p := range w.Parts {
		i := 0
		for i < len(s.Parts) && (slices.Contains(at.parts, i) || partKey(s.Parts[i]) != partKey(p) || within(s.Parts[i].Second, p.Second) == nil) {
			i++
		}
		if i < len(s.Parts) {
			at.parts, at.seconds = append(at.parts, i), append(at.seconds, within(s.Parts[i].Second, p.Second))
		} else {
			at.parts, at.seconds = append(at.parts, -1), append(at.seconds, nil)
		}
	}
	for i := range s.Parts {
		if !slices.Contains(at.parts, i) {
			return nil
		}
	}
	return at
}

// within returns for each of some second products which of others it is, those in their order and -1 for none, or nil if not
// all of them are there.
func within(others, some []kernels.Second) []int {
	found, next := make([]int, len(some)), 0
	for i, s := range some {
		if found[i] = -1; next < len(others) && others[next].Acc == s.Acc && others[next].Elem == s.Elem && others[next].Columns == s.Columns && sameRows(others[next], s) {
			found[i], next = next, next+1
		}
	}
	if next < len(others) {
		return nil
	}
	return found
}

// sameRows reports whether rows of two second products lie in the same way: one behind the other, or as far apart.
func sameRows(a, b kernels.Second) bool {
	dense := a.XStride == a.K
	return dense == (b.XStride == b.K) && (dense || a.XStride == b.XStride)
}

// move makes a launch of a product one of the product that has a place for it.
func (la *Launch) move(to *place) {
	s := la.Spec.(*kernels.Matmul)
	moved := Launch{Spec: to.in, Packed: map[int]weights.Matrix{}, Op: la.Op}
	take := func(first, n int) {
		for i := first; i < first+n; i++ {
			if m, ok := la.Packed[i]; ok {
				moved.Packed[len(moved.In)] = m
			}
			moved.In = append(moved.In, la.In[i])
		}
	}
	number := func(of kernels.Size, n int64) {
		moved.Own = append(moved.Own, make([]int64, max(0, of.Own-len(moved.Own)))...)
		moved.Own[of.Own-1] = n
	}
	take(0, s.FirstOperand(0))
	for i, p := range to.in.Parts {
		if to.parts[i] < 0 { // without rows
			moved.In, moved.Outs = append(moved.In, make([]*ir.Value, p.Accs+len(p.Extra))...), append(moved.Outs, nil)
			number(p.Plain, 0)
			continue
		}
		of, first := s.Parts[to.parts[i]], s.FirstOperand(to.parts[i])
		own := of.Accs + len(of.Extra)
		take(first, own)
		if isPlain(p) {
			number(p.Plain, la.Own[of.Plain.Own-1])
		}
		for j, second := range p.Second {
			if k := to.seconds[i][j]; k >= 0 {
				take(first+own+2*k, 2)
				number(second.K, la.Own[of.Second[k].K.Own-1])
			} else {
				moved.In = append(moved.In, nil, nil)
				number(second.K, 0)
			}
		}
		moved.Outs = append(moved.Outs, la.Outs[to.parts[i]])
	}
	moved.Outs = append(moved.Outs, la.Outs[len(s.Parts):]...)
	*la = moved
}
