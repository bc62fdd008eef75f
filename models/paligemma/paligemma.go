package paligemma

import (
	. "pgc/frontend"
	"pgc/ir"
)

// builder builds one function.
type builder struct {
	cfg Config
	opt Options
	f   *Func
}

// w is a weight by its canonical name.
func (b *builder) w(key string, dims ...any) *Value {
	return b.f.Weight(key, b.opt.DType(key), dims...)
}

// operand is x as products with a weight read it: in groups of 8 bits where the weight has integers and the arithmetic has, too,
// and likewise in bfloat16.
func (b *builder) operand(key string, x *Value) *Value {
	d := b.opt.DType(key)
	bits, size := d.Group()
	switch {
	case bits > 0 && b.opt.Integers:
		return Convert(Convert(x, ir.Quantized(8, size)), ir.F32)
	case d == ir.BF16 && b.opt.BFloats:
		return Convert(Convert(x, ir.BF16), ir.F32)
	}
	return x
}

// trace makes an activation an output when the model is built for comparison with a reference.
func (b *builder) trace(name string, v *Value) {
	if b.opt.Trace {
		b.f.Return(name, v)
	}
}

// HeadRows is the most rows of logits the function head computes at once.
const HeadRows = 64

// Graph returns the module of a model:
//
//	encode_image(pixels [3,size,size]) -> features [tokens, hidden]
//	prefill(ids [S], slots [S], features [F, hidden]) -> last [1, hidden], of the last token
//	decode(ids [1]) -> last [1, hidden]
//	greedy(last [1, hidden]) -> next [1, 1], the id of the greatest logit, -1 where one is NaN
//	logits(last [1, hidden]) -> logits [1, vocabulary]
//	decode_batch(ids [8], positions [8]) -> last [8, hidden], of eight sequences
//	greedy_batch(last [8, hidden]) -> next [8, 1]
//	logits_batch(last [8, hidden]) -> logits [8, vocabulary]
//	forward(ids, slots, features) -> hidden [S, hidden]
//	head(hidden [R, hidden]) -> logits [R, vocabulary]
//
// prefill and decode end before the head, so that whoever chooses the token says whether logits are written.
//
// Symbols: S tokens of the call, T keys once they are in the cache, past tokens before them, prefix the length of the
// bidirectional part, F rows of image features, R rows of hidden states; past0 … past7 what past is to each sequence of a batch.
func Graph(cfg Config, opt Options) (*ir.Module, error) {
	return Build(func(m *Module) {
		S, T := m.Symbol("S", opt.MaxTokens), m.Symbol("T", opt.MaxTokens)
		past, prefix := m.Symbol("past", opt.MaxTokens), m.Symbol("prefix", opt.MaxTokens)
		F, R := m.Symbol("F", opt.MaxTokens), m.Symbol("R", HeadRows)
		hidden := cfg.Text.HiddenSize
		define := func(name string, body func(b *builder)) {
			m.Func(name, func(f *Func) { body(&builder{cfg, opt, f}) })
		}
		EncodeImage(m, cfg, opt)
		many := func(b *builder) *Value {
			ids, slots := b.f.Input("ids", ir.I32, S), b.f.Input("slots", ir.I32, S)
			x := b.embed(ids, slots, b.f.Input("features", ir.F32, F, hidden), S)
			return b.decoder(x, call{rows: S, keys: T, past: past, prefix: prefix})
		}
		define("prefill", func(b *builder) {
			b.opt.Trace = false
			last := Reshape(Sub(b.f.Symbol(S), 1), 1)
			b.f.Return("last", Gather(many(b), last))
		})
		define("forward", func(b *builder) { b.f.Return("hidden", many(b)) })
		define("decode", func(b *builder) {
			b.opt.Trace = false
			x := b.embedText(b.f.Input("ids", ir.I32, 1))
			b.f.Return("last", b.decoder(x, call{rows: ir.D(1), keys: T, past: past, prefix: prefix}))
		})
		last := func(b *builder) *Value { return b.f.Input("last", ir.F32, 1, hidden) }
		define("greedy", func(b *builder) { b.f.Return("next", Argmax(b.head(last(b)))) })
		define("logits", func(b *builder) { b.f.Return("logits", b.head(last(b))) })
		defineBatch(m, cfg, opt)
		define("head", func(b *builder) {
			b.f.Return("logits", b.head(b.f.Input("hidden", ir.F32, R, hidden)))
		})
	})
}
