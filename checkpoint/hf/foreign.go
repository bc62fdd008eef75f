package hf

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"pgc/checkpoint/download"
	"pgc/models/maskdecoder"
)

// foreign are weights that are not read, by patterns of their files' names, with what they are and the next step. The
// first that fits counts.
var foreign = []struct{ pattern, what, step string }{
	{"*.gguf", "GGUF", "expected the Hugging Face checkpoint that it was made from"},
	{"*.distcp", "a checkpoint of FSDP", "accelerate merge-weights %s OUT makes model.safetensors of it"},
	{"pytorch_model.fsdp.bin", "a checkpoint of FSDP", "accelerate merge-weights %s OUT makes model.safetensors of it"},
	{"pytorch_model_fsdp*", "a checkpoint of FSDP", "accelerate merge-weights %s OUT makes model.safetensors of it"},
	{"zero_to_fp32.py", "a checkpoint of DeepSpeed", "python %[1]s/zero_to_fp32.py %[1]s OUT makes weights of it"},
	{"*model_states.pt", "a checkpoint of DeepSpeed", "zero_to_fp32.py of DeepSpeed makes weights of it"},
	{"global_step*", "a checkpoint of DeepSpeed", "zero_to_fp32.py of DeepSpeed makes weights of it"},
	{"*.weights.h5", "Keras", "load it with KerasHub and export_to_transformers"},
	{"*.keras", "Keras", "load it with KerasHub and export_to_transformers"},
	{"tf_model*.h5", "TensorFlow", "load it with transformers 4 (from_tf=True) and save_pretrained"},
	{"*.h5", "Keras", "load it with KerasHub and export_to_transformers"},
	{"*.msgpack", "Flax", "load it with transformers 4 (from_flax=True) and save_pretrained"},
	{"onnx", "ONNX", "expected the Hugging Face checkpoint that it was exported from"}, // the folder of transformers.js
	{"*.onnx", "ONNX", "expected the Hugging Face checkpoint that it was exported from"},
	{"openvino*_model*", "OpenVINO", "expected the Hugging Face checkpoint that it was exported from"},
	{"qmodel.pt", "HQQ", "expected the Hugging Face checkpoint that it was made from"},
	{"*.engine", "TensorRT", "expected the Hugging Face checkpoint that it was built from"},
	{"*.mlpackage", "Core ML", "expected the Hugging Face checkpoint that it was exported from"},
	{"*.tflite", "TensorFlow Lite", "expected the Hugging Face checkpoint that it was exported from"},
	{"*.nemo", "NeMo", "expected the Hugging Face checkpoint that NeMo exports"},
	{"weights*.npz", "MLX", "expected the Hugging Face checkpoint that it was made from"},
	{"*.npz", "big_vision", "expected that file as the checkpoint, with --tokenizer DIR"},
	{"consolidated*", "consolidated weights", "expected model.safetensors, as save_pretrained of transformers writes it"},
	{"model-*-of-*.*.safetensors", "shards of a variant", "from_pretrained(variant=…) and save_pretrained with transformers"},
	{"model.*-*-of-*.safetensors", "shards of a variant", "from_pretrained(variant=…) and save_pretrained with transformers"},
	{"pytorch_model.*-*-of-*.bin", "shards of a variant", "from_pretrained(variant=…) and save_pretrained with transformers"},
	{"model-*-of-*.safetensors", "shards without their index", "expected model.safetensors.index.json beside them"},
	{"pytorch_model-*-of-*.bin", "shards without their index", "expected pytorch_model.bin.index.json beside them"},
	{"model.*.safetensors*", "a variant", "from_pretrained(variant=…) and save_pretrained with transformers, or rename it to model.safetensors"},
	{"pytorch_model.*.bin*", "a variant", "from_pretrained(variant=…) and save_pretrained with transformers, or rename it to pytorch_model.bin"},
	{"adapter_model.*", "an adapter without adapter_config.json", "expected the folder of a PEFT adapter beside its base (--adapter DIR)"},
	{"*.safetensors", "safetensors under another name", "rename it to model.safetensors if it is the model"},
	{"pytorch_model*.bin", "torch", "rename it to pytorch_model.bin if it is the model"},
	{"*.ckpt", "torch", "rename it to pytorch_model.bin if it is the model"},
	{"*.pth", "torch", "rename it to pytorch_model.bin if it is the model"},
}

// kindOf returns the number of what a file of weights is that is not read, or -1. The decoder of masks is no model.
func kindOf(name string) int {
	if name == maskdecoder.File {
		return -1
	}
	for i, f := range foreign {
		if is, _ := filepath.Match(f.pattern, name); is {
			return i
		}
	}
	return -1
}

// explained says what a kind of weights in a folder is, and the next step.
func explained(kind int, dir string) (what, step string) {
	f := foreign[kind]
	if strings.Contains(f.step, "%") {
		f.step = fmt.Sprintf(f.step, dir)
	}
	return f.what, f.step
}

// without is the error of a folder that lacks what, with the weights that it has instead. Of several kinds it says the one
// that is first in the list: those that any file may be are last.
func without(dir, what string) error {
	const most = 5
	entries, _ := os.ReadDir(dir)
	var names []string
	kind := len(foreign)
	readable := false // weights that are read are there
	for _, e := range entries {
		for _, name := range []string{singleFile, pickleFile} {
			readable = readable || e.Name() == name || e.Name() == name+indexOf
		}
		if k := kindOf(e.Name()); k >= 0 {
			names, kind = append(names, e.Name()), min(kind, k)
		}
	}
	holds := fmt.Sprintf("%s holds %s", dir, what)
	if inside, _ := filepath.Glob(filepath.Join(dir, "*", configFile)); len(inside) > 0 && !readable {
		return download.Lacks(dir, fmt.Sprintf("%s, but %s does hold a %s", holds, filepath.Dir(inside[0]), configFile), "expected the folder of one checkpoint")
	}
	if kind == len(foreign) || readable {
		return download.Lacks(dir, holds, "expected a Hugging Face checkpoint directory")
	}
	more := ""
	if n := len(names) - most; n > 0 {
		names, more = names[:most], fmt.Sprintf(" and %d more", n)
	}
	which, step := explained(kind, dir)
	return download.Lacks(dir, fmt.Sprintf("%s, but %s%s (%s)", holds, strings.Join(names, ", "), more, which), step)
}
