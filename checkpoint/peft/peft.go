// Package peft reads the adapters that Hugging Face's PEFT writes, LoRA in all its forms, and merges them into the
// weights of their base with the rounding of peft's merge_and_unload, row by row when the weights are read.
//
// Everything in an adapter is untrusted. The names of its tensors say which modules they belong to and their shapes what
// rank they have: what matches no weight of the base, and what is missing, is one error that names it.
package peft

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dlclark/regexp2"

	"pgc/checkpoint/download"
	"pgc/checkpoint/pickle"
	"pgc/models/config"
	"pgc/runtime/input"
	"pgc/runtime/safetensors"
)

// The files of an adapter.
const (
	ConfigFile  = "adapter_config.json"
	weightsFile = "adapter_model.safetensors"
	pickleFile  = "adapter_model.bin"
	readmeFile  = "README.md"
)

// Bounds of the files that are read whole.
const (
	maxConfig = 16 << 20
	maxReadme = 4 << 20
)

// Adapter is an adapter's folder whose tensors are mapped. Close it after use.
type Adapter struct {
	Dir            string
	Base, Revision string   // of the model that it was trained on: a path or a name on the hub
	Notes          []string // what a user should know, a sentence each; Apply and Beside add some
	Quantized      bool     // whether its folder says that its base was quantized
	settings
	file     *safetensors.File
	compiled map[string]*regexp2.Regexp // patterns of the settings
}

// In reports whether a folder holds an adapter.
func In(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, ConfigFile))
	return err == nil
}

// Open reads an adapter's folder.
func Open(dir string) (*Adapter, error) {
	text, err := input.ReadRegular(filepath.Join(dir, ConfigFile), maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing(dir)
	}
	if err != nil {
		return nil, err
	}
	s, err := config.Parse(filepath.Join(dir, ConfigFile), text)
	if err != nil {
		return nil, err
	}
	a := &Adapter{Dir: dir, compiled: map[string]*regexp2.Regexp{}}
	if a.settings, a.Notes, err = readSettings(s); err != nil {
		return nil, err
	}
	a.Base, a.Revision = a.base, a.revision
	a.noteQuantized()
	for _, name := range []string{weightsFile, pickleFile} {
		if err := download.Whole(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	a.file, err = safetensors.Open(filepath.Join(dir, weightsFile))
	if errors.Is(err, fs.ErrNotExist) {
		a.file, err = pickle.Open(filepath.Join(dir, pickleFile))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, download.Lacks(dir, fmt.Sprintf("%s holds %s but no %s", dir, ConfigFile, weightsFile), "expected both, as save_pretrained of peft writes them")
	}
	return a, err
}

// missing says that a folder is no adapter, and where in it there are some.
func missing(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("no adapter at %s: %w", dir, errors.Unwrap(err))
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "*", ConfigFile)); len(found) > 0 {
		return fmt.Errorf("%s holds no %s, but %s does: expected the folder of one adapter", dir, ConfigFile, filepath.Dir(found[0]))
	}
	return download.Lacks(dir, fmt.Sprintf("%s holds no %s", dir, ConfigFile), "expected the folder of a PEFT adapter")
}

// Unchanged says that the tensors' file was written or cut since Open, or returns nil.
func (a *Adapter) Unchanged() error { return a.file.Unchanged() }

// Close unmaps the tensors.
func (a *Adapter) Close() { a.file.Close() }

// noteQuantized notes that the adapter was fitted to a base of fewer bits, where its folder says so: the name of the base, or
// the line that peft puts into README.md.
func (a *Adapter) noteQuantized() {
	by := ""
	for _, mark := range []string{"bnb-4bit", "bnb-8bit", "-4bit", "-8bit", "-int4", "-int8", "-gptq", "-awq", "-nf4"} {
		if strings.Contains(strings.ToLower(a.Base), mark) {
			by = fmt.Sprintf("base_model_name_or_path is %.200q", a.Base)
		}
	}
	readme, err := input.ReadRegular(filepath.Join(a.Dir, readmeFile), maxReadme)
	if err == nil && (strings.Contains(string(readme), "quantization config was used during training") || strings.Contains(string(readme), "load_in_4bit: True") || strings.Contains(string(readme), "load_in_8bit: True")) {
		by = readmeFile + " says so"
	}
	if a.Quantized = by != ""; a.Quantized {
		a.Notes = append(a.Notes, QuantizedNote(a.Dir, by))
	}
}

// QuantizedNote says that an adapter was trained on a quantized base.
func QuantizedNote(dir, by string) string {
	return fmt.Sprintf("%s was trained on a quantized base (%s); it is merged into the base given, whose weights differ by the error of that quantization", dir, by)
}
