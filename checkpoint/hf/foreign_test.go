package hf_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/checkpoint/hf"
)

// TestForeignWeights puts files that are not read in the place of model.safetensors: the error lists them and says what to
// do.
func TestForeignWeights(t *testing.T) {
	const lacks = "$ holds neither model.safetensors nor model.safetensors.index.json, but "
	for _, c := range []struct{ files, want string }{
		{"model-q4.gguf mmproj.gguf", "mmproj.gguf, model-q4.gguf (GGUF): expected the Hugging Face checkpoint that it was made from"},
		{"model.weights.h5 task.json", "model.weights.h5 (Keras): load it with KerasHub and export_to_transformers"},
		{"tf_model.h5", "tf_model.h5 (TensorFlow): load it with transformers 4 (from_tf=True) and save_pretrained"},
		{"flax_model.msgpack", "flax_model.msgpack (Flax): load it with transformers 4 (from_flax=True) and save_pretrained"},
		{"model.onnx model.onnx_data", "model.onnx (ONNX): expected the Hugging Face checkpoint that it was exported from"},
		{"onnx vae-oid.npz", "onnx (ONNX): expected the Hugging Face checkpoint that it was exported from"},
		{"openvino_language_model.bin openvino_language_model.xml", "openvino_language_model.bin, openvino_language_model.xml (OpenVINO): expected the Hugging Face checkpoint that it was exported from"},
		{"qmodel.pt", "qmodel.pt (HQQ): expected the Hugging Face checkpoint that it was made from"},
		{"rank0.engine", "rank0.engine (TensorRT): expected the Hugging Face checkpoint that it was built from"},
		{"weights.00.npz", "weights.00.npz (MLX): expected the Hugging Face checkpoint that it was made from"},
		{"last.ckpt vae-oid.npz", "last.ckpt (torch): rename it to pytorch_model.bin if it is the model"},
		{"global_step9 zero_to_fp32.py", "global_step9, zero_to_fp32.py (a checkpoint of DeepSpeed): python $/zero_to_fp32.py $ OUT makes weights of it"},
		{"global_step9 extra.safetensors", "extra.safetensors, global_step9 (a checkpoint of DeepSpeed): zero_to_fp32.py of DeepSpeed makes weights of it"},
		{"extra.safetensors model.gguf", "extra.safetensors, model.gguf (GGUF): expected the Hugging Face checkpoint that it was made from"},
		{"pytorch_model.fsdp.bin", "pytorch_model.fsdp.bin (a checkpoint of FSDP): accelerate merge-weights $ OUT makes model.safetensors of it"},
		{"zero_to_fp32.py latest", "zero_to_fp32.py (a checkpoint of DeepSpeed): python $/zero_to_fp32.py $ OUT makes weights of it"},
		{"pytorch_model_fsdp_0 optimizer_0", "pytorch_model_fsdp_0 (a checkpoint of FSDP): accelerate merge-weights $ OUT makes model.safetensors of it"},
		{"__0_0.distcp .metadata", "__0_0.distcp (a checkpoint of FSDP): accelerate merge-weights $ OUT makes model.safetensors of it"},
		{"consolidated.00.pth params.json", "consolidated.00.pth (consolidated weights): expected model.safetensors, as save_pretrained of transformers writes it"},
		{"model.fp16.safetensors", "model.fp16.safetensors (a variant): from_pretrained(variant=…) and save_pretrained with transformers, or rename it to model.safetensors"},
		{"pytorch_model.bf16.bin", "pytorch_model.bf16.bin (a variant): from_pretrained(variant=…) and save_pretrained with transformers, or rename it to pytorch_model.bin"},
		{"model.fp16-00001-of-00002.safetensors", "model.fp16-00001-of-00002.safetensors (shards of a variant): from_pretrained(variant=…) and save_pretrained with transformers"},
		{"model-00001-of-00002.fp16.safetensors", "model-00001-of-00002.fp16.safetensors (shards of a variant): from_pretrained(variant=…) and save_pretrained with transformers"},
		{"model-00001-of-00002.safetensors", "model-00001-of-00002.safetensors (shards without their index): expected model.safetensors.index.json beside them"},
		{"paligemma-3b.npz", "paligemma-3b.npz (big_vision): expected that file as the checkpoint, with --tokenizer DIR"},
		{"adapter_model.safetensors", "adapter_model.safetensors (an adapter without adapter_config.json): expected the folder of a PEFT adapter beside its base (--adapter DIR)"},
		{"1.gguf 2.gguf 3.gguf 4.gguf 5.gguf 6.gguf 7.gguf", "1.gguf, 2.gguf, 3.gguf, 4.gguf, 5.gguf and 2 more (GGUF): expected the Hugging Face checkpoint that it was made from"},
	} {
		dir := tinyCheckpoint(t, false)
		os.Remove(filepath.Join(dir, "model.safetensors"))
		for _, name := range strings.Fields(c.files) {
			save(t, filepath.Join(dir, name), "x")
		}
		_, err := hf.Load(dir, hf.Options{})
		if want := lacks + c.want; err == nil || strings.ReplaceAll(err.Error(), dir, "$") != want {
			t.Errorf("error  %v\nwanted %s", err, want)
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "q4.gguf")
	save(t, file, "GGUF")
	for path, want := range map[string]string{
		dir:  "$ holds no config.json, but q4.gguf (GGUF): expected the Hugging Face checkpoint that it was made from",
		file: "$/q4.gguf is a file (GGUF), not a checkpoint directory: expected the Hugging Face checkpoint that it was made from",
	} {
		if _, err := hf.Load(path, hf.Options{}); err == nil || strings.ReplaceAll(err.Error(), dir, "$") != want {
			t.Errorf("error  %v\nwanted %s", err, want)
		}
	}
}

// TestTrainersFolder names the checkpoint in the folder that a Trainer writes to.
func TestTrainersFolder(t *testing.T) {
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "checkpoint-500"), 0o755)
	save(t, filepath.Join(dir, "checkpoint-500", "config.json"), "{}")
	save(t, filepath.Join(dir, "optimizer.bin"), "x")
	_, err := hf.Load(dir, hf.Options{})
	if want := "$ holds no config.json, but $/checkpoint-500 does hold a config.json: expected the folder of one checkpoint"; err == nil || strings.ReplaceAll(err.Error(), dir, "$") != want {
		t.Errorf("error  %v\nwanted %s", err, want)
	}
}

// TestLFS names files of which only Git LFS's pointer is there, or what a server answered.
func TestLFS(t *testing.T) {
	for _, name := range []string{"model.safetensors", "tokenizer.json", "config.json"} {
		dir := tinyCheckpoint(t, false)
		adapter := t.TempDir()
		save(t, filepath.Join(adapter, "adapter_config.json"), `{"peft_type": "LORA"}`)
		for text, want := range map[string]string{
			"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4967\n":                " is a pointer of Git LFS, not the file itself: git lfs pull in its folder downloads it",
			"Access to model google/x is restricted. You must have access to it and be authenticated": ` begins with "access to model goog", as what a server says in the place of a file: download it again (hf download, and hf auth login first if the model is gated)`,
			"\n<!DOCTYPE html>\n<html>": ` begins with "<!doctype html>\n<htm", as what a server says in the place of a file: download it again (hf download, and hf auth login first if the model is gated)`,
		} {
			save(t, filepath.Join(dir, name), text)
			_, err := hf.Load(dir, hf.Options{})
			if want := filepath.Join(dir, name) + want; err == nil || err.Error() != want {
				t.Errorf("error  %v\nwanted %s", err, want)
			}
			path := filepath.Join(adapter, "adapter_model.safetensors")
			save(t, path, text)
			_, err = hf.Load(tinyCheckpoint(t, false), hf.Options{Adapter: adapter})
			if want := path + want; err == nil || err.Error() != want {
				t.Errorf("error  %v\nwanted %s", err, want)
			}
		}
	}
}
