package paligemma

import (
	. "pgc/frontend"
	"pgc/ir"
)

// Models that are built on PaliGemma use these parts of its graph.

// EncodeImage adds the function encode_image(pixels [3,size,size]) -> features [tokens, hidden].
func EncodeImage(m *Module, cfg Config, opt Options) {
	m.Func("encode_image", func(f *Func) {
		b := &builder{cfg, opt, f}
		size := cfg.Vision.ImageSize
		f.Return("features", b.project(b.siglip(f.Input("pixels", ir.F32, 3, size, size))))
	})
}

// Hidden returns the normed hidden states [rows, hidden] of tokens that all see each other, without a KV cache. ids [rows]
// and slots [rows] are the tokens and the rows of features that stand for image tokens, -1 for text.
func Hidden(f *Func, cfg Config, opt Options, ids, slots, features *Value, rows ir.Dim) *Value {
	b := &builder{cfg, opt, f}
	return b.decoder(b.embed(ids, slots, features, rows), call{rows: rows})
}

// Biased returns the linear layer with bias from x's width to out, whose weights are name.weight and name.bias.
func Biased(f *Func, opt Options, name string, x *Value, out int) *Value {
	b := &builder{opt: opt, f: f}
	return b.biased(name, x, out)
}
