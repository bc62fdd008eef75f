package build

import (
	"fmt"
	"io"

	"pgc/codegen"
	"pgc/models"
	"pgc/passes"
	"pgc/runtime/entry"
	"pgc/runtime/generate"
	"pgc/runtime/manifest"
	"pgc/runtime/native"
)

// Sizes holds the size of a model's executable and its memory, computed without the weights.
type Sizes struct {
	Model        string           `json:"model"`
	Parameters   int64            `json:"parameters"`
	WeightBytes  int64            `json:"weight_bytes"`
	ImageTokens  int              `json:"image_tokens"`
	MaxTokens    int              `json:"max_tokens"`
	KVPerToken   int64            `json:"kv_bytes_per_token"`
	ArenaBytes   map[string]int64 `json:"arena_bytes"` // at the capacity
	ArenaMinimum map[string]int64 `json:"arena_lower_bound_bytes"`
	Kernels      int              `json:"kernels"`
	One          generate.Memory  `json:"one_picture"` // and 32 tokens of text
	Full         generate.Memory  `json:"full"`        // as many tokens as the cache holds
}

// tables is the size in bytes of an executable's other sections, mostly Gemma's tokenizer.
const tables = 15 << 20

// Measure lowers a checkpoint, a released size or a config.json and adds up the sizes.
func Measure(path string, o Options) (*Sizes, error) {
	m, err := Plain(path, 0, o)
	if err != nil {
		return nil, err
	}
	if m.Config == nil {
		return nil, fmt.Errorf("%s is compiled: expected a checkpoint or a size (%s info tells the memory that it takes)", path, path)
	}
	parameters := int64(0)
	for _, w := range models.Declared(m.Module) {
		parameters += w.Elements()
	}
	o = o.first()
	if err := o.optimize(m.Module); err != nil {
		return nil, err
	}
	backends, err := o.machines(m.Module)
	if err != nil {
		return nil, err
	}
	r, err := codegen.Lower(m.Module, backends[0])
	if err != nil {
		return nil, err
	}
	p, facts := r.Program, m.Config.Facts()
	s := &Sizes{Model: m.Name, Parameters: parameters, WeightBytes: p.WeightBytes, ImageTokens: m.ImageTokens, MaxTokens: o.capacity(m.ImageTokens),
		ArenaBytes: map[string]int64{}, ArenaMinimum: map[string]int64{}, Kernels: len(p.Kernels)}
	s.KVPerToken = p.SlotBytes() / int64(s.MaxTokens)
	for _, f := range m.Module.Funcs {
		a := passes.ArenaOf(f)
		s.ArenaBytes[f.Name], s.ArenaMinimum[f.Name] = a.Bytes, a.LowerBound
	}
	model := &manifest.Model{MaxTokens: s.MaxTokens, HiddenSize: facts.HiddenSize, VocabSize: facts.VocabSize, ImageSize: facts.ImageSize}
	need := func(n int) generate.Memory {
		return generate.Needs(p, model, tables, native.MostThreads(native.DefaultThreads()), n, n)
	}
	s.One, s.Full = need(min(m.ImageTokens+32, s.MaxTokens)), need(s.MaxTokens)
	return s, nil
}

// Print writes the sizes as text.
func (s *Sizes) Print(w io.Writer) {
	mib := func(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
	fmt.Fprintf(w, "model        %s, %.1f M parameters\n", s.Model, float64(s.Parameters)/1e6)
	fmt.Fprintf(w, "weights      %s\n", mib(s.WeightBytes))
	if s.KVPerToken > 0 {
		fmt.Fprintf(w, "KV cache     %d bytes a token, %d tokens: %s\n", s.KVPerToken, s.MaxTokens, mib(s.KVPerToken*int64(s.MaxTokens)))
	}
	for _, name := range []string{entry.EncodeImage, entry.Prefill, entry.Decode, entry.Embed} {
		if _, ok := s.ArenaBytes[name]; !ok {
			continue
		}
		fmt.Fprintf(w, "arena        %s of %s at %d tokens; at least %s are alive at once\n", mib(s.ArenaBytes[name]), name, s.MaxTokens, mib(s.ArenaMinimum[name]))
	}
	for _, c := range []struct {
		of  string
		has generate.Memory
	}{{fmt.Sprintf("one picture (%d tokens) and 32 tokens of text", s.ImageTokens), s.One}, {fmt.Sprintf("%d tokens", s.MaxTokens), s.Full}} {
		fmt.Fprintf(w, "memory       %s for %s: weights, KV %s, arena %s, the rest %s\n", mib(c.has.Total()), c.of, mib(c.has.KV), mib(c.has.Arena), mib(c.has.Rest))
	}
}
