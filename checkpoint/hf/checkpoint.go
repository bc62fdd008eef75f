// Package hf reads Hugging Face checkpoints: configuration, weights in every key layout, tokenizer and preprocessor.
//
// Everything in a checkpoint is untrusted: what is unknown, missing or inconsistent is one error naming file and key,
// found before any long work.
package hf

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sort"

	"pgc/checkpoint/bigvision"
	"pgc/checkpoint/lazy"
	"pgc/checkpoint/peft"
	"pgc/checkpoint/quantized"
	"pgc/ir"
	"pgc/models"
	"pgc/models/config"
	"pgc/models/maskdecoder"
	"pgc/models/registry"
	"pgc/runtime/manifest"
	"pgc/runtime/safetensors"
)

// Checkpoint is a checkpoint directory whose weights are mapped. Close it after use.
type Checkpoint struct {
	Dir           string        // where the files are
	Name          string        // org/name in the Hugging Face cache, else the directory's name
	Model         *models.Model // of the architecture
	Config        models.Config
	Generation    Generation
	Preprocessor  Preprocessor
	Embedding     *manifest.Embedding // how it makes embeddings; nil where the model generates text
	Weights       []models.Weight     // the tensors that the model reads
	Tokenizer     []byte              // tokenizer.json
	TokenizerFile string              // its path
	BOSToken      string              // the text of the token that begins a text
	EOSToken      string              // and of the one that ends it
	License       string              // the texts of license files and what README.md says of the license
	Adapter       string              // the name of the adapter that is merged; empty for none
	Trained       manifest.Trained    // the one task that it was fine-tuned for, as far as its folder says so
	Kept          []models.Adapter    // adapters beside the model, whose weights are among the tensors
	KeptTrained   []manifest.Trained  // and what those were fine-tuned for
	Masks         *maskdecoder.Config // the decoder of segmentation masks, whose weights are among the tensors; nil without one
	MasksFile     string              // its file
	Notes         []string            // what a user should know, a sentence each
	adapterDir    string
	declaredTied  bool                // Weights are those of a tied head
	changes       *peft.Changes       // that the adapter makes
	merged        map[string]ir.DType // the types of weights that it changes
	adapters      []*peft.Adapter
	made          map[string]Tensor // of kept adapters, by name
	files         []*safetensors.File
	bigvision     *bigvision.File              // a checkpoint that is such a file; nil for a folder
	under         map[string]map[string]string // the names of weights in the files, by what they begin with and by canonical name
	tensors       map[string]located           // by canonical name
	quantized     quantized.Reader             // of weights in fewer bits; nil where config.json says nothing of them
	used          map[string]bool              // tensors that those are made of
}

// Tensor is a tensor of a checkpoint. Its data lies in a file, or Read fills to with its bytes from a position on.
type Tensor struct {
	DType ir.DType
	Shape []int
	Data  []byte
	Read  func(to []byte, from int64)
	File  string // that it is read from, or the folder of the adapter that has it
}

// Options say how to load a checkpoint.
type Options struct {
	Adapter string // a PEFT adapter to merge: its folder, or its name in the Hugging Face cache; empty for none
	Keep    []Kept // adapters to keep beside the model
	Wide    bool   // weights that it changes are float32, not rounded to the type that they have in the base

	Masks string // the file with the decoder of segmentation masks; empty for vae-oid.npz beside the checkpoint, if it is there

	Tokenizer string // the folder that the tokenizer is read from, or a name in the Hugging Face cache; empty for the checkpoint's
}

// located is a tensor of a file. Its data is not read before fits has found it fit.
type located struct {
	lazy.Tensor
	file   *safetensors.File
	stored safetensors.Tensor
	ready  bool // Tensor is one of the model's, made of a part of stored
}

// Load reads a checkpoint directory and checks that its files fit together, down to every tensor's name, shape and
// type. Of the weights' data nothing is read, but for a head that may be the embedding stored twice. A model's folder
// of the Hugging Face cache stands for the snapshot of its main branch, and a PEFT adapter for its base with it merged.
func Load(dir string, o Options) (*Checkpoint, error) {
	dir, adapter, err := locate(dir, o.Adapter)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{Dir: dir, Name: modelName(dir), adapterDir: adapter, tensors: map[string]located{}}
	readTokenizer := func() error { return c.readTokenizer(o.Tokenizer) }
	readMasks := func() error { return c.readMasks(o.Masks) }
	merge, keep := func() error { return c.merge(o.Wide) }, func() error { return c.keep(o.Keep, o.Wide) }
	first, second := c.readConfig, readTokenizer
	if isBigVision(dir) { // whose configuration needs the tokenizer
		first, second = second, first
	}
	for _, step := range []func() error{c.joined, first, second, c.readGeneration, c.readPreprocessor, c.readLicense, c.open, c.name, c.validate, merge, keep, readMasks} {
		if err := step(); err != nil {
			c.Close()
			return nil, err
		}
	}
	c.Trained = c.trained()
	return c, nil
}

// Unchanged says which file of weights was written or cut since Load, or returns nil.
func (c *Checkpoint) Unchanged() error {
	for _, f := range c.files {
		if err := f.Unchanged(); err != nil {
			return err
		}
	}
	for _, a := range c.adapters {
		if err := a.Unchanged(); err != nil {
			return err
		}
	}
	return nil
}

// Close unmaps the weights.
func (c *Checkpoint) Close() {
	for _, f := range c.files {
		f.Close()
	}
	for _, a := range c.adapters {
		a.Close()
	}
	c.files, c.adapters = nil, nil
}

// readConfig reads config.json.
func (c *Checkpoint) readConfig() error {
	if isBigVision(c.Dir) {
		return c.readBigVision()
	}
	s, err := readJSON(c.Dir, configFile, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return without(c.Dir, "no "+configFile)
	}
	if err != nil {
		return err
	}
	if c.Model, c.Config, err = registry.Read(s); err != nil {
		return err
	}
	c.quantized = quantized.Of(s)
	return c.take(s)
}

// ParseConfig reads the text of a config.json; file names it in errors.
func ParseConfig(file string, text []byte) (*models.Model, models.Config, error) {
	s, err := config.Parse(file, text)
	if err != nil {
		return nil, nil, err
	}
	return registry.Read(s)
}

func (c *Checkpoint) readLicense() (err error) {
	if c.bigvision == nil {
		c.License, err = license(c.Dir)
	}
	return err
}

// validate compares the tensors with those that the model's graph declares.
func (c *Checkpoint) validate() error {
	hasHead, err := c.head()
	if err != nil {
		return err
	}
	if err := c.declare(); err != nil {
		return err
	}
	declared := map[string]bool{}
	c.used = map[string]bool{}
	for _, w := range c.Weights {
		declared[w.Name] = true
		if err := c.fits(w); err != nil {
			return err
		}
	}
	var unknown, foreign []string
	for key, t := range c.tensors {
		switch name := t.stored.Name; {
		case declared[key] || c.used[key] || c.Model.Ignored(key):
		case c.foreign(name):
			foreign = append(foreign, safetensors.Printable(name))
		default:
			unknown = append(unknown, safetensors.Printable(name))
		}
	}
	if len(foreign) > 0 {
		sort.Strings(foreign)
		c.Notes = append(c.Notes, fmt.Sprintf("%s: passed over, because the model has no such tensors: %s", c.Dir, config.Names(foreign)))
	}
	if len(unknown) > 0 {
		sort.Strings(unknown)
		if i := slices.IndexFunc(unknown, peft.IsPart); i >= 0 {
			return fmt.Errorf("%s: tensor %s is an adapter's among the base's: expected the adapter in a folder of its own (--adapter DIR) or merged (merge_and_unload)", c.Dir, unknown[i])
		}
		if i := slices.IndexFunc(unknown, ofColPaliEngine); i >= 0 {
			return fmt.Errorf("%s: tensor %s is of colpali-engine's ColPali: expected the model as transformers has it, whose model_type is colpali (such as vidore/colpali-v1.3-hf)", c.Dir, unknown[i])
		}
		return fmt.Errorf("%s: tensor %s is not part of a %s model (%d of %d are not): expected the config.json that was saved with the weights",
			c.Dir, unknown[0], c.Config.Facts().TextModelType, len(unknown), len(c.tensors))
	}
	if c.quantized != nil && len(c.used) == 0 {
		c.Notes = append(c.Notes, fmt.Sprintf("%s: quantization_config is passed over, as all weights are floats", filepath.Join(c.Dir, configFile)))
	}
	if hasHead && sameData(c.tensors[c.Model.Head], c.tensors[c.Model.Embedding]) {
		c.Config = c.Config.Tied(true)
		return c.declare()
	}
	return nil
}

// declare sets the tensors that the model's graph declares. A head that is tied, or is not, is all that changes them.
func (c *Checkpoint) declare() (err error) {
	tied := c.Config.Facts().TieWordEmbeddings
	if c.Weights == nil || tied != c.declaredTied {
		c.Weights, err = models.Weights(c.Config)
		c.declaredTied = tied
	}
	return err
}

// head reports whether there is a tensor of the head, and sets whether it is tied. transformers uses a head that is
// there, whatever tie_word_embeddings says.
func (c *Checkpoint) head() (bool, error) {
	if c.Model.Head == "" {
		return false, nil
	}
	head, ok := c.tensors[c.Model.Head]
	if _, whole := c.tensors[c.Model.Embedding]; ok && !whole && c.Config.Facts().TieWordEmbeddings { // one matrix under either name
		c.tensors[c.Model.Embedding] = head
		delete(c.tensors, c.Model.Head)
		ok = false
	}
	if !ok && !c.Config.Facts().TieWordEmbeddings {
		return false, fmt.Errorf("%s: tensor %s is missing, but tie_word_embeddings in config.json is false: set it to true if the head is the embedding", c.Dir, c.Model.Head)
	}
	c.Config = c.Config.Tied(!ok)
	return ok, nil
}

// fits checks that a tensor is there, with the shape that the graph declares and in a type of floats, and makes it one
// of the model's.
func (c *Checkpoint) fits(w models.Weight) error {
	if done, err := c.dequantized(w); done || err != nil {
		return err
	}
	t, ok := c.tensors[w.Name]
	if !ok {
		return c.missing(w)
	}
	plain, ok := t.Tensor, true
	if !t.ready {
		plain, ok = tensorOf(t.stored)
	}
	if !ok && c.quantized == nil {
		plain, ok = quantized.Float8(t.stored)
	}
	if !ok {
		return fmt.Errorf("%s: tensor %s is %s, and config.json has no quantization_config that is read for it: %s", t.file.Path, t.stored.Name, t.stored.DType, quantized.Dequantize)
	}
	if t.Tensor = plain; !slices.Equal(t.Shape, w.Shape) {
		if t.Tensor, ok = channelsFirst(plain, w.Shape); !ok {
			return fmt.Errorf("%s: tensor %s has shape %v, config.json asks for %v: expected the config.json that was saved with the weights", t.file.Path, t.stored.Name, plain.Shape, w.Shape)
		}
		c.Notes = append(c.Notes, fmt.Sprintf("%s: tensor %s has its channels last (MLX): it is transposed", t.file.Path, t.stored.Name))
	}
	c.tensors[w.Name] = t
	return nil
}

// dequantized makes a weight of those that a quantized save has for it. done is false where it is stored as it is.
func (c *Checkpoint) dequantized(w models.Weight) (done bool, err error) {
	if c.quantized == nil {
		return false, nil
	}
	q, err := c.quantized(w.Name, w.Shape, func(name string) (safetensors.Tensor, bool) {
		t, ok := c.tensors[name]
		return t.stored, ok
	})
	if err != nil {
		return false, fmt.Errorf("%s: %w", c.Dir, err)
	}
	if q == nil {
		return false, nil
	}
	t := c.tensors[q.From]
	if t.Tensor = q.Tensor; !slices.Equal(t.Shape, w.Shape) {
		return false, fmt.Errorf("%s: tensor %s has shape %v, config.json asks for %v: expected the config.json that was saved with the weights", t.file.Path, t.stored.Name, t.Shape, w.Shape)
	}
	c.tensors[w.Name] = t
	for _, name := range q.Used {
		c.used[name] = true
	}
	return true, nil
}

// sameData reports whether a head is the embedding stored twice. Another head differs within the first bytes.
func sameData(a, b located) bool {
	if a.DType != b.DType || a.Elements() != b.Elements() {
		return false
	}
	step := int64(32 << 20)
	if a.Values != nil || b.Values != nil {
		step = 1 << 20
	}
	size := int64(a.Elements() * a.DType.Bytes())
	for at := int64(0); at < size; at += step {
		end := min(at+step, size)
		same := bytes.Equal(a.span(at, end), b.span(at, end))
		for _, t := range []located{a, b} {
			t.advise(t.file.Evict, at, end)
		}
		if !same {
			return false
		}
	}
	return true
}

// span returns bytes from to end of a tensor.
func (t located) span(from, end int64) []byte {
	if t.Values == nil {
		return t.Data[from:end]
	}
	made := make([]byte, end-from)
	t.Read(made, from)
	return made
}

// advise calls f for where the file has bytes from to end of a tensor.
func (t located) advise(f func(name string, from, to int64), from, end int64) {
	if t.ready {
		return
	}
	size, stored := int64(t.Elements()*t.DType.Bytes()), int64(len(t.stored.Data))
	if size > 0 {
		f(t.stored.Name, int64(float64(from)/float64(size)*float64(stored)), int64(float64(end)/float64(size)*float64(stored)))
	}
}

// DType is the type of a tensor by canonical name.
func (c *Checkpoint) DType(key string) ir.DType {
	if t, ok := c.made[key]; ok {
		return t.DType
	}
	if d, ok := c.merged[key]; ok {
		return d
	}
	return c.tensors[key].DType
}

// Rank is the number of dimensions of a tensor.
func (c *Checkpoint) Rank(key string) int {
	if t, ok := c.made[key]; ok {
		return len(t.Shape)
	}
	return len(c.tensors[key].Shape)
}

// Tensor returns a tensor by canonical name.
func (c *Checkpoint) Tensor(key string) (Tensor, error) {
	if t, ok := c.made[key]; ok {
		return t, nil
	}
	t, ok := c.tensors[key]
	if !ok {
		return Tensor{}, fmt.Errorf("%s: tensor %s is missing", c.Dir, key)
	}
	if merged, ok := c.merged[key]; ok {
		return c.changed(key, t, merged), nil
	}
	if t.Values != nil {
		return Tensor{DType: t.DType, Shape: t.Shape, Read: t.Read, File: t.file.Path}, nil
	}
	return Tensor{DType: t.DType, Shape: t.Shape, Data: t.Data, File: t.file.Path}, nil
}

// Prefetch tells the system that some bytes of a tensor will soon be read.
func (c *Checkpoint) Prefetch(key string, from, to int64) {
	if t, ok := c.tensors[key]; ok {
		t.advise(t.file.Prefetch, c.before(key, from), c.before(key, to))
	}
}

// Evict tells the system that some bytes of a tensor have been read for the last time.
func (c *Checkpoint) Evict(key string, from, to int64) {
	if t, ok := c.tensors[key]; ok {
		t.advise(t.file.Evict, c.before(key, from), c.before(key, to))
	}
}

// before is where a tensor of the base has what lies at a position of a tensor, which merging may have widened.
func (c *Checkpoint) before(key string, at int64) int64 {
	return at / int64(c.DType(key).Bytes()) * int64(c.tensors[key].DType.Bytes())
}
