package hf

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

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
	prefix, err := c.prefix(weights)
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

// prefix returns what stands before the names of all weights in the files: of all beginnings after which the name of a
// weight follows the one with the most weights, the shortest of several. It is empty where weights are found without.
func (c *Checkpoint) prefix(weights map[string]bool) (string, error) {
	found := map[string]map[string]bool{} // by prefix
	for _, f := range c.files {
		for _, key := range f.Names() {
			name, _ := unwrap(key)
			for at := 0; ; {
				if canonical := c.Model.Canonical(name[at:]); weights[canonical] {
					if found[name[:at]] == nil {
						found[name[:at]] = map[string]bool{}
					}
					found[name[:at]][canonical] = true
				}
				next := strings.IndexByte(name[at:], '.')
				if next < 0 {
					break
				}
				at += next + 1
			}
		}
	}
	best := ""
	for _, p := range slices.SortedFunc(maps.Keys(found), func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) }) {
		if len(found[p]) > len(found[best]) {
			best = p
		}
	}
	for _, p := range slices.Sorted(maps.Keys(found)) {
		if best != "" && len(found[p]) == len(found[best]) && !strings.HasPrefix(p, best) {
			return "", fmt.Errorf("%s holds several models, under %s and %s: expected one (save the one that is meant alone)", c.Dir, safetensors.Printable(best), safetensors.Printable(p))
		}
	}
	return best, nil
}
