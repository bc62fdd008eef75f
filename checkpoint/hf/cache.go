package hf

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// hubName is the form of a model's name on the hub: org/name, or name alone.
var hubName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$`)

// cacheFolder is the Hugging Face cache of models, found as huggingface_hub finds it.
func cacheFolder() string {
	for _, name := range []string{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"} {
		if dir := os.Getenv(name); dir != "" {
			return dir
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
	return filepath.Join(home, "hub")
}

// cached returns the folder of a model's snapshot in the Hugging Face cache. revision is a branch, a tag or a commit;
// it is empty for the main branch. ok is false where the cache does not have it.
func cached(name, revision string) (dir string, ok bool) {
	if !hubName.MatchString(name) || strings.Contains(name, "--") {
		return "", false
	}
	dir = filepath.Join(cacheFolder(), "models--"+strings.ReplaceAll(name, "/", "--"))
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
