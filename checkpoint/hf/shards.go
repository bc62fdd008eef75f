package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"pgc/checkpoint/download"
	"pgc/checkpoint/pickle"
	"pgc/models/config"
	"pgc/runtime/safetensors"
)

const (
	singleFile = "model.safetensors"
	pickleFile = "pytorch_model.bin"
	indexOf    = ".index.json"
)

// open maps the weights: as transformers prefers them, model.safetensors, the shards of its index, pytorch_model.bin or
// the shards of that one's.
func (c *Checkpoint) open() error {
	if c.bigvision != nil {
		return nil
	}
	for _, name := range []string{singleFile, pickleFile} {
		if _, err := os.Lstat(find(c.Dir, name)); err == nil {
			_, err := c.add(name)
			return err
		}
		s, err := readJSON(c.Dir, name+indexOf, maxIndex)
		if err == nil {
			return c.openShards(s, name)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return without(c.Dir, fmt.Sprintf("neither %s nor %s", singleFile, singleFile+indexOf))
}

// openShards maps the files that the index of a file names. What they hold counts, as for transformers, and where the index says
// something else of them is a note.
func (c *Checkpoint) openShards(s *config.Section, of string) error {
	kind := filepath.Ext(of)
	var places map[string]string
	if !s.Get("weight_map", &places, "an object of file names") || len(places) == 0 {
		return fmt.Errorf("%s: weight_map is not an object of file names: expected the index that save_pretrained writes", s.File())
	}
	shards := map[string]bool{}
	for key, name := range places {
		if !filepath.IsLocal(name) || filepath.Ext(name) != kind {
			return fmt.Errorf("%s: tensor %s lies in %.80q, expected a %s file in the folder of the index", s.File(), safetensors.Printable(key), name, kind[1:])
		}
		shards[name] = true
	}
	held, total := map[string]string{}, int64(0) // shards by tensor; bytes
	for _, name := range slices.Sorted(maps.Keys(shards)) {
		if _, err := os.Stat(find(c.Dir, name)); errors.Is(err, fs.ErrNotExist) {
			return download.Lacks(c.Dir, fmt.Sprintf("%s names the shard %s, which is missing", s.File(), name), "download or copy it beside the others")
		}
		f, err := c.add(name)
		if err != nil {
			return err
		}
		for _, key := range f.Names() {
			t, _ := f.Tensor(key)
			total += int64(len(t.Data))
			if places[key] != "" || kind != ".bin" { // torch.save keeps aliases that the index does not list
				held[key] = name
			}
		}
	}
	if meta, _ := s.Section("metadata"); kind != ".bin" && meta.Has("total_size") && meta.Show("total_size") != fmt.Sprint(total) {
		meta.Note("total_size", "is %s, but the tensors of the shards have %d bytes: passed over", meta.Show("total_size"), total)
	}
	var other []string
	for key := range held {
		if places[key] != held[key] {
			other = append(other, key)
		}
	}
	for key := range places {
		if held[key] == "" {
			other = append(other, key)
		}
	}
	if len(other) > 0 {
		s.Note("weight_map", "and the shards do not agree on %d of %d tensors (%s, …): what the shards hold counts", len(other), len(held), safetensors.Printable(slices.Min(other)))
	}
	return c.take(s)
}

// add maps a file.
func (c *Checkpoint) add(name string) (*safetensors.File, error) {
	path := find(c.Dir, name)
	if err := download.Whole(path); err != nil {
		return nil, err
	}
	open := safetensors.Open
	if filepath.Ext(name) == ".bin" {
		open = pickle.Open
	}
	f, err := open(path)
	if errors.Is(err, fs.ErrNotExist) {
		if target, linkErr := os.Readlink(path); linkErr == nil {
			return nil, fmt.Errorf("%s points to %s, which is missing: the download is not complete (hf download goes on with it)", path, target)
		}
	}
	if err != nil {
		return nil, err
	}
	c.files = append(c.files, f)
	return f, nil
}
