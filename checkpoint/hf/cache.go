package hf

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"pgc/runtime/input"
)

// hubName is the form of a model's name on the hub: org/name, or name alone.
var hubName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$`)

// cacheFolder is the Hugging Face cache of models, found as huggingface_hub finds it.
func cacheFolder() string {
	for _, name := range []string{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"} {
		if dir := os.Getenv(name); dir != "" {
			return expand(dir)
		}
	}
	home := os.Getenv("HF_HOME")
	if home == "" {
		caches := os.Getenv("XDG_CACHE_HOME")
		if caches == "" {
			user, err := os.UserHomeDir()
			if err != nil {
				return ""
			}
			caches = filepath.Join(user, ".cache")
		}
		home = filepath.Join(caches, "huggingface")
	}
	return filepath.Join(expand(home), "hub")
}

// expand replaces the home folder and variables in a path, which no shell has done where a file sets the environment.
func expand(path string) string {
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || rest[0] == '/') {
		if user, err := os.UserHomeDir(); err == nil {
			path = user + rest
		}
	}
	return variable.ReplaceAllStringFunc(path, func(name string) string {
		if value, ok := os.LookupEnv(strings.Trim(name, "${}")); ok {
			return value
		}
		return name // as Python leaves it
	})
}

// variable is a variable in a path, as os.path.expandvars knows it.
var variable = regexp.MustCompile(`\$(\w+|\{[^}]*\})`)

// folderOf is where the cache has a model.
func folderOf(name string) string {
	return filepath.Join(cacheFolder(), "models--"+strings.ReplaceAll(name, "/", "--"))
}

// notCached says how to get a model that is neither a folder nor in the cache.
func notCached(name string) error {
	gated := ""
	if strings.HasPrefix(name, "google/") {
		gated = fmt.Sprintf("; it is gated: accept its license on https://huggingface.co/%s and hf auth login first", name)
	}
	return fmt.Errorf("no checkpoint at %s: there is no such folder, and the Hugging Face cache %s has no model of that name (hf download %s gets it%s)",
		name, cacheFolder(), name, gated)
}

// siblings are the other snapshots of a model, if dir is one in the cache that lacks a file which every checkpoint has:
// what was downloaded at several revisions lies in several snapshots. Equal files have equal names there.
func siblings(dir string) (others []string) {
	up := filepath.Dir(dir)
	if abs, err := filepath.Abs(dir); err != nil || filepath.Base(filepath.Dir(abs)) != "snapshots" || complete(dir) {
		return nil
	}
	entries, _ := os.ReadDir(up)
	for _, e := range entries {
		if other := filepath.Join(up, e.Name()); !same(other, dir) {
			others = append(others, other)
		}
	}
	return others
}

// complete reports whether a folder has a configuration, weights and a tokenizer.
func complete(dir string) bool {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { _, err := os.Lstat(filepath.Join(dir, name)); return err == nil })
	}
	if !has(configFile) || !has("tokenizer.json", "tokenizer.model") {
		return false
	}
	if has(singleFile, pickleFile) {
		return true
	}
	for _, name := range []string{singleFile, pickleFile} {
		text, err := input.ReadFile(filepath.Join(dir, name+indexOf), maxIndex)
		var index struct {
			Places map[string]string `json:"weight_map"`
		}
		if err != nil || json.Unmarshal(text, &index) != nil {
			continue
		}
		whole := true
		for _, shard := range index.Places {
			whole = whole && has(shard)
		}
		return whole
	}
	return false
}

// find returns the path of a file of a checkpoint: in dir, or in the only one of the snapshots beside it that has it, or
// the only content that those have.
func find(dir, name string) string {
	path, found := filepath.Join(dir, name), map[string]string{}
	if _, err := os.Lstat(path); err == nil {
		return path
	}
	for _, other := range siblings(dir) {
		there := filepath.Join(other, name)
		if blob, err := filepath.EvalSymlinks(there); err == nil {
			found[blob] = there
		}
	}
	if len(found) == 1 {
		for _, there := range found {
			return there
		}
	}
	return path
}

// joined says which snapshots a checkpoint was put together from.
func (c *Checkpoint) joined() error {
	var from []string
	for _, other := range siblings(c.Dir) {
		entries, _ := os.ReadDir(other)
		if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return filepath.Dir(find(c.Dir, e.Name())) == other }) {
			from = append(from, filepath.Base(other))
		}
	}
	if len(from) > 0 {
		c.Notes = append(c.Notes, fmt.Sprintf("%s is not complete: what it lacks is taken from the same model's %s %s", c.Dir,
			map[bool]string{true: "snapshots", false: "snapshot"}[len(from) > 1], strings.Join(from, ", ")))
	}
	return nil
}

// cached returns the folder of a model's snapshot in the Hugging Face cache. revision is a branch, a tag or a commit;
// it is empty for the main branch. ok is false where the cache does not have it.
func cached(name, revision string) (dir string, ok bool) {
	if !hubName.MatchString(name) || strings.Contains(name, "--") {
		return "", false
	}
	dir = folderOf(name)
	if _, err := os.Stat(dir); err != nil {
		return "", false
	}
	if revision == "" || revision == "main" {
		dir, err := snapshot(dir)
		return dir, err == nil
	}
	if revision != filepath.Base(revision) {
		return "", false
	}
	if commit, err := readFile(filepath.Join(dir, "refs"), revision, 1<<10); err == nil {
		revision = filepath.Base(strings.TrimSpace(string(commit)))
	}
	dir = filepath.Join(dir, "snapshots", revision)
	_, err := os.Stat(dir)
	return dir, err == nil
}
