package paligemma

import (
	"fmt"
	"math"

	. "pgc/frontend"
	"pgc/ir"
)

// call is one run of the decoder: rows tokens at positions past, past+1, … of the sequence in a batch slot; keys is
// past+rows, the keys there are once the cache holds the new ones; the first prefix positions see each other in both
// directions. Without keys there is no cache: the tokens are at positions 0, 1, … and all of them see each other.
//
// In a batch row i is a token of the sequence in slot i, at a position of its own, behind the prefix. keys is more than
// any position. With past as well, the rows are tokens of one sequence behind its prefix, at positions past, past+1, …,
// and computed as a batch is.
type call struct {
	rows, keys, past, prefix, slot ir.Dim
	fresh                          bool   // the rows see themselves alone, and not in the cache
	positions                      *Value // i32 [rows], of a batch; negative where there is no sequence
	cos, sin                       *Value // [rows, head_dim/2]
}

// single reports whether all rows are of one sequence.
func (c *call) single() bool { return c.past != (ir.Dim{}) }

// embed is the decoder's input: token embeddings times sqrt(hidden), image features where a token is an image's.
// slots [rows] holds the row of features for image tokens and -1 for text.
func (b *builder) embed(ids, slots, features *Value, rows ir.Dim) *Value {
	text := b.embedText(ids)
	slot := Reshape(slots, rows, 1)
	image := Gather(features, Max(slots, 0))
	return Select(Ge(slot, 0), image, text)
}

// decoder runs all layers over x [rows, hidden] and returns the normed hidden states.
func (b *builder) decoder(x *Value, c call) *Value {
	c.cos, c.sin = b.rotaryTables(c)
	b.trace("inputs_embeds", x)
	for i := range b.cfg.Text.NumHiddenLayers {
		name := fmt.Sprintf("language_model.layers.%d.", i)
		attend := func(x *Value) *Value { return b.attention(name+"self_attn.", i, x, c) }
		mlp := func(x *Value) *Value { return b.mlp(name+"mlp.", x) }
		if b.cfg.Text.ModelType == gemma2 {
			// Gemma 2 norms what goes into a block and what comes out of it.
			x = Add(x, b.rmsNorm(name+"post_attention_layernorm", attend(b.rmsNorm(name+"input_layernorm", x))))
			x = Add(x, b.rmsNorm(name+"post_feedforward_layernorm", mlp(b.rmsNorm(name+"pre_feedforward_layernorm", x))))
		} else {
			// Gemma's post_attention_layernorm is the norm before the MLP.
			x = Add(x, attend(b.rmsNorm(name+"input_layernorm", x)))
			x = Add(x, mlp(b.rmsNorm(name+"post_attention_layernorm", x)))
		}
		b.trace(fmt.Sprintf("layers.%d", i), x)
	}
	x = b.rmsNorm("language_model.norm", x)
	b.trace("norm", x)
	return x
}

// attention is grouped-query attention over the KV cache with rotary embeddings.
func (b *builder) attention(name string, layer int, x *Value, c call) *Value {
	t := b.cfg.Text
	groups, dim := t.NumKeyValueHeads, t.HeadDim
	perGroup := t.NumAttentionHeads / groups
	qKey, kKey := name+"q_proj.weight", name+"k_proj.weight"
	q := Reshape(b.times(b.stored(qKey), x, t.NumAttentionHeads*dim, x.Dim(-1)), c.rows, groups, perGroup, dim)
	k := Reshape(b.times(b.stored(kKey), x, groups*dim, x.Dim(-1)), c.rows, groups, dim)
	v := Reshape(b.linear(name+"v_proj", x, groups*dim), c.rows, groups, dim)
	q, k = Rotary(q, c.cos, c.sin), Rotary(k, c.cos, c.sin)
	q, k = b.rotated(qKey, q, x, c), b.rotated(kKey, k, x, c)
	var y *Value
	if c.keys == (ir.Dim{}) {
		y = b.bidirectional(q, k, v)
	} else {
		if ck, cv := b.cache(fmt.Sprintf("k%d", layer), k, c), b.cache(fmt.Sprintf("v%d", layer), v, c); !c.fresh {
			k, v = ck, cv
		}
		y = b.attend(layer, q, k, v, c)
	}
	return b.linear(name+"o_proj", Reshape(y, c.rows, t.NumAttentionHeads*dim), t.HiddenSize)
}

// window is the sliding window of a layer, or 0.
func (t Text) window(layer int) int {
	if layer < len(t.LayerTypes) && t.LayerTypes[layer] == slidingAttention {
		return t.SlidingWindow
	}
	return 0
}

// cache puts new keys or values [rows, groups, dim] behind the past ones and returns all of them: [keys, groups, dim],
// or for a batch [rows, keys, groups, dim].
func (b *builder) cache(name string, rows *Value, c call) *Value {
	groups, dim := b.cfg.Text.NumKeyValueHeads, b.cfg.Text.HeadDim
	kv := b.opt.KV
	if kv == ir.Invalid {
		kv = ir.F32
	}
	state := b.f.Slots(name, kv, MaxBatch, b.opt.MaxTokens, groups, dim)
	if c.positions != nil && !c.single() {
		all := Scatter(state, Convert(Reshape(rows, c.rows, 1, groups, dim), kv), c.positions)
		b.f.Update(state, all)
		return Convert(Slice(all, 1, 0, c.keys), ir.F32)
	}
	slot := b.f.Symbol(c.slot)
	all := DynamicUpdateSlice(state, Convert(Reshape(rows, 1, c.rows, groups, dim), kv), slot, b.f.Symbol(c.past))
	b.f.Update(state, all)
	one := Slice(Reshape(DynamicSlice(all, slot, 0, 1), b.opt.MaxTokens, groups, dim), 0, 0, c.keys)
	if c.positions != nil { // all rows read the same
		one = Broadcast(Reshape(one, 1, c.keys, groups, dim), c.rows, c.keys, groups, dim)
	}
	return Convert(one, ir.F32)
}

// The products of queries and keys, and the sums of values: of one sequence, and of every sequence of a batch.
const (
	products, sums           = "sgrh,tgh->grst", "grst,tgh->sgrh"
	batchProducts, batchSums = "bsgrh,btgh->bgrst", "bgrst,btgh->bsgrh"
)

// attend is attention over the keys and values of one sequence, or of every sequence of a batch.
func (b *builder) attend(layer int, q, k, v *Value, c call) *Value {
	mask := b.mask(c, b.cfg.Text.window(layer))
	weights := func(scores *Value) *Value { return Softmax(Select(mask, scores, -math.MaxFloat32)) }
	if c.positions == nil {
		w := weights(b.scores(products, q, k))
		if b.watched != nil {
			*b.watched = append(*b.watched, Reshape(w, 1, w.Dim(0).N*w.Dim(1).N, c.keys))
		}
		return Einsum(sums, w, v)
	}
	q = Reshape(q, c.rows, 1, q.Dim(1), q.Dim(2), q.Dim(3))
	y := Einsum(batchSums, weights(b.scores(batchProducts, q, k)), v)
	return Select(Ge(Reshape(c.positions, c.rows, 1, 1, 1, 1), 0), y, 0.0) // 0 where there is no sequence
}

// bidirectional is attention in which every token sees every other.
func (b *builder) bidirectional(q, k, v *Value) *Value {
	return Einsum(sums, Softmax(b.scores(products, q, k)), v)
}

// scores are the scaled and capped products of queries and keys.
func (b *builder) scores(products string, q, k *Value) *Value {
	t := b.cfg.Text
	return softcap(Mul(Einsum(products, q, k), 1/math.Sqrt(t.QueryPreAttnScalar)), t.AttnLogitSoftcapping)
}

// mask says who sees whom, bool [rows, keys] or for a batch [rows, 1, 1, 1, keys]: causal, within the window if there
// is one, and the prefix in both directions whatever the window.
func (b *builder) mask(c call, window int) *Value {
	var query *Value
	if c.positions != nil {
		query = Reshape(c.positions, c.rows, 1, 1, 1, 1)
	} else {
		query = Add(b.f.Iota(0, c.rows, 1), b.f.Symbol(c.past))
	}
	key := b.f.Iota(1, 1, c.keys)
	seen := Le(key, query)
	if window > 0 {
		seen = And(seen, Gt(key, Sub(query, window)))
	}
	if c.prefix == (ir.Dim{}) { // the query is behind it
		return seen
	}
	prefix := b.f.Symbol(c.prefix)
	return Or(seen, And(Lt(query, prefix), Lt(key, prefix)))
}

// rotaryTables are cosine and sine of position times frequency. Positions count from 1 and frequencies are rounded at
// every step, as in transformers: at position 8000 one unit in the last place of a frequency is 5e-4 of an angle. Both are
// halves of one tensor, so that one kernel computes them.
func (b *builder) rotaryTables(c call) (cos, sin *Value) {
	t := b.cfg.Text
	half := t.HeadDim / 2
	freq := make([]float64, half)
	for i := range freq {
		power := math.Pow(t.RopeTheta, float64(float32(2*i)/float32(t.HeadDim)))
		freq[i] = float64(1 / float32(power))
	}
	var position *Value
	switch {
	case c.positions != nil:
		position = Reshape(c.positions, c.rows, 1)
	case c.past != (ir.Dim{}):
		position = Add(b.f.Iota(0, c.rows, 1), b.f.Symbol(c.past))
	default:
		position = b.f.Iota(0, c.rows, 1)
	}
	position = Add(position, 1)
	angle := Mul(Convert(position, ir.F32), b.f.Const(ir.F32, freq, 1, half))
	both := Concat(1, Cos(angle), Sin(angle))
	return Slice(both, 1, 0, half), Slice(both, 1, half, 2*half)
}

// mlp is the gated linear unit down(gelu(gate x) · up x).
func (b *builder) mlp(name string, x *Value) *Value {
	t := b.cfg.Text
	gate, up := b.linear(name+"gate_proj", x, t.IntermediateSize), b.linear(name+"up_proj", x, t.IntermediateSize)
	return b.linear(name+"down_proj", Mul(GeluTanh(gate), up), t.HiddenSize)
}

func softcap(x *Value, limit float64) *Value {
	if limit == 0 {
		return x
	}
	return Mul(Tanh(Div(x, limit)), limit)
}

func (b *builder) rmsNorm(name string, x *Value) *Value {
	return RMSNorm(x, b.own(name+".weight", b.cfg.Text.HiddenSize), b.cfg.Text.RMSNormEps)
}

func (b *builder) linear(name string, x *Value, out int) *Value {
	return b.product(name+".weight", x, out, x.Dim(-1))
}
