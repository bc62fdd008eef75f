package hf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

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

// openShards maps the files that the index of a file names and checks that each holds exactly the tensors the index puts
// there.
func (c *Checkpoint) openShards(s *config.Section, of string) error {
	kind, indexFile := filepath.Ext(of), of+indexOf
	var places map[string]string
	if !s.Get("weight_map", &places, "an object of file names") || len(places) == 0 {
		return fmt.Errorf("%s: weight_map is not an object of file names: expected the index that save_pretrained writes", s.File())
	}
	keys := map[string][]string{} // by shard
	for key, name := range places {
		if !filepath.IsLocal(name) || filepath.Ext(name) != kind {
			return fmt.Errorf("%s: tensor %s lies in %.80q, expected a %s file in the folder of the index", s.File(), safetensors.Printable(key), name, kind[1:])
		}
		keys[name] = append(keys[name], key)
	}
	names := make([]string, 0, len(keys))
	for name := range keys {
		names = append(names, name)
	}
	sort.Strings(names)
	total := int64(0)
	for _, name := range names {
		if _, err := os.Stat(find(c.Dir, name)); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s names the shard %s, which is missing: download or copy it beside the others", s.File(), name)
		}
		f, err := c.add(name)
		if err != nil {
			return err
		}
		sort.Strings(keys[name])
		for _, key := range keys[name] {
			if _, ok := f.Tensor(key); !ok {
				return fmt.Errorf("%s: tensor %s is missing, though %s places it here: expected index and shards of one save", f.Path, safetensors.Printable(key), indexFile)
			}
		}
		for _, key := range f.Names() {
			t, _ := f.Tensor(key)
			total += int64(len(t.Data))
			if places[key] == "" && kind == ".bin" { // torch.save keeps aliases that the index does not list
				continue
			}
			if places[key] != name {
				return fmt.Errorf("%s: tensor %s is not placed here by %s: expected index and shards of one save", f.Path, safetensors.Printable(key), indexFile)
			}
		}
	}
	meta, _ := s.Section("metadata")
	if meta.Has("total_size") && kind != ".bin" {
		var size json.Number
		if meta.Get("total_size", &size, "a number of bytes") && string(size) != fmt.Sprint(total) {
			meta.Fail("total_size", "is %s, but the tensors of the shards have %d bytes: expected index and shards of one save", meta.Show("total_size"), total)
		}
	}
	return s.Err()
}

// add maps a file.
func (c *Checkpoint) add(name string) (*safetensors.File, error) {
	path := find(c.Dir, name)
	if err := lfs(path, beginning(path)); err != nil {
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
