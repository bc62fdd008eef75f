package paligemma

import (
	. "pgc/frontend"
	"pgc/ir"
	"pgc/runtime/entry"
)

// MaxBatch is how many sequences can be worked on at a time: the batch slots of the caches k0, v0, k1 …. decode_batch
// works on all of them, functions of one sequence on the slot that a symbol says.
const MaxBatch = 8

// defineBatch adds the functions that do for MaxBatch sequences at once what decode, step and logits do for one, with
// the same bits: the rows of products are the sequences' tokens, so that weights are read once for all. A slot without
// a sequence has the position -1 and any token: nothing is written into it or read from it, and nobody reads its
// results.
func defineBatch(m *Module, cfg Config, opt Options) {
	opt.Trace = false
	define := func(name string, forms []variant, body func(b *builder)) { define(m, cfg, opt, name, forms, body) }
	all := func(b *builder, next *Value) *Value {
		positions := b.f.Input(entry.InPositions, ir.I32, MaxBatch)
		x := b.decoder(b.embedText(next), call{rows: ir.D(MaxBatch), keys: ir.Sym(entry.SymKeys), positions: positions})
		return b.keep(b.last(MaxBatch), ir.D(0), x)
	}
	each := mixed(forms(opt))
	define(entry.DecodeBatch, each, func(b *builder) { all(b, b.next(MaxBatch)) })
	define(entry.StepBatch, each, func(b *builder) {
		next := b.next(MaxBatch)
		b.choose(next, all(b, next))
	})
	define(entry.LogitsBatch, mixed(headForms(opt)), func(b *builder) { b.score(MaxBatch) })
}
