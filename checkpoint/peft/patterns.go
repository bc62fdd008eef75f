package peft

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dlclark/regexp2"

	"pgc/runtime/safetensors"
)

// patience bounds the time of one match: patterns come from files, and Python's may backtrack.
const patience = 5 * time.Second

// match reports whether a pattern of Python's re matches the whole of a name.
func (a *Adapter) match(setting, pattern, name string) (bool, error) {
	re := a.compiled[pattern]
	if re == nil {
		var err error
		if re, err = regexp2.Compile("^(?:"+translated(pattern)+")$", regexp2.None); err != nil {
			return false, fmt.Errorf("%s: the pattern %.200q of %s is not understood, expected a regular expression of Python: %w", filepath.Join(a.Dir, ConfigFile), pattern, setting, err)
		}
		re.MatchTimeout = patience
		a.compiled[pattern] = re
	}
	ok, err := re.MatchString(name)
	if err != nil {
		return false, fmt.Errorf("%s: the pattern %.200q of %s takes over %s to match %s, expected a simple one", filepath.Join(a.Dir, ConfigFile), pattern, setting, patience, name)
	}
	return ok, nil
}

// repeated is a number of repetitions that Python counts from 0.
var repeated = regexp.MustCompile(`^\{,\d*\}`)

// translated is a pattern of Python's re in the language of regexp2, which is .NET's: (?P<name>…) and (?P=name) are (?<name>…) and
// \k<name> there, {,n} is {0,n}, and a [ in a class stands for itself only behind a backslash.
func translated(pattern string) string {
	var b strings.Builder
	for class := false; pattern != ""; {
		n := 1
		switch {
		case pattern[0] == '\\':
			n = min(2, len(pattern))
			b.WriteString(pattern[:n])
		case class:
			if pattern[0] == '[' {
				b.WriteByte('\\')
			}
			class = pattern[0] != ']'
			b.WriteByte(pattern[0])
		case pattern[0] == '[':
			class = true
			if n = len("["); strings.HasPrefix(pattern, "[^") {
				n = len("[^")
			}
			b.WriteString(pattern[:n])
			if strings.HasPrefix(pattern[n:], "]") { // which does not close the class
				n++
				b.WriteString(`\]`)
			}
		case strings.HasPrefix(pattern, "(?P<"):
			n = len("(?P<")
			b.WriteString("(?<")
		case strings.HasPrefix(pattern, "(?P=") && strings.Contains(pattern, ")"):
			n = strings.IndexByte(pattern, ')') + 1
			b.WriteString(`\k<` + pattern[len("(?P="):n-1] + ">")
		case repeated.MatchString(pattern):
			n = len("{")
			b.WriteString("{0")
		default:
			b.WriteByte(pattern[0])
		}
		pattern = pattern[n:]
	}
	return b.String()
}

// endsWith reports whether a module's name is given by some name in a list of modules.
func endsWith(name, given string) bool { return name == given || strings.HasSuffix(name, "."+given) }

// naming is how a version of transformers names the modules of a model, from their names in the graph.
type naming func(module string) string

// namings are those that adapters are written with: transformers 5's, and those of the versions before, in which the
// vision tower, or both towers, have a level more.
var namings = []naming{
	func(m string) string { return prefixed(m) },
	func(m string) string {
		return strings.Replace(prefixed(m), "vision_tower.", "vision_tower.vision_model.", 1)
	},
	func(m string) string {
		return strings.Replace(strings.Replace(nested(m), "vision_tower.", "vision_tower.vision_model.", 1), "lm_head", "language_model.lm_head", 1)
	},
	func(m string) string { return nested(m) },
}

// newest is transformers 5's name.
func newest(module string) string { return namings[0](module) }

func prefixed(m string) string {
	if strings.HasPrefix(m, "lm_head") {
		return m
	}
	return "model." + m
}

func nested(m string) string {
	return strings.Replace(m, "language_model.", "language_model.model.", 1)
}

// alphaOf returns the lora_alpha of a module: that of the first pattern which matches the end of its name, by the name
// that the file has or by transformers 5's.
func (a *Adapter) alphaOf(key string, m *module) (float64, error) {
	now := newest(strings.TrimSuffix(key, ".weight"))
	for _, p := range a.alphas {
		for _, name := range []string{m.stored, now} {
			if ok, err := a.match("alpha_pattern", `(.*\.)?(`+p.pattern+`)`, name); ok || err != nil {
				return p.alpha, err
			}
		}
	}
	return a.alpha, nil
}

// complete checks that the file has every module which the settings name: an adapter that lost some would leave the
// base as it is there, without a word.
func (a *Adapter) complete(h Host, c *contents) error {
	lost := func(what, name, setting string) error {
		return fmt.Errorf("%s: %s of %s is missing, which %s in %s names: expected all tensors of the adapter (save it anew)", a.file.Path, what, safetensors.Printable(name), setting, ConfigFile)
	}
	fitting := a.namings(c)
	every := func(name string, named func(name string) (bool, error)) (bool, error) { // by all namings that fit
		for _, n := range fitting {
			if ok, err := named(n(name)); !ok {
				return false, err
			}
		}
		return len(fitting) > 0, nil
	}
	for _, name := range a.saved {
		found := false
		for key, r := range c.replaced {
			found = found || within(r.stored, name) || within(newest(key), name)
		}
		switch {
		case found:
		case h.has(name):
			return lost("every tensor", name, "modules_to_save")
		default:
			a.Notes = append(a.Notes, fmt.Sprintf("%s: modules_to_save names %s, which the model does not have: passed over, as peft does", filepath.Join(a.Dir, ConfigFile), safetensors.Printable(name)))
		}
	}
	tokens := false
	for _, m := range c.modules {
		tokens = tokens || m.tokens != nil
	}
	if a.tokens != nil && !tokens {
		return lost("trainable_tokens_delta", h.Embedding, "trainable_token_indices")
	}
	for _, w := range h.Weights {
		saved, _ := every(w.Name, func(name string) (bool, error) { return a.saves(name), nil })
		if _, ok := c.replaced[w.Name]; saved && !ok {
			return lost("the tensor", w.Name, "modules_to_save")
		}
		module, ok := strings.CutSuffix(w.Name, ".weight")
		if !ok || len(w.Shape) < 2 || c.modules[w.Name] != nil || a.someLayers {
			continue
		}
		linear := len(w.Shape) == 2 && w.Name != h.Head && !strings.Contains(module, "embed")
		if wanted, err := every(module, func(name string) (bool, error) { return a.targeted(name, linear) }); err != nil {
			return err
		} else if wanted {
			return lost("the pair lora_A and lora_B", module, "target_modules")
		}
	}
	return nil
}

// has reports whether a name given in modules_to_save is that of a module of the model, in some version's naming.
func (h Host) has(name string) bool {
	keys := []string{h.Head}
	for _, w := range h.Weights {
		keys = append(keys, w.Name)
	}
	return slices.ContainsFunc(keys, func(key string) bool {
		return slices.ContainsFunc(namings, func(n naming) bool { return within(n(key), name) })
	})
}

// namings are those that the names in the file fit.
func (a *Adapter) namings(c *contents) []naming {
	return slices.DeleteFunc(slices.Clone(namings), func(n naming) bool {
		for key, m := range c.modules {
			if n(strings.TrimSuffix(key, ".weight")) != m.stored {
				return true
			}
		}
		return false
	})
}

// targeted reports whether target_modules names a module, as peft's check_target_module_exists does.
func (a *Adapter) targeted(name string, linear bool) (bool, error) {
	for _, saved := range a.saved {
		if ok, err := a.match("modules_to_save", `(|.*\.)`+saved+`(|\..*)`, name); ok || err != nil {
			return false, err
		}
	}
	if a.exclude != "" {
		if ok, err := a.match("exclude_modules", a.exclude, name); ok || err != nil {
			return false, err
		}
	}
	named := func(list []string) bool {
		return slices.ContainsFunc(list, func(t string) bool { return endsWith(name, t) })
	}
	switch {
	case named(a.excluded):
		return false, nil
	case strings.EqualFold(a.target, "all-linear"):
		return linear, nil
	case a.target != "":
		return a.match("target_modules", a.target, name)
	}
	return named(a.targets), nil
}
