package peft

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"pgc/ir/floats"
	"pgc/runtime/safetensors"
)

// module is what an adapter holds for one module of the base, whose weight the map that holds it names.
type module struct {
	stored    string // the module's name as the file has it, without base_model.model
	a, b      *safetensors.Tensor
	bias      *safetensors.Tensor // of lora_B
	embedding bool                // a and b are lora_embedding_A and lora_embedding_B
	magnitude *safetensors.Tensor // of DoRA
	tokens    *safetensors.Tensor // trainable_tokens_delta
}

// parts are the endings of names, with the field of a module that such a tensor is.
var parts = []struct {
	ending string
	field  func(m *module) **safetensors.Tensor
}{
	{".lora_A.weight", func(m *module) **safetensors.Tensor { return &m.a }},
	{".lora_B.weight", func(m *module) **safetensors.Tensor { return &m.b }},
	{".lora_B.bias", func(m *module) **safetensors.Tensor { return &m.bias }},
	{".lora_embedding_A", func(m *module) **safetensors.Tensor { m.embedding = true; return &m.a }},
	{".lora_embedding_B", func(m *module) **safetensors.Tensor { m.embedding = true; return &m.b }},
	{".lora_magnitude_vector", func(m *module) **safetensors.Tensor { return &m.magnitude }},
	{".lora_magnitude_vector.weight", func(m *module) **safetensors.Tensor { return &m.magnitude }},
	{".token_adapter.trainable_tokens_delta", func(m *module) **safetensors.Tensor { return &m.tokens }},
}

// IsPart reports whether a tensor's name is of an adapter of a layer, as in a model that was saved with it.
func IsPart(name string) bool { return strings.Contains(name, ".lora_") }

// replaced is a tensor of the base that the adapter holds whole.
type replaced struct {
	tensor  safetensors.Tensor
	stored  string // its name as the file has it, without base_model.model
	inPlace bool   // loaded into the base's own tensor, not beside it as modules_to_save are
}

// contents are the tensors of an adapter by the names of the base's weights.
type contents struct {
	modules  map[string]*module
	replaced map[string]replaced
}

// sort puts every tensor of the file to the weight it belongs to. canonical maps names of stored tensors to the base's.
func (a *Adapter) sort(h Host) (*contents, error) {
	c := &contents{map[string]*module{}, map[string]replaced{}}
	var again []string
	for _, name := range a.file.Names() {
		t, _ := a.file.Tensor(name)
		t = narrowed(t)
		if _, ok := floats.Of(t.DType); !ok {
			return nil, fmt.Errorf("%s: tensor %s is %s, expected F64, F32, BF16 or F16", a.file.Path, safetensors.Printable(name), t.DType)
		}
		switch plain := strings.TrimPrefix(strings.ReplaceAll(name, "_orig_mod.", ""), "base_model.model."); {
		case strings.Contains(plain, ".original_module."): // what modules_to_save stands for: nobody reads it
		case strings.HasSuffix(plain, ".lora_velora_embed"): // of VeLoRA, which is LoRA once it is trained
		case strings.Contains(plain, savedPart):
			again = append(again, plain)
		default:
			if err := c.put(a, h, plain, t); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range again {
		if err := c.again(a, h, name); err != nil {
			return nil, err
		}
	}
	if len(c.modules)+len(c.replaced) == 0 {
		return nil, fmt.Errorf("%s holds no tensors: expected those of an adapter", a.file.Path)
	}
	return c, nil
}

// narrowed is a tensor of F64 as F32, which peft makes of it when it loads the adapter, or t itself.
func narrowed(t safetensors.Tensor) safetensors.Tensor {
	if t.DType != safetensors.F64 {
		return t
	}
	wide := t.Data
	t.DType, t.Data = safetensors.F32, nil
	for ; len(wide) >= 8; wide = wide[8:] {
		v := float32(math.Float64frombits(binary.LittleEndian.Uint64(wide)))
		t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(v))
	}
	return t
}

// savedPart is in names of tensors that bias="all" saves once more, as they are called within the wrapped module.
const savedPart = ".modules_to_save."

// again checks that a tensor of modules_to_save is also there under its module's name, which is the one that is read.
func (c *contents) again(a *Adapter, h Host, name string) error {
	before, after, _ := strings.Cut(name, savedPart)
	_, unnamed, _ := strings.Cut(after, ".")
	for _, rest := range []string{after, unnamed} { // the adapter's name may come first
		if _, ok := c.replaced[h.Canonical(before+"."+rest)]; ok {
			return nil
		}
	}
	return fmt.Errorf("%s: tensor %s is there, but %s is missing: expected all tensors of the adapter (save it anew)", a.file.Path, safetensors.Printable(name), safetensors.Printable(before+"."+after))
}

// put puts one tensor to its weight.
func (c *contents) put(a *Adapter, h Host, name string, t safetensors.Tensor) error {
	for _, p := range parts {
		stored, ok := strings.CutSuffix(name, p.ending)
		if !ok {
			continue
		}
		key := h.Canonical(stored + ".weight")
		if _, ok := h.shape(key); !ok {
			return a.unmatched(t, stored)
		}
		m := c.modules[key]
		if m == nil {
			m = &module{stored: stored}
			c.modules[key] = m
		}
		field := p.field(m)
		if *field != nil {
			return fmt.Errorf("%s: tensor %s is also there as %s: expected one of them (save the adapter anew)", a.file.Path, safetensors.Printable(t.Name), safetensors.Printable((*field).Name))
		}
		*field = &t
		return nil
	}
	if IsPart(name) || strings.Contains(name, "trainable_tokens") {
		return fmt.Errorf("%s: tensor %s is of no known kind: expected lora_A, lora_B, lora_embedding_A, lora_embedding_B, lora_magnitude_vector or trainable_tokens_delta", a.file.Path, safetensors.Printable(t.Name))
	}
	plain := strings.ReplaceAll(name, ".base_layer.", ".")
	key := h.Canonical(plain)
	if h.Ignored(key) {
		return nil
	}
	if _, ok := h.shape(key); !ok {
		return a.unmatched(t, plain)
	}
	if first, twice := c.replaced[key]; twice {
		return fmt.Errorf("%s: tensor %s is also there as %s: expected one of them (save the adapter anew)", a.file.Path, safetensors.Printable(t.Name), safetensors.Printable(first.tensor.Name))
	}
	c.replaced[key] = replaced{t, plain, plain != name || !a.saves(plain) && !a.saves(newest(key))}
	return nil
}

// saves reports whether modules_to_save names the module that a tensor is of, or one around it.
func (a *Adapter) saves(tensor string) bool {
	return slices.ContainsFunc(a.saved, func(name string) bool { return within(tensor, name) })
}

// within reports whether a name given in modules_to_save, the end of a module's, is that of a module that holds a tensor.
func within(tensor, name string) bool {
	for at := strings.LastIndexByte(tensor, '.'); at >= 0; at = strings.LastIndexByte(tensor[:at], '.') {
		if strings.HasSuffix(tensor[:at], name) {
			return true
		}
	}
	return false
}

// unmatched says that the base has nothing that a tensor belongs to.
func (a *Adapter) unmatched(t safetensors.Tensor, name string) error {
	return fmt.Errorf("%s: tensor %s belongs to no weight of the base: expected a base that has %s (the adapter was trained on %s)", a.file.Path, safetensors.Printable(t.Name), safetensors.Printable(name), a.trainedOn())
}

func (a *Adapter) trainedOn() string {
	if a.Base == "" {
		return "a base that it does not name"
	}
	return fmt.Sprintf("%.200q", a.Base)
}
