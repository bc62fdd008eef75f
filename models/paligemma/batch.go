package paligemma

import (
	"fmt"
	"math"

	. "pgc/frontend"
	"pgc/ir"
	"pgc/runtime/entry"
)

// Sequences is how many sequences decode_batch works on at once. Each has a KV cache of its own: those of the first are the states
// k0, v0, k1 … that prefill and decode work on, those of sequence i are k0.i, v0.i ….
const Sequences = 8

// PastOf is the symbol that counts the tokens before the one of sequence i in decode_batch.
func PastOf(i int) string { return fmt.Sprintf("past%d", i) }

// defineBatch adds the functions that do for Sequences sequences at once what decode, step and logits do for one, with the same bits:
// the rows of products are the sequences' tokens, so that weights are read once for all. A sequence that is not there has a token and
// a position like any other, 0, and nobody reads its results.
func defineBatch(m *Module, cfg Config, opt Options) {
	define := func(name string, body func(b *builder)) {
		m.Func(name, func(f *Func) { body(&builder{cfg, opt, f}) })
	}
	opt.Trace = false
	var pasts []ir.Dim
	for i := range Sequences {
		pasts = append(pasts, m.Symbol(PastOf(i), opt.MaxTokens))
	}
	all := func(b *builder, next *Value) *Value {
		positions := Reshape(b.f.Input(entry.InPositions, ir.I32, Sequences), Sequences, 1)
		x := b.decoder(b.embedText(next), call{rows: ir.D(Sequences), positions: positions, pasts: pasts})
		return b.keep(b.last(Sequences), ir.D(0), x)
	}
	define(entry.DecodeBatch, func(b *builder) { all(b, b.next(Sequences)) })
	define(entry.StepBatch, func(b *builder) {
		next := b.next(Sequences)
		b.choose(next, all(b, next))
	})
	define(entry.LogitsBatch, func(b *builder) { b.f.Return(entry.OutLogits, b.head(b.last(Sequences))) })
}

// each is the attention of sequences whose tokens are the rows of q, k and v: over its own cache each, whose keys behind its token hide
// as those of a future.
func (b *builder) each(layer int, q, k, v *Value, c call) *Value {
	var keys, values, out []*Value
	one := func(i int) call {
		return call{rows: ir.D(1), keys: ir.D(b.opt.MaxTokens), past: c.pasts[i]}
	}
	name := func(kind string, i int) string {
		if i == 0 {
			return fmt.Sprintf("%s%d", kind, layer)
		}
		return fmt.Sprintf("%s%d.%d", kind, layer, i)
	}
	for i := range c.pasts {
		keys = append(keys, b.cache(name("k", i), Slice(k, 0, i, i+1), one(i)))
		values = append(values, b.cache(name("v", i), Slice(v, 0, i, i+1), one(i)))
	}
	width := b.cfg.Text.NumAttentionHeads * b.cfg.Text.HeadDim
	for i := range c.pasts {
		out = append(out, Reshape(b.attend(layer, Slice(q, 0, i, i+1), keys[i], values[i], one(i)), 1, width))
	}
	return Reshape(Concat(-1, out...), c.rows, width)
}

// attend is attention over the keys and values of one sequence.
func (b *builder) attend(layer int, q, k, v *Value, c call) *Value {
	t := b.cfg.Text
	scores := b.scores(q, k)
	scores = Select(b.mask(c, t.window(layer)), scores, -math.MaxFloat32)
	return Einsum("grst,tgh->sgrh", Softmax(scores), v)
}

// bidirectional is attention in which every token sees every other.
func (b *builder) bidirectional(q, k, v *Value) *Value {
	return Einsum("grst,tgh->sgrh", Softmax(b.scores(q, k)), v)
}

// scores are the scaled and capped products of queries and keys.
func (b *builder) scores(q, k *Value) *Value {
	t := b.cfg.Text
	return softcap(Mul(Einsum("sgrh,tgh->grst", q, k), 1/math.Sqrt(t.QueryPreAttnScalar)), t.AttnLogitSoftcapping)
}
