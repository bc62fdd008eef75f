package paligemma

import (
	. "pgc/frontend"
	"pgc/ir"
	"pgc/runtime/entry"
)

// keep replaces rows of a state, from first on, and returns its contents then.
func (b *builder) keep(state *Value, first ir.Dim, rows *Value) *Value {
	all := DynamicUpdateSlice(state, rows, b.f.Symbol(first))
	b.f.Update(state, all)
	return all
}

// features are those of all images of a prompt, of one at least.
func (b *builder) features() *Value {
	return b.f.State(entry.StateFeatures, ir.F32, max(b.opt.MaxTokens, b.cfg.Vision.Tokens()), b.cfg.Text.HiddenSize)
}

// hidden are the hidden states of all tokens.
func (b *builder) hidden() *Value {
	return b.f.State(entry.StateHidden, ir.F32, b.opt.MaxTokens, b.cfg.Text.HiddenSize)
}

// last are the hidden states of the last token of so many sequences.
func (b *builder) last(sequences int) *Value {
	name := entry.StateLast
	if sequences > 1 {
		name = entry.StateLastBatch
	}
	return b.f.State(name, ir.F32, sequences, b.cfg.Text.HiddenSize)
}

// next are the tokens that so many sequences go on with.
func (b *builder) next(sequences int) *Value {
	name := entry.StateNext
	if sequences > 1 {
		name = entry.StateNextBatch
	}
	return b.f.State(name, ir.I32, sequences)
}

// choose puts the ids of the greatest logits into next.
func (b *builder) choose(next, last *Value) {
	b.keep(next, ir.D(0), Reshape(Argmax(b.head(last)), next.Dim(0)))
}

// score returns the logits of so many sequences, with Options.Likeliest also the greatest of those divided by a
// temperature.
func (b *builder) score(sequences int) {
	logits := b.head(b.last(sequences))
	b.f.Return(entry.OutLogits, logits)
	if !b.opt.Likeliest {
		return
	}
	temperatures := b.f.Input(entry.InTemperatures, ir.F32, sequences)
	scores, ids, sum := Top(Div(logits, Reshape(temperatures, sequences, 1)), entry.MostLikely)
	b.f.Return(entry.OutLikeliest, scores)
	b.f.Return(entry.OutLikeliestIDs, ids)
	b.f.Return(entry.OutLogSumExp, sum)
}
