package build

import (
	"cmp"
	"fmt"
	"path"
	"slices"

	"pgc/ir"
	"pgc/ir/target"
	"pgc/models"
)

// OptionError reports a setting that is wrong.
type OptionError struct {
	Field      string // of Options, or of its Storage
	Problem    string // the value and what is wrong with it, as in "f64 is not known: expected f32 or bf16"
	Checkpoint bool   // whether it is wrong for this checkpoint only
}

// Error names the field.
func (e OptionError) Error() string { return e.Field + " " + e.Problem }

func optionError(field, format string, args ...any) OptionError {
	return OptionError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

func checkpointError(field, format string, args ...any) OptionError {
	return OptionError{Field: field, Problem: fmt.Sprintf(format, args...), Checkpoint: true}
}

// Targets returns the targets of Options.CPU, the best first.
func Targets(cpu string) ([]target.Target, error) {
	all, err := target.FindAll(cpu)
	if err != nil {
		return nil, optionError("CPU", "%v", err)
	}
	return all, nil
}

// check validates the options alone, before any work.
func (o Options) check() error {
	if _, err := o.resolve(nil, nil); err != nil {
		return err
	}
	if err := cmp.Or(o.checkTarget(), o.checkRuntime()); err != nil {
		return err
	}
	if _, ok := kvTypes[o.KV]; !ok {
		return optionError("KV", "%s is not known: expected f32 or bf16", o.KV)
	}
	if o.MaxTokens < 0 || o.MaxTokens > maxCapacity {
		return optionError("MaxTokens", "%d is not possible: expected up to %d", o.MaxTokens, maxCapacity)
	}
	switch o.Draft {
	case "", "off", draftNgram:
		return nil
	}
	return optionError("Draft", "%.80q is not known: expected ngram or off; a second model does not pay as a draft (docs/SPECULATION.md)", o.Draft)
}

// draftNgram is the Options.Draft that guesses tokens from those before.
const draftNgram = "ngram"

// checkKeep fails where a rule matches no matrix of a module.
func (s Storage) checkKeep(m *ir.Module) error {
	exceptions, err := s.exceptions()
	if err != nil {
		return err
	}
	weights := models.Declared(m)
	for i, k := range exceptions {
		matches := func(w models.Weight) bool {
			ok, _ := path.Match(k.pattern, w.Name)
			return ok && len(w.Shape) > 1
		}
		if !slices.ContainsFunc(weights, matches) {
			return checkpointError("Keep", "%s matches no matrix: expected a pattern of names such as %s", s.Keep[i], aMatrix(weights))
		}
	}
	return nil
}

// aMatrix returns the name of the last matrix.
func aMatrix(weights []models.Weight) string {
	for _, w := range slices.Backward(weights) {
		if len(w.Shape) > 1 {
			return w.Name
		}
	}
	return ""
}
