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

// Features returns the state that EncodeImage's function writes.
func Features(f *Func, cfg Config, opt Options) *Value {
	return (&builder{cfg: cfg, opt: opt, f: f}).features()
}

// Hidden returns the normed hidden states [rows, hidden] of tokens that all see each other, without a KV cache. ids
// [rows] and slots [rows] are the tokens and the rows of features that stand for image tokens, -1 for text.
func Hidden(f *Func, cfg Config, opt Options, ids, slots, features *Value, rows ir.Dim) *Value {
	b := &builder{cfg: cfg, opt: opt, f: f}
	return b.decoder(b.embed(ids, slots, features, rows), call{rows: rows})
}

// Biased returns the linear layer with bias from x's width to out, whose weights are name.weight and name.bias.
func Biased(f *Func, opt Options, name string, x *Value, out int) *Value {
	b := &builder{opt: opt, f: f}
	return b.biased(name, x, out)
}
