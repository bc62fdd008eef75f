package paligemma

import (
	"fmt"
	"math"
	"slices"
	"strings"

	. "pgc/frontend"
)

// layerNorms are the norms of a layer, before attention and before the MLP, and the one after all layers.
var layerNorms = [3]string{"layer_norm1", "layer_norm2", "post_layernorm"}

// isScale reports whether a weight is the factor of one of them. Those of Gemma's norms lack one: x·(1+w).
func isScale(key string) bool {
	return slices.ContainsFunc(layerNorms[:], func(name string) bool { return strings.HasSuffix(key, "."+name+".weight") })
}

// siglip is the image encoder for one image: pixels [3, size, size] to patch features [tokens, hidden].
func (b *builder) siglip(pixels *Value) *Value {
	c := b.cfg.Vision
	grid, p := c.ImageSize/c.PatchSize, c.PatchSize
	// The convolution leaves out what does not fill a patch at the right and at the bottom.
	if used := grid * p; used < c.ImageSize {
		pixels = Slice(Slice(pixels, 1, 0, used), 2, 0, used)
	}
	// The patch convolution has no overlap: it is a product over (channel, y, x) of each patch.
	patches := Reshape(Transpose(Reshape(pixels, 3, grid, p, grid, p), 1, 3, 0, 2, 4), grid*grid, 3*p*p)
	x := b.product("vision_tower.embeddings.patch_embedding.weight", patches, c.HiddenSize, 3, p, p)
	x = Add(x, b.own("vision_tower.embeddings.patch_embedding.bias", c.HiddenSize))
	x = Add(x, b.own("vision_tower.embeddings.position_embedding.weight", grid*grid, c.HiddenSize))
	b.trace("vision.embeddings", x)
	for i := range c.NumHiddenLayers {
		name := fmt.Sprintf("vision_tower.encoder.layers.%d.", i)
		x = Add(x, b.siglipAttention(name+"self_attn.", b.layerNorm(name+layerNorms[0], x)))
		h := GeluTanh(b.biased(name+"mlp.fc1", b.layerNorm(name+layerNorms[1], x), c.IntermediateSize))
		x = Add(x, b.biased(name+"mlp.fc2", h, c.HiddenSize))
		b.trace(fmt.Sprintf("vision.layers.%d", i), x)
	}
	x = b.layerNorm("vision_tower."+layerNorms[2], x)
	b.trace("vision.post_layernorm", x)
	return x
}

// siglipAttention is full bidirectional attention over the patches.
func (b *builder) siglipAttention(name string, x *Value) *Value {
	c := b.cfg.Vision
	n, heads, dim := c.Tokens(), c.NumAttentionHeads, c.HiddenSize/c.NumAttentionHeads
	q := Reshape(b.biased(name+"q_proj", x, c.HiddenSize), n, heads, 1, dim)
	k := Reshape(b.biased(name+"k_proj", x, c.HiddenSize), n, heads, dim)
	v := Reshape(b.biased(name+"v_proj", x, c.HiddenSize), n, heads, dim)
	scores := Mul(Einsum("sgrh,tgh->grst", q, k), 1/math.Sqrt(float64(dim)))
	y := Einsum("grst,tgh->sgrh", Softmax(scores), v)
	return b.biased(name+"out_proj", Reshape(y, n, c.HiddenSize), c.HiddenSize)
}

func (b *builder) layerNorm(name string, x *Value) *Value {
	c := b.cfg.Vision
	return LayerNorm(x, b.own(name+".weight", c.HiddenSize), b.own(name+".bias", c.HiddenSize), c.LayerNormEps)
}

// biased is a linear layer with bias from x's width to out.
func (b *builder) biased(name string, x *Value, out int) *Value {
	return Add(b.product(name+".weight", x, out, x.Dim(-1)), b.own(name+".bias", out))
}

// project maps patch features into the decoder's embedding space.
func (b *builder) project(x *Value) *Value {
	return b.biased("multi_modal_projector.linear", x, b.cfg.Text.HiddenSize)
}
