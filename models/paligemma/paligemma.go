package paligemma

import (
	"slices"

	. "pgc/frontend"
	"pgc/ir"
	"pgc/runtime/entry"
)

// builder builds one function.
type builder struct {
	cfg      Config
	opt      Options
	f        *Func
	adapters []active
	watched  *[]*Value // where attend puts the weights of every layer [1, heads, keys], unless it is nil
}

// define adds the forms of a function: that of the model alone and, with forms, one for each adapter.
func define(m *Module, cfg Config, opt Options, name string, forms []variant, body func(b *builder)) {
	for _, v := range append([]variant{{}}, forms...) {
		m.Func(v.name(name), func(f *Func) { body(&builder{cfg: cfg, opt: opt, f: f, adapters: v.adapters(f, opt.Adapters)}) })
	}
}

// forms are those of a function of one sequence, or of one picture: a form an adapter.
func forms(opt Options) (list []variant) {
	for i := range opt.Adapters {
		list = append(list, variant{number: i + 1})
	}
	return list
}

// headForms are those of a function of the head alone: a form for each adapter that changes it.
func headForms(opt Options) []variant {
	return slices.DeleteFunc(forms(opt), func(v variant) bool {
		_, changes := opt.Adapters[v.number-1].Changes[lmHead]
		return !changes
	})
}

// mixed is the form of a function of a batch, if there are others than that of the model alone.
func mixed(forms []variant) []variant {
	if len(forms) == 0 {
		return nil
	}
	return []variant{{mixed: true}}
}

// w is a weight by its canonical name.
func (b *builder) w(key string, dims ...any) *Value {
	return b.f.Weight(key, b.opt.DType(key), dims...)
}

// operand is x as products with a weight read it: in groups of 8 bits where the weight's format and the arithmetic have
// integers, and likewise in bfloat16.
func (b *builder) operand(key string, x *Value) *Value {
	d := b.opt.DType(key)
	switch {
	case d.Activation() != ir.Invalid && b.opt.QuantizeActivations:
		return Convert(Convert(x, d.Activation()), ir.F32)
	case d == ir.BF16 && b.opt.BF16Activations && !b.halves(key), d.IsQuantized() && b.opt.BF16Integers:
		return Convert(Convert(x, ir.BF16), ir.F32)
	}
	return x
}

// halves reports whether a weight is two of bfloat16.
func (b *builder) halves(key string) bool { return b.opt.Halves != nil && b.opt.Halves(key) }

// trace makes an activation an output when the model is built for comparison with a reference.
func (b *builder) trace(name string, v *Value) {
	if b.opt.Trace {
		b.f.Return(name, v)
	}
}

// HeadRows is the most rows of logits the function head computes at once.
const HeadRows = 64

// Graph returns the module of a model. What functions hand on to each other lies in states: "state x" below is read,
// "-> x" is written there unless it says output.
//
//	encode_image(pixels [3,size,size]) -> features [tokens of an image, hidden], from row on
//	prefill(ids [S], slots [S], state features) -> last [1, hidden], of the last token
//	greedy(state last) -> next [1], the id of the greatest logit, -1 where one is NaN
//	logits(state last) -> output logits [1, vocabulary]
//	decode(state next) -> last
//	step(state next) -> last, next: decode and greedy at once
//	decode_batch(state next_batch [8], positions [8]) -> last_batch [8, hidden], of eight sequences
//	step_batch(state next_batch, positions [8]) -> last_batch, next_batch
//	logits_batch(state last_batch) -> output logits [8, vocabulary]
//	with Options.Likeliest these two have an input temperatures [rows] and outputs likeliest [rows, 1024], likeliest_ids
//	and log_sum_exp [rows, 1], of the logits divided by the temperatures
//	logits_span(state last), logits_few -> output logits [1, 1056] and [1, 32], from a panel of the head's rows on
//	logits_span_batch(state last_batch), logits_few_batch -> the same of eight sequences
//	decode_rows(next_rows [2], positions [2]) -> last_batch, last, of the token that row says: decode of two tokens of a sequence
//	verify(next_rows [8], positions [8]) -> last_batch, next_batch: step of eight tokens of a sequence, with Options.Verify
//	forward(ids [S], slots [S], state features) -> hidden [S, hidden]
//	head(state hidden) -> output logits [R, vocabulary], of the rows from row on
//	seen_full(), seen_sliding() -> output seen [S, SeenKeys], which of the keys from row on every token attends to, of a kind of layers
//	attend(state next) -> last, output attentions [layers, heads, T]: decode, and the weights of the keys
//
// A model whose vocabulary is not in whole panels, or small, has no parts of logits.
//
// prefill and decode end before the head, so that whoever chooses the token says whether logits are written.
//
// With adapters kept beside the model, encode_image, prefill, forward, decode, step, attend, decode_rows and verify have a
// form for each, encode_image_adapter1 and so on, and decode_batch_adapters(…, adapters [8]) and step_batch_adapters compute
// every sequence with its own. So have greedy, logits, head and logits_batch for adapters that change the head; parts of
// logits are the model's alone.
//
// Symbols: S tokens of the call, T keys once they are in the cache, past tokens before them, prefix the length of the
// bidirectional part, slot the batch slot whose caches prefill, forward, decode and step work on, row and R rows of
// features or hidden states.
func Graph(cfg Config, opt Options) (*ir.Module, error) {
	return Build(func(m *Module) {
		S, T := m.Symbol(entry.SymTokens, opt.MaxTokens), m.Symbol(entry.SymKeys, opt.MaxTokens)
		past, prefix := m.Symbol(entry.SymPast, opt.MaxTokens-1), m.Symbol(entry.SymPrefix, opt.MaxTokens)
		slot := m.Symbol(entry.SymSlot, MaxBatch-1)
		row, R := m.Symbol(entry.SymRow, opt.MaxTokens), m.Symbol(entry.SymRows, HeadRows)
		define := func(name string, forms []variant, body func(b *builder)) { define(m, cfg, opt, name, forms, body) }
		each := forms(opt)
		EncodeImage(m, cfg, opt)
		many := func(b *builder) *Value {
			ids, slots := b.f.Input(entry.InIDs, ir.I32, S), b.f.Input(entry.InSlots, ir.I32, S)
			c := call{rows: S, keys: T, past: past, prefix: prefix, slot: slot}
			if opt.FreshKeys { // a prompt begins at position 0
				c.keys, c.fresh = S, true
			}
			return b.decoder(b.embed(ids, slots, b.features(), S), c)
		}
		define(entry.Prefill, each, func(b *builder) {
			b.opt.Trace = false
			last := Reshape(Sub(b.f.Symbol(S), 1), 1)
			b.keep(b.last(1), ir.D(0), Gather(many(b), last))
		})
		define(entry.Forward, each, func(b *builder) { b.keep(b.hidden(), ir.D(0), many(b)) })
		heads := headForms(opt)
		define(entry.Head, heads, func(b *builder) {
			rows := Gather(b.hidden(), Reshape(Add(b.f.Iota(0, R), b.f.Symbol(row)), R))
			b.f.Return(entry.OutLogits, b.head(rows))
		})
		if opt.Declarations { // those so far declare all weights
			return
		}
		define(entry.Greedy, heads, func(b *builder) { b.choose(b.next(1), b.last(1)) })
		define(entry.Logits, heads, func(b *builder) { b.score(1) })
		one := func(b *builder, next *Value) *Value {
			b.opt.Trace = false
			x := b.decoder(b.embedText(next), call{rows: ir.D(1), keys: T, past: past, prefix: prefix, slot: slot})
			return b.keep(b.last(1), ir.D(0), x)
		}
		define(entry.Decode, each, func(b *builder) { one(b, b.next(1)) })
		define(entry.Step, each, func(b *builder) {
			next := b.next(1)
			b.choose(next, one(b, next))
		})
		defineBatch(m, cfg, opt)
		defineParts(m, cfg, opt)
		defineRows(m, cfg, opt)
		if opt.Verify {
			defineVerify(m, cfg, opt)
		}
		defineSeen(m, cfg, opt, call{rows: S, keys: T, past: past, prefix: prefix})
		defineAttend(m, cfg, opt, call{rows: ir.D(1), keys: T, past: past, prefix: prefix, slot: slot})
	})
}
