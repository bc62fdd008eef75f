package hf_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/checkpoint/hf"
)

// cacheOf moves a checkpoint's files into a Hugging Face cache in HF_HOME, as org/tiny, and returns the folder of its
// snapshot 1111.
func cacheOf(t *testing.T, checkpoint string) (home, snapshot string) {
	t.Helper()
	home = t.TempDir()
	for _, key := range []string{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"} {
		t.Setenv(key, "")
	}
	t.Setenv("HF_HOME", home)
	repo := filepath.Join(home, "hub", "models--org--tiny")
	snapshot = filepath.Join(repo, "snapshots", "1111")
	for _, d := range []string{filepath.Join(repo, "blobs"), filepath.Join(repo, "refs"), snapshot} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	save(t, filepath.Join(repo, "refs", "main"), "1111")
	entries, _ := os.ReadDir(checkpoint)
	for _, e := range entries {
		if err := os.Rename(filepath.Join(checkpoint, e.Name()), filepath.Join(repo, "blobs", e.Name()+"-1")); err != nil {
			t.Fatal(err)
		}
		link(t, snapshot, e.Name(), e.Name()+"-1")
	}
	return home, snapshot
}

// link gives a snapshot a file of the model's blobs.
func link(t *testing.T, snapshot, name, blob string) {
	t.Helper()
	if err := os.Symlink("../../blobs/"+blob, filepath.Join(snapshot, name)); err != nil {
		t.Fatal(err)
	}
}

// TestName loads a model by its name, from one snapshot and from several that share it, and says how to get it where
// the cache has none.
func TestName(t *testing.T) {
	home, first := cacheOf(t, tinyCheckpoint(t, true))
	load := func(name string) (*hf.Checkpoint, error) {
		c, err := hf.Load(name, hf.Options{})
		if err == nil {
			c.Close()
		}
		return c, err
	}
	if c, err := load("org/tiny"); err != nil || c.Name != "org/tiny" || len(c.Notes) > 0 {
		t.Fatalf("%v, error %v", c, err)
	}
	// As files of environments say it, which no shell has read.
	user, base := filepath.Split(home)
	for _, env := range [][2]string{{"HF_HOME", "~/" + base}, {"HF_HOME", "$HOME/" + base}, {"HF_HUB_CACHE", "${HOME}/" + base + "/hub/"}, {"HUGGINGFACE_HUB_CACHE", "~/" + base + "/$PGC_NONE/../hub"}} {
		t.Run(env[1], func(t *testing.T) {
			t.Setenv("HOME", strings.TrimSuffix(user, "/"))
			t.Setenv("HF_HOME", "")
			t.Setenv(env[0], env[1])
			if _, err := load("org/tiny"); err != nil {
				t.Errorf("%s: %v", env, err)
			}
		})
	}
	// A later download of some files makes a snapshot of its own, which main names.
	second := filepath.Join(filepath.Dir(first), "2222")
	os.Mkdir(second, 0o755)
	const config, shard = "config.json", "model-00002-of-00003.safetensors"
	for _, name := range []string{config, shard} {
		os.Remove(filepath.Join(first, name))
		link(t, second, name, name+"-1")
	}
	save(t, filepath.Join(home, "hub", "models--org--tiny", "refs", "main"), "2222")
	c, err := load("org/tiny")
	if err != nil {
		t.Fatal(err)
	}
	if want := second + " is not complete: what it lacks is taken from the same model's snapshot 1111"; len(c.Notes) != 1 || c.Notes[0] != want {
		t.Errorf("notes %q, expected %s", c.Notes, want)
	}
	if name, files, err := hf.Files("org/tiny", hf.Options{}); err != nil || name != "org/tiny" || len(files) < 7 {
		t.Errorf("%s has the files %q, error %v", name, files, err)
	}
	// Two contents of what is missing: neither is the one.
	third := filepath.Join(filepath.Dir(first), "3333")
	os.Mkdir(third, 0o755)
	save(t, filepath.Join(third, "tokenizer.json"), "{}")
	if _, err := load("org/tiny"); err == nil || !strings.Contains(err.Error(), second+" holds neither tokenizer.json nor") {
		t.Errorf("error %v", err)
	}
	for name, want := range map[string]string{
		"google/paligemma2-3b-mix-224": "no checkpoint at google/paligemma2-3b-mix-224: there is no such folder, and the Hugging Face cache $ has no model of that name " +
			"(hf download google/paligemma2-3b-mix-224 gets it; it is gated: accept its license on https://huggingface.co/google/paligemma2-3b-mix-224 and hf auth login first)",
		"me/other": "no checkpoint at me/other: there is no such folder, and the Hugging Face cache $ has no model of that name (hf download me/other gets it)",
	} {
		if _, err := load(name); err == nil || strings.ReplaceAll(err.Error(), filepath.Join(home, "hub"), "$") != want {
			t.Errorf("error %v\nwanted %s", err, want)
		}
	}
}

// TestTokenizerElsewhere loads a training folder, which has no tokenizer, with one from another folder.
func TestTokenizerElsewhere(t *testing.T) {
	dir, base := tinyCheckpoint(t, false), tinyCheckpoint(t, false)
	os.Remove(filepath.Join(dir, "tokenizer.json"))
	save(t, filepath.Join(base, "tokenizer_config.json"), `{"bos_token": "<start>"}`)
	c, err := hf.Load(dir, hf.Options{Tokenizer: base})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if c.BOSToken != "<start>" || c.TokenizerFile != filepath.Join(base, "tokenizer.json") {
		t.Errorf("%s from %s", c.BOSToken, c.TokenizerFile)
	}
	if _, files, err := hf.Files(dir, hf.Options{Tokenizer: base}); err != nil || !strings.Contains(strings.Join(files, " "), filepath.Join(base, "tokenizer_config.json")) {
		t.Errorf("the files %q miss the tokenizer's, error %v", files, err)
	}
	if _, err := hf.Load(dir, hf.Options{Tokenizer: "no/such"}); err == nil || !strings.HasPrefix(err.Error(), "--tokenizer: no checkpoint at no/such") {
		t.Errorf("error %v", err)
	}
}
