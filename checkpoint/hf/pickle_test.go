package hf_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/checkpoint/hf"
	"pgc/golden"
	"pgc/runtime/safetensors"
)

// pickled writes tensors of a safetensors file, those that keep chooses, as torch.save does.
func pickled(t *testing.T, from, to string, keep func(name string) bool) {
	t.Helper()
	f, err := safetensors.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	z := zip.NewWriter(out)
	entry := func(name string, data []byte) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: "pytorch_model/" + name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	text := func(s string) string {
		return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
	}
	number := func(n int) string { return "J" + string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
	kinds := map[safetensors.DType]string{safetensors.F32: "Float", safetensors.BF16: "BFloat16", safetensors.F16: "Half"}
	code := "\x80\x02}("
	for i, name := range f.Names() {
		if !keep(name) {
			continue
		}
		x, _ := f.Tensor(name)
		shape, strides, step := "", "", 1
		for k := len(x.Shape) - 1; k >= 0; k-- {
			shape, strides = number(x.Shape[k])+shape, number(step)+strides
			step *= x.Shape[k]
		}
		code += text(name) + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\n" + kinds[x.DType] + "Storage\n" +
			text(fmt.Sprint(i)) + text("cpu") + number(step) + "tQ" + number(0) + "(" + shape + "t(" + strides + "t\x89ccollections\nOrderedDict\n)RtR"
		entry("data/"+fmt.Sprint(i), x.Data)
	}
	entry("data.pkl", []byte(code+"u."))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPickledWeights loads pytorch_model.bin and its shards: the weights are those of model.safetensors.
func TestPickledWeights(t *testing.T) {
	want, err := hf.Load(tinyCheckpoint(t, false), hf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	dir := tinyCheckpoint(t, false)
	file, bin := filepath.Join(dir, "model.safetensors"), filepath.Join(dir, "pytorch_model.bin")
	pickled(t, file, bin, func(string) bool { return true })
	hidden := file + ".hidden"
	os.Rename(file, hidden)
	sameWeights(t, dir, want, "")
	if _, files, err := hf.Files(dir, hf.Options{}); err != nil || !strings.Contains(strings.Join(files, " "), bin) {
		t.Errorf("the files %q miss %s, error %v", files, bin, err)
	}

	os.Remove(bin)
	places := map[string]string{}
	for i, part := range []string{"vision_tower.", ""} {
		name := fmt.Sprintf("pytorch_model-0000%d-of-00002.bin", i+1)
		keep := func(key string) bool { return strings.HasPrefix(key, "vision_tower.") == (part != "") }
		pickled(t, hidden, filepath.Join(dir, name), keep)
		for _, key := range want.Weights {
			if stored := want.Model.Hub(key.Name); keep(stored) {
				places[stored] = name
			}
		}
	}
	index, _ := json.Marshal(map[string]any{"weight_map": places})
	save(t, bin+".index.json", string(index))
	sameWeights(t, dir, want, "")
	save(t, bin+".index.json", strings.Replace(string(index), "pytorch_model-00001-of-00002.bin", "model.safetensors", 1))
	if _, err := hf.Load(dir, hf.Options{}); err == nil || !strings.HasSuffix(err.Error(), `lies in "model.safetensors", expected a bin file in the folder of the index`) {
		t.Errorf("error %v", err)
	}
}

// TestPickledAdapter loads adapter_model.bin: the weights are those of adapter_model.safetensors.
func TestPickledAdapter(t *testing.T) {
	base := filepath.Join(golden.Dir(), "pg2-odd")
	want, err := hf.Load(base, hf.Options{Adapter: filepath.Join(golden.Dir(), "adapters", "linear")})
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	dir := adapterCopy(t, "linear")
	file := filepath.Join(dir, "adapter_model.safetensors")
	pickled(t, file, filepath.Join(dir, "adapter_model.bin"), func(string) bool { return true })
	os.Remove(file)
	got, err := hf.Load(base, hf.Options{Adapter: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	const key = "language_model.layers.0.mlp.up_proj.weight"
	a, err := got.Tensor(key)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := want.Tensor(key)
	if !bytes.Equal(float32s(t, a), float32s(t, b)) {
		t.Errorf("%s differs", key)
	}
}
