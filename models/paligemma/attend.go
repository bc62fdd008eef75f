package paligemma

import (
	. "pgc/frontend"
	"pgc/ir"
	"pgc/runtime/entry"
)

// defineSeen adds the functions that tell which keys the tokens of a call attend to, one for each kind of layer. They are the
// attention of such a layer, mask and all, over queries and keys that are 0, so that a token weighs all keys that it sees alike.
// Values are 1 where the key is the column's and 0 elsewhere: the sum is above 0 where the key is seen.
func defineSeen(m *Module, cfg Config, opt Options, c call) {
	opt.Trace = false
	full, sliding, _ := cfg.Text.kinds()
	for _, kind := range []struct {
		name   string
		layers []int
	}{{entry.SeenFull, full}, {entry.SeenSliding, sliding}} {
		if len(kind.layers) == 0 {
			continue
		}
		define(m, cfg, opt, kind.name, nil, func(b *builder) {
			zeros := func(rows ir.Dim, rest ...any) *Value {
				shape := append([]any{rows}, rest...)
				return Mul(Convert(b.f.Iota(0, shape...), ir.F32), 0.0)
			}
			key, column := b.f.Iota(0, c.keys, 1, entry.SeenKeys), b.f.Iota(2, c.keys, 1, entry.SeenKeys)
			values := Convert(Eq(key, Add(column, b.f.Symbol(ir.Sym(entry.SymRow)))), ir.F32)
			y := b.attend(kind.layers[0], zeros(c.rows, 1, 1, entry.SeenKeys), zeros(c.keys, 1, entry.SeenKeys), values, c)
			b.f.Return(entry.OutSeen, Reshape(y, c.rows, entry.SeenKeys))
		})
	}
}

// kinds lists the layers that see everything and those that see a window, and its size, 0 without such.
func (t Text) kinds() (full, sliding []int, window int) {
	for layer := range t.NumHiddenLayers {
		if w := t.window(layer); w > 0 {
			sliding, window = append(sliding, layer), w
		} else {
			full = append(full, layer)
		}
	}
	return full, sliding, window
}

// defineAttend adds decode with another result: the weights by which the heads of every layer sum up the values of the keys.
func defineAttend(m *Module, cfg Config, opt Options, c call) {
	opt.Trace = false
	define(m, cfg, opt, entry.Attend, forms(opt), func(b *builder) {
		b.watched = &[]*Value{}
		x := b.decoder(b.embedText(b.next(1)), c)
		b.keep(b.last(1), ir.D(0), x)
		b.f.Return(entry.OutAttentions, Concat(0, *b.watched...))
	})
}
