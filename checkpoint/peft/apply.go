package peft

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"pgc/checkpoint/lazy"
	"pgc/ir"
	"pgc/ir/floats"
	"pgc/models"
	"pgc/runtime/safetensors"
)

// Host is the model that an adapter changes.
type Host struct {
	Canonical       func(stored string) string // names of stored tensors to the weights'
	Ignored         func(key string) bool      // weights that take part in no computation
	Weights         []models.Weight
	Base            func(key string) lazy.Tensor // a weight as it is stored
	Embedding, Head string                       // weights; Head is empty where the model has none
	Tied            bool                         // the head is the embedding
}

// shape returns the shape of a weight.
func (h Host) shape(key string) ([]int, bool) {
	if h.Tied && key == h.Head {
		key = h.Embedding
	}
	i := slices.IndexFunc(h.Weights, func(w models.Weight) bool { return w.Name == key })
	if i < 0 {
		return nil, false
	}
	return h.Weights[i].Shape, true
}

// Changes are what an adapter does to the weights of its base.
type Changes struct {
	steps  map[string][]step
	Untied bool     // the head is no longer the embedding
	Notes  []string // what a user should know
}

// Changed lists the weights that are changed, in order.
func (c *Changes) Changed() []string { return slices.Sorted(maps.Keys(c.steps)) }

// Merge returns a weight with its changes in the type of the result.
func (c *Changes) Merge(key string, base lazy.Tensor, dtype ir.DType) *Merged {
	return &Merged{base: matrixOf(base), dtype: dtype, steps: c.steps[key]}
}

// Apply sorts an adapter's tensors to the weights of a model and checks that they fit and that none is missing. A head
// that is tied to the embedding changes with it, as in the model that merge_and_unload returns; apart keeps what the
// adapter does to the two apart, as in the model that was trained.
func (a *Adapter) Apply(h Host, apart bool) (*Changes, error) {
	c, of, err := a.collect(h)
	if err != nil {
		return nil, err
	}
	out := &Changes{steps: map[string][]step{}}
	if h.Tied {
		out.tied(a, h, c, of, apart)
	}
	for key, w := range of {
		if all := slices.Concat(w.loaded, w.merged); len(all) > 0 {
			out.steps[key] = all
		}
	}
	return out, nil
}

// collect sorts the tensors to the weights and makes the steps of each.
func (a *Adapter) collect(h Host) (*contents, map[string]weightSteps, error) {
	c, err := a.sort(h)
	if err != nil {
		return nil, nil, err
	}
	if err := a.complete(h, c); err != nil {
		return nil, nil, err
	}
	of := map[string]weightSteps{}
	for _, key := range slices.Sorted(maps.Keys(c.replaced)) {
		r := c.replaced[key]
		shape, _ := h.shape(key)
		if !slices.Equal(r.tensor.Shape, shape) {
			return nil, nil, fmt.Errorf("%s: tensor %s has shape %v, the base's has %v (after resize_token_embeddings save the resized base, too)", a.file.Path, safetensors.Printable(r.tensor.Name), r.tensor.Shape, shape)
		}
		w := of[key]
		by := stored(&r.tensor)
		w.loaded, w.dtype, w.beside = []step{replace(by)}, by.DType, !r.inPlace
		of[key] = w
	}
	for _, key := range slices.Sorted(maps.Keys(c.modules)) {
		if err := a.merges(h, key, c.modules[key], of); err != nil {
			return nil, nil, err
		}
	}
	return c, of, nil
}

// weightSteps are the steps of one weight: what is loaded into it, and what is merged.
type weightSteps struct {
	loaded, merged []step
	dtype          ir.DType // of what is loaded
	beside         bool     // what is loaded is a tensor of its own beside the base's
	low            *lowRank // the step that is merged, if it is one
	tokens         *tokenRows
}

// tokenRows are the rows of an adapter that stand for some of a weight's.
type tokenRows struct {
	at map[int]int // rows of the weight to those of the adapter
	by matrix
}

// stored returns a tensor of the adapter as a matrix.
func stored(t *safetensors.Tensor) matrix {
	d, _ := floats.Of(t.DType)
	return matrixOf(lazy.Tensor{DType: d, Data: t.Data, Shape: t.Shape})
}

// merges adds the steps that a module's tensors make of its weight and of its bias.
func (a *Adapter) merges(h Host, key string, m *module, of map[string]weightSteps) error {
	shape, _ := h.shape(key)
	w := of[key]
	if m.tokens != nil {
		if m.a != nil || m.b != nil {
			return fmt.Errorf("%s: tensor %s stands beside lora_A and lora_B of the same module, expected one of them", a.file.Path, safetensors.Printable(m.tokens.Name))
		}
		at, err := a.tokenRows(key, m, shape)
		if err != nil {
			return err
		}
		w.tokens = &tokenRows{at, stored(m.tokens)}
		w.merged = append(w.merged, rows(at, w.tokens.by))
		of[key] = w
		return nil
	}
	if err := a.fits(m, shape); err != nil {
		return err
	}
	rank := m.a.Shape[0]
	if a.rank > 0 && rank != a.rank {
		return fmt.Errorf("%s: tensor %s is of rank %d, but r in %s is %d, and rank_pattern is not given: expected the %[4]s that was saved with it", a.file.Path, safetensors.Printable(m.a.Name), rank, ConfigFile, a.rank)
	}
	alpha, err := a.alphaOf(key, m)
	if err != nil {
		return err
	}
	scale := alpha / float64(rank)
	if a.rsLoRA {
		scale = alpha / math.Sqrt(float64(rank))
	}
	low := lowRank{a: stored(m.a), b: stored(m.b), embedding: m.embedding, scale: float32(scale)}
	if m.magnitude != nil {
		v := stored(m.magnitude)
		low.magnitude = &v
	}
	w.merged, w.low = append(w.merged, low.start), &low
	of[key] = w
	if m.bias == nil {
		return nil
	}
	name := key[:len(key)-len("weight")] + "bias"
	if _, ok := h.shape(name); !ok {
		return fmt.Errorf("%s: tensor %s is a bias for a layer that has none in the base, which cannot be merged: train it without lora_bias for that layer", a.file.Path, safetensors.Printable(m.bias.Name))
	}
	b := of[name]
	b.merged = append(b.merged, add(stored(m.bias), float32(scale)))
	of[name] = b
	return nil
}

// fits checks that a module's tensors are all there and have the shapes that the weight's asks for.
func (a *Adapter) fits(m *module, shape []int) error {
	for _, part := range []struct {
		name   string
		tensor *safetensors.Tensor
		needed bool
	}{
		{"lora_A", m.a, true}, {"lora_B", m.b, true},
		{"lora_magnitude_vector", m.magnitude, a.dora}, {"lora_B.bias", m.bias, a.loraBias && !m.embedding},
	} {
		if part.tensor == nil && part.needed {
			return fmt.Errorf("%s: %s of %s is missing: expected all tensors of an adapter (save it anew)", a.file.Path, part.name, safetensors.Printable(m.stored))
		}
		if part.tensor != nil && !part.needed {
			return fmt.Errorf("%s: tensor %s is there, but %s does not turn it on (use_dora, lora_bias): expected the %[3]s that was saved with it", a.file.Path, safetensors.Printable(part.tensor.Name), ConfigFile)
		}
	}
	if len(m.a.Shape) < 2 || len(m.b.Shape) < 2 || len(m.a.Data) == 0 || len(m.b.Data) == 0 {
		return fmt.Errorf("%s: tensors of %s have the shapes %v and %v, expected matrices: shards of DeepSpeed or FSDP were not gathered before the adapter was saved", a.file.Path, safetensors.Printable(m.stored), m.a.Shape, m.b.Shape)
	}
	rank := m.a.Shape[0]
	wantA, wantB, norms := append([]int{rank}, shape[1:]...), []int{shape[0], rank}, []int{shape[0]}
	for range shape[min(2, len(shape)):] { // a convolution's second factor has kernels of one element
		wantB = append(wantB, 1)
		norms = nil
	}
	if m.embedding {
		wantA, wantB, norms = []int{rank, shape[0]}, []int{shape[len(shape)-1], rank}, []int{shape[len(shape)-1]}
	}
	if norms == nil {
		norms = []int{1, shape[0], 1, 1}
	}
	type expected struct {
		tensor *safetensors.Tensor
		shape  []int
	}
	list := []expected{{m.a, wantA}, {m.b, wantB}}
	if m.magnitude != nil {
		list = append(list, expected{m.magnitude, norms})
	}
	if m.bias != nil {
		list = append(list, expected{m.bias, shape[:1]})
	}
	for _, e := range list {
		if !slices.Equal(e.tensor.Shape, e.shape) {
			return fmt.Errorf("%s: tensor %s has shape %v, expected %v beside the base's %v", a.file.Path, safetensors.Printable(e.tensor.Name), e.tensor.Shape, e.shape, shape)
		}
	}
	return nil
}

// tokenRows maps the rows of an embedding or a head that are trained to rows of the adapter's tensor.
func (a *Adapter) tokenRows(key string, m *module, shape []int) (map[int]int, error) {
	ids, ok := a.tokens[""]
	for name, list := range a.tokens {
		if name != "" && endsWith(m.stored, name) {
			ids, ok = list, true
		}
	}
	t := m.tokens
	if !ok {
		return nil, fmt.Errorf("%s: tensor %s is there, but trainable_token_indices in %s has no ids for it: expected the %[3]s that was saved with it", a.file.Path, safetensors.Printable(t.Name), ConfigFile)
	}
	if len(shape) != 2 || !slices.Equal(t.Shape, []int{len(ids), shape[1]}) {
		return nil, fmt.Errorf("%s: tensor %s has shape %v, expected a row of %s for each of the %d trainable_token_indices", a.file.Path, safetensors.Printable(t.Name), t.Shape, key, len(ids))
	}
	at := map[int]int{}
	for i, id := range ids {
		if id >= shape[0] {
			return nil, fmt.Errorf("%s: trainable_token_indices has the id %d, beyond the %d rows of %s: expected the base that the adapter was trained on", a.file.Path, id, shape[0], key)
		}
		at[id] = i
	}
	return at, nil
}

// tied settles what becomes of a head that is the embedding. Where modules_to_save holds one of the two, it is a matrix
// of its own. Otherwise both are one tensor, which peft merges the changes of both into.
func (out *Changes) tied(a *Adapter, h Host, c *contents, of map[string]weightSteps, apart bool) {
	e, head := of[h.Embedding], of[h.Head]
	one := !e.beside && !head.beside
	if x, y := c.replaced[h.Embedding].tensor, c.replaced[h.Head].tensor; len(e.merged)+len(head.merged) == 0 &&
		len(x.Data) > 0 && x.DType == y.DType && bytes.Equal(x.Data, y.Data) { // ensure_weight_tying
		delete(of, h.Head)
		return
	}
	adapted := len(e.merged)+len(head.merged) > 0
	if t := c.modules[h.Embedding]; adapted && len(head.merged) == 0 && t != nil && t.tokens != nil {
		adapted = false // trainable tokens of the embedding are those of the head as well
	}
	switch loaded := slices.Concat(e.loaded, head.loaded); {
	case !one:
		out.Untied = true
	case adapted && apart:
		out.Untied = true
		e.loaded, e.dtype, head.loaded, head.dtype = loaded, cmp.Or(e.dtype, head.dtype), loaded, cmp.Or(head.dtype, e.dtype)
		of[h.Embedding], of[h.Head] = e, head
	default:
		e.loaded, e.merged, e.dtype = loaded, slices.Concat(e.merged, head.merged), cmp.Or(e.dtype, head.dtype)
		of[h.Embedding] = e
		delete(of, h.Head)
		if adapted {
			out.Notes = append(out.Notes, fmt.Sprintf("%s adapts %s or %s, which are one matrix in the base: it is merged into both, as peft's merge_and_unload does; --weights f32 keeps them apart, as in training", a.Dir, h.Embedding, h.Head))
		}
	}
}
