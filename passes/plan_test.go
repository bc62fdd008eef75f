package passes_test

import (
	"testing"
	"time"

	"pgc/ir"
	"pgc/models/paligemma"
	"pgc/passes"
)

// model3B is the shape of PaliGemma 3B at 224 pixels.
func model3B(t testing.TB) *ir.Module {
	t.Helper()
	cfg := paligemma.Config{
		Vision: paligemma.Vision{HiddenSize: 1152, IntermediateSize: 4304, NumHiddenLayers: 27, NumAttentionHeads: 16, ImageSize: 224, PatchSize: 14, LayerNormEps: 1e-6},
		Text: paligemma.Text{VocabSize: 257216, HiddenSize: 2048, IntermediateSize: 16384, NumHiddenLayers: 18, NumAttentionHeads: 8,
			NumKeyValueHeads: 1, HeadDim: 256, RMSNormEps: 1e-6, RopeTheta: 1e4, QueryPreAttnScalar: 256, TieWordEmbeddings: true}}
	m, err := paligemma.Graph(cfg, paligemma.Options{MaxTokens: 1024, DType: func(string) ir.DType { return ir.BF16 }})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// span is the arena memory of a value and when it must hold it.
type span struct {
	v        *ir.Value
	lo, hi   int64
	from, to int
}

// spans recomputes when each arena buffer is in use, from the operations alone.
func spans(f *ir.Func) []*span {
	owner := map[*ir.Value]*span{}
	var list []*span
	for i, op := range f.Ops {
		for _, v := range op.In {
			if s := owner[v]; s != nil {
				s.to = i
			}
		}
		b := op.Out.Buf
		if b == nil || b.Space != ir.Arena {
			continue
		}
		switch op.Def {
		case ir.OpReshape, ir.OpTranspose, ir.OpSlice, ir.OpBroadcast:
			owner[op.Out] = owner[op.In[0]]
			continue
		}
		n := op.Out.Type.DType.MemoryBytes()
		for _, d := range op.Out.Type.Shape {
			n *= int64(f.Module.MaxDim(d))
		}
		s := &span{op.Out, b.Offset, b.Offset + n, i, i}
		owner[op.Out] = s
		list = append(list, s)
	}
	return list
}

// TestPlan checks on the 3B graphs that no two buffers in use overlap, and how near the arena is to what must be alive.
func TestPlan(t *testing.T) {
	m := model3B(t)
	start := time.Now()
	if err := passes.Optimize(m, passes.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Logf("the pipeline took %v", time.Since(start))
	for _, f := range m.Funcs {
		list := spans(f)
		for i, a := range list {
			for _, b := range list[:i] {
				if a.from <= b.to && b.from <= a.to && a.lo < b.hi && b.lo < a.hi {
					t.Errorf("@%s: %s and %s overlap while both are in use", f.Name, a.v.Def, b.v.Def)
				}
			}
		}
		arena := passes.ArenaOf(f)
		t.Logf("@%-13s %3d operations, arena %9d bytes, alive at once %9d", f.Name, len(f.Ops), arena.Bytes, arena.LowerBound)
		if float64(arena.Bytes) > 1.05*float64(arena.LowerBound) {
			t.Errorf("@%s: the arena is more than 5 %% over what is alive at once", f.Name)
		}
	}
}

// TestDeterministic optimizes twice and compares the text.
func TestDeterministic(t *testing.T) {
	var texts [2]string
	for i := range texts {
		m := model3B(t)
		if err := passes.Optimize(m, passes.Options{}); err != nil {
			t.Fatal(err)
		}
		texts[i] = m.String()
	}
	if texts[0] != texts[1] {
		t.Error("two runs of the pipeline give different graphs")
	}
}
