package hf_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/checkpoint/hf"
)

// TestUnfinished lacks files while a part of a download lies where huggingface_hub and others keep it: the error names it.
func TestUnfinished(t *testing.T) {
	home, snapshot := cacheOf(t, tinyCheckpoint(t, true))
	model := filepath.Join(home, "hub", "models--org--tiny")
	folder := tinyCheckpoint(t, false)
	place := func(path string) string {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		save(t, path, "part")
		return path
	}
	const rest = " is a part of it (hf download goes on with it)"
	for _, c := range []struct {
		checkpoint, remove, part, want string
	}{
		{"org/tiny", snapshot + "/model-00002-of-00003.safetensors", model + "/blobs/77.incomplete",
			snapshot + "/model.safetensors.index.json names the shard model-00002-of-00003.safetensors, which is missing"},
		{"org/tiny", snapshot + "/model.safetensors.index.json", model + "/blobs/77.incomplete",
			snapshot + " holds neither model.safetensors nor model.safetensors.index.json, but model-00001-of-00003.safetensors, model-00003-of-00003.safetensors (shards without their index)"},
		{"org/tiny", snapshot + "/tokenizer.json", model + "/blobs/77.incomplete", snapshot + " holds neither tokenizer.json nor tokenizer.model"},
		{"org/tiny", snapshot, model + "/blobs/77.incomplete", model + "/refs/main names the snapshot 1111, which is missing"},
		{folder, folder + "/model.safetensors", folder + "/.cache/huggingface/download/aF3=.77.incomplete", folder + " holds neither model.safetensors nor model.safetensors.index.json"},
		{folder, folder + "/config.json", filepath.Dir(folder) + "/.cache/huggingface/download/model/aF3=.77.incomplete", folder + " holds no config.json"},
		{folder, folder + "/config.json", folder + "/model.safetensors.crdownload", folder + " holds no config.json"},
	} {
		if err := os.RemoveAll(c.remove); err != nil {
			t.Fatal(err)
		}
		_, err := hf.Load(c.checkpoint, hf.Options{})
		if err == nil || strings.Contains(err.Error(), rest) {
			t.Errorf("without a part of a download: %v", err)
		}
		part := place(c.part)
		_, err = hf.Load(c.checkpoint, hf.Options{})
		if want := c.want + ": its download is not complete, " + part + rest; err == nil || err.Error() != want {
			t.Errorf("error  %v\nwanted %s", err, want)
		}
		os.Remove(part)
	}
	adapter := filepath.Join(t.TempDir(), "adapter [1]")
	place(filepath.Join(adapter, "adapter_config.json"))
	save(t, filepath.Join(adapter, "adapter_config.json"), `{"peft_type": "LORA"}`)
	for _, folder := range []string{filepath.Join(adapter, ".cache/huggingface/download"), filepath.Join(filepath.Dir(adapter), ".cache/huggingface/download/adapter [1]")} {
		part := place(filepath.Join(folder, "aF3=.77.incomplete"))
		_, err := hf.Load(tinyCheckpoint(t, false), hf.Options{Adapter: adapter})
		if want := adapter + " holds adapter_config.json but no adapter_model.safetensors: its download is not complete, " + part + rest; err == nil || err.Error() != want {
			t.Errorf("error  %v\nwanted %s", err, want)
		}
		os.Remove(part)
	}
}

// TestReserved: a file that aria2 has made as long as it will be, and not yet filled, is not the model.
func TestReserved(t *testing.T) {
	dir := tinyCheckpoint(t, false)
	path := filepath.Join(dir, "model.safetensors")
	save(t, path+".aria2", "x")
	_, err := hf.Load(dir, hf.Options{})
	if want := path + " is not complete, as model.safetensors.aria2 lies beside it: aria2c -c goes on with the download (delete that file if it is complete)"; err == nil || err.Error() != want {
		t.Errorf("error  %v\nwanted %s", err, want)
	}
}
