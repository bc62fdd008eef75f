package hf

import (
	"fmt"
	"os"
	"path/filepath"

	"pgc/checkpoint/lazy"
	"pgc/checkpoint/peft"
	"pgc/checkpoint/quantized"
	"pgc/ir"
	"pgc/models/config"
)

// locate returns the folder of a checkpoint's base and that of the adapter which is merged into it, empty for none.
// adapter is the one that the user gave, if any. As in transformers, an adapter beside the files of a base belongs to
// that base; an adapter alone is the checkpoint that it makes of the base which it names.
func locate(dir, adapter string) (base, merged string, err error) {
	if dir, err = snapshot(dir); err != nil {
		return "", "", err
	}
	if adapter != "" {
		if adapter, err = adapterFolder(adapter); err != nil {
			return "", "", err
		}
	}
	if !peft.In(dir) {
		return dir, adapter, nil
	}
	if adapter != "" && !same(dir, adapter) {
		return "", "", fmt.Errorf("%s holds an adapter itself (%s): expected a base without one beside --adapter %s", dir, peft.ConfigFile, adapter)
	}
	if _, err := os.Lstat(filepath.Join(dir, configFile)); err == nil {
		return dir, dir, nil
	}
	a, err := peft.Open(dir)
	if err != nil {
		return "", "", err
	}
	defer a.Close()
	if a.Base == "" {
		return "", "", fmt.Errorf("%s is an adapter whose %s names no base_model_name_or_path: expected the base as the checkpoint and --adapter %s", dir, peft.ConfigFile, dir)
	}
	if base, ok := baseOf(a); ok && peft.In(base) { // which transformers would apply first
		return "", "", fmt.Errorf("%s is an adapter of %.200q, which holds an adapter itself (%s): expected that one merged (merge_and_unload) and saved, as the checkpoint, and --adapter %s", dir, a.Base, peft.ConfigFile, dir)
	} else if ok {
		return base, dir, nil
	}
	return "", "", fmt.Errorf("%s is an adapter of %.200q, which is no folder here and not in the Hugging Face cache %s: expected the base as the checkpoint and --adapter %s", dir, a.Base, cacheFolder(), dir)
}

// baseOf returns the folder of the model that an adapter was trained on, if it is on this machine: a path, from here or
// from the adapter's folder, or a model of the Hugging Face cache.
func baseOf(a *peft.Adapter) (string, bool) {
	for _, path := range []string{a.Base, filepath.Join(a.Dir, a.Base)} {
		if filepath.IsAbs(a.Base) {
			path = a.Base
		}
		if info, err := os.Stat(path); a.Base != "" && err == nil && info.IsDir() && !same(path, a.Dir) {
			base, err := snapshot(path)
			return base, err == nil
		}
	}
	return cached(a.Base, a.Revision)
}

// adapterFolder returns the folder of an adapter: a folder, also a model's of the Hugging Face cache, or a name there.
func adapterFolder(adapter string) (string, error) {
	if _, err := os.Stat(adapter); err != nil {
		if dir, ok := cached(adapter, ""); ok {
			return dir, nil
		}
		return adapter, nil // peft.Open says what is missing
	}
	if peft.In(adapter) {
		return adapter, nil
	}
	return snapshot(adapter)
}

// same reports whether two paths are of one folder.
func same(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(x, y)
}

// merge puts an adapter's changes before the tensors of the base. A weight that the adapter changes has the type that
// it has in the base, or float32 if wide.
func (c *Checkpoint) merge(wide bool) error {
	if c.adapterDir == "" {
		return nil
	}
	a, err := c.adapter(c.adapterDir)
	if err != nil {
		return err
	}
	changes, err := a.Apply(c.host(), wide)
	if err != nil {
		return err
	}
	c.Adapter = filepath.Base(c.adapterDir)
	c.Notes = append(append(c.Notes, a.Notes...), changes.Notes...)
	c.changes, c.merged = changes, map[string]ir.DType{}
	if changes.Untied {
		c.tensors[c.Model.Head] = c.tensors[c.Model.Embedding]
		c.Config = c.Config.Tied(false)
		if err := c.declare(); err != nil {
			return err
		}
	}
	for _, key := range changes.Changed() {
		c.merged[key] = c.DType(key)
		if wide {
			c.merged[key] = ir.F32
		}
	}
	return nil
}

// adapter opens an adapter until the checkpoint is closed, and notes a base that was quantized.
func (c *Checkpoint) adapter(dir string) (*peft.Adapter, error) {
	a, err := peft.Open(dir)
	if err != nil {
		return nil, err
	}
	c.adapters = append(c.adapters, a)
	if base, ok := baseOf(a); ok && !a.Quantized {
		if s, err := readJSON(base, configFile, maxConfig); err == nil && isQuantized(s) {
			c.Notes = append(c.Notes, peft.QuantizedNote(a.Dir, base+"/"+configFile+" has a quantization_config"))
		}
	}
	return a, nil
}

// isQuantized reports whether a config.json is of a quantized save.
func isQuantized(s *config.Section) bool {
	_, is := quantized.Config(s)
	return is
}

// host is the model as an adapter sees it.
func (c *Checkpoint) host() peft.Host {
	return peft.Host{Canonical: c.Model.Canonical, Ignored: c.Model.Ignored, Weights: c.Weights, Base: c.base, Embedding: c.Model.Embedding,
		Head: c.Model.Head, Tied: c.Model.Head != "" && c.Config.Facts().TieWordEmbeddings}
}

// base is a weight of the base as it is stored; a head may be the embedding.
func (c *Checkpoint) base(key string) lazy.Tensor {
	t, ok := c.tensors[key]
	if !ok && key == c.Model.Head {
		t = c.tensors[c.Model.Embedding]
	}
	return t.Tensor
}

// changed returns a tensor of the base with the adapter's changes.
func (c *Checkpoint) changed(key string, t located, merged ir.DType) Tensor {
	w := c.changes.Merge(key, t.Tensor, merged)
	return Tensor{DType: merged, Shape: t.Shape, Read: w.Read, File: t.file.Path + " with the adapter " + c.adapterDir}
}
