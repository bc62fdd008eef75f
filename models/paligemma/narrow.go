package paligemma

import (
	. "pgc/frontend"
	"pgc/ir"
	"pgc/runtime/entry"
)

// defineParts adds the functions that compute the logits of some rows of the head: where a grammar says which tokens
// may come, the others need none. They have the bits of logits. A part begins at a panel, as matrices are packed.
func defineParts(m *Module, cfg Config, opt Options) {
	vocabulary := cfg.Text.VocabSize
	if vocabulary%entry.PanelRows != 0 || vocabulary < entry.SpanRows+entry.FewRows {
		return
	}
	panel := m.Symbol(entry.SymPanel, (vocabulary-entry.FewRows)/entry.PanelRows)
	for _, f := range []struct {
		name            string
		sequences, rows int
	}{{entry.Span, 1, entry.SpanRows}, {entry.Few, 1, entry.FewRows}, {entry.SpanBatch, MaxBatch, entry.SpanRows}, {entry.FewBatch, MaxBatch, entry.FewRows}} {
		define(m, cfg, opt, f.name, nil, func(b *builder) {
			b.f.Return(entry.OutLogits, b.partOfHead(b.last(f.sequences), panel, f.rows))
		})
	}
}

// partOfHead maps hidden states to the logits of so many rows of the head from a panel on.
func (b *builder) partOfHead(x *Value, panel ir.Dim, rows int) *Value {
	t := b.cfg.Text
	key := b.stored(lmHead)
	w := Reshape(b.w(key, t.VocabSize, t.HiddenSize), t.VocabSize/entry.PanelRows, entry.PanelRows, t.HiddenSize)
	part := Reshape(DynamicSlice(w, b.f.Symbol(panel), 0, rows/entry.PanelRows), rows, t.HiddenSize)
	return softcap(Linear(b.operand(key, x), part, nil), t.FinalLogitSoftcapping)
}

// defineRows adds the function that does for the next tokens of a sequence at once what decode does for one, with the
// same bits. Tokens behind the one that counts may be any: what they leave in the cache is written again before it is
// read. All rows are kept for the scores of tokens that had to come.
func defineRows(m *Module, cfg Config, opt Options) {
	opt.Trace = false
	define(m, cfg, opt, entry.Rows, forms(opt), func(b *builder) {
		x := b.following(entry.DecodeRows)
		b.keep(b.last(MaxBatch), ir.D(0), x)
		b.keep(b.last(1), ir.D(0), Gather(x, Reshape(b.f.Symbol(ir.Sym(entry.SymRow)), 1)))
	})
}

// defineVerify adds the function that does for some tokens of a sequence at once what step does for each of them: those
// behind the first are a guess, which is right as far as every token is the one chosen behind its predecessor. The rows
// are in the states of a batch, so that logits_batch can follow.
func defineVerify(m *Module, cfg Config, opt Options) {
	opt.Trace = false
	define(m, cfg, opt, entry.Verify, forms(opt), func(b *builder) {
		b.choose(b.next(entry.VerifyRows), b.keep(b.last(entry.VerifyRows), ir.D(0), b.following(entry.VerifyRows)))
	})
}

// following runs the decoder over the next n tokens of a sequence, which are inputs.
func (b *builder) following(n int) *Value {
	ids, positions := b.f.Input(entry.InNext, ir.I32, n), b.f.Input(entry.InPositions, ir.I32, n)
	return b.decoder(b.embedText(ids), call{rows: ir.D(n), keys: ir.Sym(entry.SymKeys), past: ir.Sym(entry.SymPast),
		slot: ir.Sym(entry.SymSlot), positions: positions})
}
