package passes

import "pgc/ir"

// Observe adds results to f: the activations that weights are multiplied with, for the weights whose keys want selects.
// It returns the names of the results by key; weights of one activation, such as those of queries, keys and values,
// share a name. Calibration calls it on the plain graph, before all passes.
func Observe(f *ir.Func, want func(key string) bool) map[string]string {
	names := map[string]string{}
	seen := map[*ir.Value]string{}
	for _, op := range f.Ops {
		if op.Def != ir.OpEinsum {
			continue
		}
		w := parameterOf(op.In[1])
		if w == nil || w.Kind != ir.Weight || !want(w.Key) {
			continue
		}
		x := op.In[0]
		if seen[x] == "" {
			seen[x] = "input of " + w.Key
			f.Return(seen[x], x)
		}
		names[w.Key] = seen[x]
	}
	return names
}

// parameterOf follows conversions and reshapes to a parameter, or returns nil.
func parameterOf(v *ir.Value) *ir.Value {
	for v.Def != nil && (v.Def.Def == ir.OpConvert || v.Def.Def == ir.OpReshape) {
		v = v.Def.In[0]
	}
	if v.IsParam() {
		return v
	}
	return nil
}
