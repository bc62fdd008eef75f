package paligemma

import (
	"cmp"
	"math"
	"slices"

	. "pgc/frontend"
	"pgc/ir"
	"pgc/models"
)

// The two ends of the decoder, where there is a row a token: the table that tokens are looked up in, and the head.

// embedText looks tokens [rows] up, with what adapters do to the table.
func (b *builder) embedText(ids *Value) *Value {
	t := b.cfg.Text
	look := func(key string) *Value { return Convert(Gather(b.w(key, t.VocabSize, t.HiddenSize), ids), ir.F32) }
	x := look(b.stored(embedTokens))
	for _, a := range b.adapters {
		c := a.Changes[embedTokens]
		if c.Own && a.chosen != nil {
			x = Select(a.chosen, look(a.weight(embedTokens, models.Whole)), x)
		}
		if c.Rank > 0 {
			row := Convert(Gather(b.w(a.weight(embedTokens, models.FactorA), t.VocabSize, c.Rank), ids), ir.F32)
			x = Add(x, b.second(a, embedTokens, row, t.HiddenSize))
		}
		if c.Rows {
			x = Mul(x, b.scales(a, embedTokens, t.HiddenSize))
		}
		if c.Tokens != nil {
			x = b.retrained(a, c.Tokens, ids, x)
		}
	}
	return Mul(x, math.Sqrt(float64(t.HiddenSize)))
}

// retrained is x [rows, hidden], what tokens were looked up as, with the rows that an adapter has for some of them.
func (b *builder) retrained(a active, tokens []int, ids, x *Value) *Value {
	n := len(tokens)
	list := make([]float64, n)
	for i, id := range tokens {
		list[i] = float64(id)
	}
	same := Convert(Eq(Reshape(ids, ids.Dim(0), 1), b.f.Const(ir.I32, list, 1, n)), ir.F32)
	found := Gt(ReduceMax(same), 0.5)
	if a.chosen != nil {
		found = And(a.chosen, found)
	}
	table := b.w(a.weight(embedTokens, models.Tokens), n, x.Dim(-1))
	return Select(found, Convert(Gather(table, Reshape(Argmax(same), ids.Dim(0))), ir.F32), x)
}

// head maps hidden states [rows, hidden] to logits [rows, vocabulary].
func (b *builder) head(x *Value) *Value {
	t := b.cfg.Text
	y := softcap(b.product(lmHead, x, t.VocabSize, t.HiddenSize), t.FinalLogitSoftcapping)
	for _, a := range b.adapters {
		tokens := a.Changes[lmHead].Tokens
		if tokens == nil {
			continue
		}
		own := softcap(b.times(a.weight(lmHead, models.Tokens), x, len(tokens), t.HiddenSize), t.FinalLogitSoftcapping)
		own = columns(y, own, tokens)
		if a.chosen != nil {
			own = Select(a.chosen, own, y)
		}
		y = own
	}
	return y
}

// columns is y [rows, n] with column i of z in the place of the column that of[i] says, unless that is -1.
func columns(y, z *Value, of []int) *Value {
	var list []int // columns of z, by where they go
	for i, column := range of {
		if column >= 0 {
			list = append(list, i)
		}
	}
	slices.SortFunc(list, func(i, j int) int { return cmp.Compare(of[i], of[j]) })
	var pieces []*Value
	piece := func(v *Value, from, to int) {
		if from < to {
			pieces = append(pieces, Slice(v, 1, from, to))
		}
	}
	at := 0
	for len(list) > 0 {
		first, n := list[0], 1
		for n < len(list) && list[n] == first+n && of[first+n] == of[first]+n {
			n++
		}
		piece(y, at, of[first])
		piece(z, first, first+n)
		at, list = of[first]+n, list[n:]
	}
	piece(y, at, y.Dim(-1).N)
	return Concat(1, pieces...)
}
