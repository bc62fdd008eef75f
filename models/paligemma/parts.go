package paligemma

import (
	. "pgc/frontend"
	"pgc/ir"
	"pgc/runtime/entry"
)

// Models that are built on PaliGemma use these parts of its graph.

// EncodeImage adds the function encode_image(pixels [3,size,size]), which writes the state features [tokens, hidden]
// from row on.
func EncodeImage(m *Module, cfg Config, opt Options) {
	row := m.Symbol(entry.SymRow, opt.MaxTokens)
	define(m, cfg, opt, entry.EncodeImage, forms(opt), func(b *builder) {
		size := cfg.Vision.ImageSize
		b.keep(b.features(), row, b.project(b.siglip(b.f.Input(entry.InPixels, ir.F32, 3, size, size))))
	})
}

// Parts builds one form of a function: that of the model alone, or of an adapter kept beside it.
type Parts struct{ b *builder }

// Define adds the forms of a function.
func Define(m *Module, cfg Config, opt Options, name string, body func(f *Func, p Parts)) {
	define(m, cfg, opt, name, forms(opt), func(b *builder) { body(b.f, Parts{b}) })
}

// Features returns the state that EncodeImage's function writes.
func (p Parts) Features() *Value { return p.b.features() }

// Hidden returns the normed hidden states [rows, hidden] of tokens that all see each other, without a KV cache. ids
// [rows] and slots [rows] are the tokens and the rows of features that stand for image tokens, -1 for text.
func (p Parts) Hidden(ids, slots, features *Value, rows ir.Dim) *Value {
	return p.b.decoder(p.b.embed(ids, slots, features, rows), call{rows: rows})
}

// Biased returns the linear layer with bias from x's width to out, whose weights are name.weight and name.bias.
func (p Parts) Biased(name string, x *Value, out int) *Value { return p.b.biased(name, x, out) }
