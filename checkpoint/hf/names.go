package hf

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgc/checkpoint/peft"
	"pgc/checkpoint/quantized"
	"pgc/models"
	"pgc/runtime/safetensors"
)

// wrappers are the parts that wrappers of modules put into names, wherever they stand: torch.compile, FSDP, activation
// checkpointing.
var wrappers = []string{"_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."}

// name gives the tensors of the files their canonical names. A prefix before all of the model's is stripped; then what
// lies outside it is not the model's.
func (c *Checkpoint) name() error {
	if c.bigvision != nil {
		return c.locateWeights()
	}
	if err := c.declare(); err != nil {
		return err
	}
	weights := map[string]bool{c.Model.Head: c.Model.Head != ""}
	for _, w := range c.Weights {
		weights[w.Name] = true
	}
	c.under = c.beginnings(weights)
	prefix, err := c.prefix()
	if err != nil {
		return err
	}
	wrapped, outside := "", []string{}
	for _, f := range c.files {
		for _, key := range f.Names() {
			t, _ := f.Tensor(key)
			name, wrapper := unwrap(key)
			if wrapper != "" {
				wrapped = wrapper
			}
			name, inside := strings.CutPrefix(name, prefix)
			if !inside {
				outside = append(outside, key)
				continue
			}
			canonical := c.Model.Canonical(name)
			if first, twice := c.tensors[canonical]; twice {
				return fmt.Errorf("%s: tensor %s is also in %s as %s: expected one of them (save the model anew)", f.Path, safetensors.Printable(key), first.file.Path, safetensors.Printable(first.stored.Name))
			}
			c.tensors[canonical] = located{file: f, stored: t}
		}
	}
	if wrapped != "" {
		c.Notes = append(c.Notes, fmt.Sprintf("%s: %q in the names of tensors is a wrapper's: it is left out", c.Dir, wrapped))
	}
	if prefix != "" {
		note := fmt.Sprintf("%s: the model's tensors are those whose names begin with %s, which is left out", c.Dir, safetensors.Printable(prefix))
		if len(outside) > 0 {
			slices.Sort(outside)
			note += fmt.Sprintf("; %d others (%s, …) are passed over", len(outside), safetensors.Printable(outside[0]))
		}
		c.Notes = append(c.Notes, note)
	}
	return nil
}

// unwrap takes the parts that wrappers put there out of a name, and returns one of them.
func unwrap(key string) (name, wrapper string) {
	for _, w := range wrappers {
		if part := "." + key; strings.Contains(part, "."+w) {
			for strings.Contains(part, "."+w) {
				part = strings.Replace(part, "."+w, ".", 1)
			}
			key, wrapper = part[1:], w
		}
	}
	return key, wrapper
}

// beginnings finds the names in the files of the model's weights: those by canonical name that are left of a name behind a
// beginning of it, by beginnings.
func (c *Checkpoint) beginnings(weights map[string]bool) map[string]map[string]string {
	found := map[string]map[string]string{}
	for _, f := range c.files {
		for _, key := range f.Names() {
			name, _ := unwrap(key)
			for at := 0; ; {
				if canonical := c.Model.Canonical(name[at:]); weights[canonical] {
					if found[name[:at]] == nil {
						found[name[:at]] = map[string]string{}
					}
					found[name[:at]][canonical] = key
				}
				next := strings.IndexByte(name[at:], '.')
				if next < 0 {
					break
				}
				at += next + 1
			}
		}
	}
	return found
}

// byLength lists the beginnings, the shortest first.
func (c *Checkpoint) byLength() []string {
	return slices.SortedFunc(maps.Keys(c.under), func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
}

// prefix returns what stands before the names of all weights in the files: of all beginnings after which the name of a
// weight follows the one with the most weights, the shortest of several. It is empty where weights are found without.
func (c *Checkpoint) prefix() (string, error) {
	found, best := c.under, ""
	for _, p := range c.byLength() {
		if len(found[p]) > len(found[best]) {
			best = p
		}
	}
	for _, p := range slices.Sorted(maps.Keys(found)) {
		if best != "" && len(found[p]) == len(found[best]) && !strings.HasPrefix(p, best) && overlap(found[p], found[best]) {
			return "", fmt.Errorf("%s holds several models, under %s and %s: expected one (save the one that is meant alone)", c.Dir, safetensors.Printable(best), safetensors.Printable(p))
		}
	}
	return best, nil
}

// overlap reports whether two lists have a weight both.
func overlap(a, b map[string]string) bool {
	for key := range a {
		if b[key] != "" {
			return true
		}
	}
	return false
}

// ofColPaliEngine reports whether a tensor is of a ColPali that colpali-engine saved, which transformers has under other names.
func ofColPaliEngine(name string) bool { return strings.Contains(name, "custom_text_proj.") }

// foreign reports whether a tensor belongs to something that was trained beside the model, such as the head of a reward or of
// a robot's actions: no part of its name is that of a part of the model, as parts of another version of it would have.
func (c *Checkpoint) foreign(name string) bool {
	if peft.IsPart(name) || ofColPaliEngine(name) {
		return false
	}
	parts := strings.Split(name, ".")
	for _, w := range c.Weights {
		top, _, _ := strings.Cut(w.Name, ".")
		if slices.Contains(parts, top) {
			return false
		}
	}
	return true
}

// packed are parts of names that tools give quantized weights, of which config.json says nothing.
var packed = []struct{ part, tool, step string }{
	{".weight._data", "optimum-quanto", quantized.Dequantize},
	{".W_q", "HQQ", quantized.Dequantize},
	{".qweight", "GPTQ or AWQ", "expected the config.json that was saved with them, which has their quantization_config"},
	{".weight_packed", "compressed-tensors", "expected the config.json that was saved with them, which has their quantization_config"},
	{".quant_state.bitsandbytes__", "bitsandbytes", "expected the config.json that was saved with them, which has their quantization_config"},
}

// missing is the error of a weight that no tensor is, with what was found in its place: a tensor behind another beginning than
// most have, parts of an adapter that was not merged, or tensors that are not the model's.
func (c *Checkpoint) missing(w models.Weight) error {
	lacks := fmt.Sprintf("%s: tensor %s is missing", c.Dir, w.Name)
	best, _ := c.prefix()
	for _, p := range c.byLength() {
		if name := c.under[p][w.Name]; name != "" && p != best {
			return fmt.Errorf("%s, but there is %s: %d of the model's %d tensors have names %s and %d %s, expected one beginning of all (save the model anew)", lacks,
				safetensors.Printable(name), len(c.under[best]), len(c.Weights), behind(best), len(c.under[p]), behind(p))
		}
	}
	declared := map[string]bool{}
	for _, w := range c.Weights {
		declared[w.Name] = true
	}
	var others []string
	for key, t := range c.tensors {
		if !declared[key] && !c.Model.Ignored(key) {
			others = append(others, t.stored.Name)
		}
	}
	slices.Sort(others)
	for _, name := range others {
		if peft.IsPart(name) || strings.Contains(name, ".base_layer.") {
			return fmt.Errorf("%s, but there is %s: an adapter was not merged before the model was saved, expected the base, and the adapter in a folder of its own (--adapter DIR), or both merged (merge_and_unload)", lacks, safetensors.Printable(name))
		}
	}
	for _, name := range others {
		for _, q := range packed {
			if strings.Contains(name, q.part) {
				return fmt.Errorf("%s, but there is %s, as %s stores quantized weights: %s", lacks, safetensors.Printable(name), q.tool, q.step)
			}
		}
	}
	there := fmt.Sprintf("%d tensors are there", len(c.tensors))
	if len(others) > 0 {
		there += fmt.Sprintf(", of which %d are not the model's, such as %s", len(others), safetensors.Printable(others[0]))
	}
	return fmt.Errorf("%s, expected shape %v (%s): expected all weights that config.json was saved with", lacks, w.Shape, there)
}

// behind says where names stand in a sentence.
func behind(prefix string) string {
	if prefix == "" {
		return "without a prefix"
	}
	return "under " + safetensors.Printable(prefix)
}
