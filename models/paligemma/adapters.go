package paligemma

import (
	"cmp"

	. "pgc/frontend"
	"pgc/ir"
	"pgc/models"
	"pgc/runtime/entry"
)

// variant is which adapters a function computes with.
type variant struct {
	number int  // of the only one, counted from 1; 0 for none
	mixed  bool // every row has one of its own, whose number is an input
}

// name is the function's in this form.
func (v variant) name(function string) string {
	if v.mixed {
		return entry.Mixed(function)
	}
	return entry.Adapted(function, v.number)
}

// active is an adapter that a function computes with, for the rows where chosen [rows, 1] is true, or for all if it is
// nil.
type active struct {
	models.Adapter
	chosen *Value
}

// adapters lists those of a function's form.
func (v variant) adapters(f *Func, all []models.Adapter) (list []active) {
	switch {
	case v.mixed:
		numbers := f.Input(entry.InAdapters, ir.I32, MaxBatch)
		for i, a := range all {
			list = append(list, active{a, Eq(Reshape(numbers, MaxBatch, 1), i+1)})
		}
	case v.number > 0:
		list = append(list, active{all[v.number-1], nil})
	}
	return list
}

// times is x times the transpose of a weight of these dimensions, whose first is that of the result.
func (b *builder) times(stored string, x *Value, dims ...any) *Value {
	x = b.operand(stored, x)
	linear := func(key string) *Value {
		w := b.w(key, dims...)
		if len(dims) > 2 { // a kernel
			w = Reshape(w, dims[0], x.Dim(-1))
		}
		return Linear(x, w, nil)
	}
	y := linear(stored)
	if b.halves(stored) {
		y = Add(linear(models.Rest(stored)), y)
	}
	return y
}

// product is x times the transpose of a weight with what adapters do to it: the base's bits where there is none. What is
// added to its sums comes first, of all adapters, so that it becomes further steps of them in every form of a function; an
// adapter that is not a row's adds zeros, scales by one and replaces nothing.
func (b *builder) product(key string, x *Value, dims ...any) *Value {
	y := b.times(b.stored(key), x, dims...)
	var scaled, replaced []active
	for _, a := range b.adapters {
		c := a.Changes[key]
		if c.Own && a.chosen != nil {
			replaced = append(replaced, a)
			continue
		}
		if added := b.lowRank(a, key, x, dims[0]); added != nil {
			y = Add(y, added)
		}
		if c.Rows {
			scaled = append(scaled, a)
		}
	}
	for _, a := range scaled {
		y = Mul(y, b.scales(a, key, dims[0]))
	}
	for _, a := range replaced {
		y = Select(a.chosen, b.times(a.weight(key, models.Whole), x, dims...), y)
	}
	return y
}

// rotated adds to y, a product [rows, …, head_dim] with a weight rotated by the angles of the positions, what adapters
// add. Rotation is linear: the base's product is rotated alone, so that it is one operation in every form of a function
// and reads the weight in one layout. What is added to its sums comes first, as in a product.
func (b *builder) rotated(key string, y, x *Value, c call) *Value {
	var shape, ones []any // of y, and of a value a row beside it
	out := 1
	for i := range y.Rank() {
		if shape, ones = append(shape, y.Dim(i)), append(ones, 1); i > 0 {
			out *= y.Dim(i).N
		}
	}
	ones[0] = c.rows
	turn := func(y, sin *Value) *Value { return Rotary(Reshape(y, shape...), c.cos, sin) }
	var later []active
	for _, a := range b.adapters {
		switch change := a.Changes[key]; {
		case change.Rows || change.Own && a.chosen != nil:
			later = append(later, a)
		case change.Rank > 0:
			y = Add(y, turn(b.lowRank(a, key, x, out), c.sin))
		}
	}
	for _, a := range later {
		if a.Changes[key].Own {
			y = Select(Reshape(a.chosen, ones...), turn(b.times(a.weight(key, models.Whole), x, out, x.Dim(-1)), c.sin), y)
			continue
		}
		scales := b.scales(a, key, out) // scales·(y + added) - y
		back := Reshape(turn(y, Neg(c.sin)), c.rows, out)
		y = Add(y, turn(Add(Mul(Sub(scales, 1.0), back), Mul(scales, b.lowRank(a, key, x, out))), c.sin))
	}
	return y
}

// weight names a weight of the adapter.
func (a active) weight(key, part string) string {
	return models.AdapterWeight(a.Name, cmp.Or(a.Changes[key].At, key), part)
}

// lowRank is what an adapter adds to a product with a weight, of so many columns, or nil.
func (b *builder) lowRank(a active, key string, x *Value, out any) *Value {
	c := a.Changes[key]
	if c.Rank == 0 {
		return nil
	}
	return b.second(a, key, b.times(a.weight(key, models.FactorA), x, c.Rank, x.Dim(-1)), out)
}

// second is the scaled product of t, A·x, with the second factor, of so many columns.
func (b *builder) second(a active, key string, t *Value, out any) *Value {
	c := a.Changes[key]
	if t = Mul(t, c.Scale); a.chosen != nil {
		t = Select(a.chosen, t, 0.0)
	}
	return b.times(a.weight(key, models.FactorB), t, out, c.Rank)
}

// scales is by what an adapter multiplies a product with a weight: [columns], or [rows, columns] with ones.
func (b *builder) scales(a active, key string, out any) *Value {
	s := b.w(a.weight(key, models.Scales), out)
	if a.chosen != nil {
		s = Select(a.chosen, s, 1.0)
	}
	return s
}

// own is a weight that adapters may replace. Where every row has an adapter of its own it is [rows, …].
func (b *builder) own(key string, dims ...any) *Value {
	v := b.w(b.stored(key), dims...)
	for _, a := range b.adapters {
		if a.Changes[key].Own && a.chosen != nil {
			v = Select(a.chosen, Convert(b.w(a.weight(key, models.Whole), dims...), ir.F32), Convert(v, ir.F32))
		}
	}
	return v
}

// stored is the name of a weight, of its replacement where a function has one adapter only. A head may be the table.
func (b *builder) stored(key string) string {
	for _, a := range b.adapters {
		if a.Changes[key].Own && a.chosen == nil {
			return a.weight(key, models.Whole)
		}
	}
	if key == lmHead && b.cfg.Text.TieWordEmbeddings {
		return embedTokens
	}
	return key
}
