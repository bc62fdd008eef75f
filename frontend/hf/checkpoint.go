package hf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"pgc/ir"
	"pgc/runtime/safetensors"
)

// Checkpoint is a checkpoint directory whose weights are mapped. Close it after use.
type Checkpoint struct {
	Dir          string
	Config       *Config
	Generation   Generation
	Preprocessor Preprocessor
	Tokenizer    []byte // tokenizer.json
	License      string // the text of a licence file, if there is one
	files        []*safetensors.File
	tensors      map[string]located // by canonical name
}

type located struct {
	file *safetensors.File
	safetensors.Tensor
}

// Generation is generation_config.json.
type Generation struct {
	EOS               []int
	MaxNewTokens      int // 0 if not given
	DoSample          bool
	Temperature       float64
	TopK              int
	TopP              float64
	RepetitionPenalty float64
}

// Preprocessor is preprocessor_config.json (or the image_processor of processor_config.json).
type Preprocessor struct {
	RescaleFactor float64
	Mean, Std     [3]float64
}

// Load reads a checkpoint directory and checks that its files fit together, down to every tensor's name, shape and
// type. Nothing of the weights' data is read.
func Load(dir string) (*Checkpoint, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("no checkpoint at %s: %w", dir, errors.Unwrap(err))
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a checkpoint directory", dir)
	}
	c := &Checkpoint{Dir: dir, tensors: map[string]located{}}
	if c.Config, err = ReadConfig(dir); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s holds no config.json: expected a Hugging Face checkpoint directory", dir)
		}
		return nil, err
	}
	if c.Tokenizer, err = os.ReadFile(filepath.Join(dir, "tokenizer.json")); err != nil {
		return nil, fmt.Errorf("%s holds no readable tokenizer.json: %w", dir, errors.Unwrap(err))
	}
	if err := c.readGeneration(); err != nil {
		return nil, err
	}
	if err := c.readPreprocessor(); err != nil {
		return nil, err
	}
	c.License = licence(dir)
	if err := c.open(); err != nil {
		c.Close()
		return nil, err
	}
	if err := c.validate(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close unmaps the weights.
func (c *Checkpoint) Close() {
	for _, f := range c.files {
		f.Close()
	}
	c.files = nil
}

func optional(path string) (*section, error) {
	s, err := readJSON(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &section{file: path, raw: map[string]json.RawMessage{}}, nil
	}
	return s, err
}

func (c *Checkpoint) readGeneration() error {
	s, err := optional(filepath.Join(c.Dir, "generation_config.json"))
	if err != nil {
		return err
	}
	g := Generation{EOS: c.Config.EOSList, MaxNewTokens: s.int("max_new_tokens", 0), DoSample: s.bool("do_sample", false),
		Temperature: s.float("temperature", 1), TopK: s.int("top_k", 50), TopP: s.float("top_p", 1),
		RepetitionPenalty: s.float("repetition_penalty", 1)}
	if s.has("eos_token_id") {
		g.EOS = ints(s, "eos_token_id")
	}
	c.Generation = g
	return s.err
}

func (c *Checkpoint) readPreprocessor() error {
	s, err := optional(filepath.Join(c.Dir, "preprocessor_config.json"))
	if err != nil {
		return err
	}
	if len(s.raw) == 0 {
		p, err := optional(filepath.Join(c.Dir, "processor_config.json"))
		if err != nil {
			return err
		}
		s, _ = p.section("image_processor")
	}
	p := Preprocessor{RescaleFactor: s.float("rescale_factor", 1.0/255), Mean: [3]float64{.5, .5, .5}, Std: [3]float64{.5, .5, .5}}
	for key, to := range map[string]*[3]float64{"image_mean": &p.Mean, "image_std": &p.Std} {
		if !s.has(key) {
			continue
		}
		var v []float64
		if err := json.Unmarshal(s.raw[key], &v); err != nil || len(v) != 3 {
			s.fail(key, "is %s, expected three numbers", s.raw[key])
			continue
		}
		copy(to[:], v)
	}
	if n := s.int("resample", 3); n != 3 {
		s.fail("resample", "is %d, expected 3 (bicubic)", n)
	}
	if size, ok := s.section("size"); ok {
		for _, side := range []string{"height", "width"} {
			if n := size.int(side, c.Config.Model.Vision.ImageSize); n != c.Config.Model.Vision.ImageSize {
				s.fail("size."+side, "is %d, but image_size in config.json is %d", n, c.Config.Model.Vision.ImageSize)
			}
		}
	}
	c.Preprocessor = p
	return s.err
}

// licence returns the text of the first licence file in dir.
func licence(dir string) string {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		if strings.HasPrefix(name, "LICENSE") || strings.HasPrefix(name, "LICENCE") || strings.HasPrefix(name, "GEMMA_TERMS") {
			if text, err := os.ReadFile(filepath.Join(dir, e.Name())); err == nil {
				return string(text)
			}
		}
	}
	return ""
}

// open maps model.safetensors or the shards of its index.
func (c *Checkpoint) open() error {
	single := filepath.Join(c.Dir, "model.safetensors")
	index := single + ".index.json"
	names := []string{"model.safetensors"}
	if _, err := os.Stat(single); err != nil {
		s, err := readJSON(index)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s holds neither model.safetensors nor model.safetensors.index.json", c.Dir)
		}
		if err != nil {
			return err
		}
		var shards map[string]string
		if err := json.Unmarshal(s.raw["weight_map"], &shards); err != nil || len(shards) == 0 {
			return fmt.Errorf("%s: weight_map is not an object of file names", index)
		}
		if names, err = shardNames(index, shards); err != nil {
			return err
		}
	}
	for _, name := range names {
		f, err := safetensors.Open(filepath.Join(c.Dir, name))
		if err != nil {
			return err
		}
		c.files = append(c.files, f)
		for _, key := range f.Names() {
			t, _ := f.Tensor(key)
			canonical := Canonical(key)
			if first, twice := c.tensors[canonical]; twice {
				return fmt.Errorf("%s: tensor %s is also in %s as %s", f.Path, key, first.file.Path, first.Name)
			}
			c.tensors[canonical] = located{f, t}
		}
	}
	return nil
}

func shardNames(index string, shards map[string]string) ([]string, error) {
	var names []string
	for key, name := range shards {
		if name != filepath.Base(name) {
			return nil, fmt.Errorf("%s: tensor %s lies in %q, expected a file name", index, key, name)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names, nil
}

// Canonical turns a tensor's name in any of the four layouts that transformers writes into one form:
// language_model.…, vision_tower.…, multi_modal_projector.…, lm_head.weight.
func Canonical(key string) string {
	key = strings.TrimPrefix(key, "model.")
	if rest, ok := strings.CutPrefix(key, "language_model.model."); ok {
		key = "language_model." + rest
	}
	if rest, ok := strings.CutPrefix(key, "language_model.lm_head."); ok {
		key = "lm_head." + rest
	}
	if rest, ok := strings.CutPrefix(key, "vision_tower.vision_model."); ok {
		key = "vision_tower." + rest
	}
	return key
}

// ignored are tensors that old checkpoints carry and no computation reads.
func ignored(key string) bool {
	return strings.HasSuffix(key, "position_ids") || strings.HasSuffix(key, "rotary_emb.inv_freq") || strings.HasPrefix(key, "vision_tower.head.")
}

// validate compares the tensors with the list that the configuration asks for.
func (c *Checkpoint) validate() error {
	head, hasHead := c.tensors["lm_head.weight"]
	c.Config.Model.Text.TieWordEmbeddings = !hasHead || sameData(head, c.tensors["language_model.embed_tokens.weight"])
	wanted := map[string][]int{}
	for _, s := range Manifest(c.Config.Model) {
		wanted[s.Name] = s.Shape
		t, ok := c.tensors[s.Name]
		if !ok {
			return fmt.Errorf("%s: tensor %s is missing, expected shape %v", c.Dir, s.Name, s.Shape)
		}
		if !slices.Equal(t.Shape, s.Shape) {
			return fmt.Errorf("%s: tensor %s has shape %v, config.json asks for %v", t.file.Path, t.Name, t.Shape, s.Shape)
		}
		if _, ok := dtypes[t.DType]; !ok {
			return fmt.Errorf("%s: tensor %s is %s, expected F32, BF16 or F16", t.file.Path, t.Name, t.DType)
		}
	}
	var unknown []string
	for key, t := range c.tensors {
		if _, ok := wanted[key]; !ok && !ignored(key) && key != "lm_head.weight" {
			unknown = append(unknown, t.Name)
		}
	}
	if len(unknown) > 0 {
		sort.Strings(unknown)
		return fmt.Errorf("%s: tensor %s is not part of a %s model", c.Dir, unknown[0], c.Config.ModelType)
	}
	return nil
}

// sameData reports whether a head is the embedding stored twice (in one place of the file).
func sameData(a, b located) bool {
	return len(a.Data) > 0 && len(a.Data) == len(b.Data) && &a.Data[0] == &b.Data[0]
}

var dtypes = map[safetensors.DType]ir.DType{safetensors.F32: ir.F32, safetensors.BF16: ir.BF16, safetensors.F16: ir.F16}

// DType is the storage type of a tensor by canonical name.
func (c *Checkpoint) DType(key string) ir.DType { return dtypes[c.tensors[key].DType] }

// Rank is the number of dimensions of a tensor.
func (c *Checkpoint) Rank(key string) int { return len(c.tensors[key].Shape) }

// Tensor returns a tensor by canonical name, and Drop gives its pages back to the system.
func (c *Checkpoint) Tensor(key string) (safetensors.Tensor, error) {
	t, ok := c.tensors[key]
	if !ok {
		return safetensors.Tensor{}, fmt.Errorf("%s: tensor %s is missing", c.Dir, key)
	}
	return t.Tensor, nil
}

// Need tells the system that bytes from to to of a tensor will soon be read.
func (c *Checkpoint) Need(key string, from, to int64) {
	if t, ok := c.tensors[key]; ok {
		t.file.Need(t.Name, from, to)
	}
}

// Drop tells the system that bytes from to to of a tensor have been read for the last time.
func (c *Checkpoint) Drop(key string, from, to int64) {
	if t, ok := c.tensors[key]; ok {
		t.file.Drop(t.Name, from, to)
	}
}
