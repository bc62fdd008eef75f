package build

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgc/codegen/llvm/llctest"
	"pgc/golden"
	"pgc/runtime/safetensors"
)

// copyCheckpoint copies a golden checkpoint without its references.
func copyCheckpoint(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(golden.Dir(), name))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "reference") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(golden.Dir(), name, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, e.Name()), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// edit replaces text in a file of a checkpoint.
func edit(t *testing.T, path, from, to string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(from)) {
		t.Fatalf("%s holds no %q", path, from)
	}
	if err := os.WriteFile(path, bytes.Replace(data, []byte(from), []byte(to), 1), 0o644); err != nil {
		t.Fatal(err)
	}
}

// setFloat sets a number of an F32 or BF16 tensor.
func setFloat(t *testing.T, path, name string, to float64) {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tensor, _ := f.Tensor(name)
	bits := binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(to)))
	if tensor.DType == safetensors.BF16 {
		bits = bits[2:]
	}
	edit(t, path, string(tensor.Data[80:160]), string(bits)+string(tensor.Data[80+len(bits):160]))
}

// TestBrokenCheckpoints breaks one thing at a time: one clear sentence, the old output kept, nothing left behind.
func TestBrokenCheckpoints(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(dir string)
		opt    Options
		want   []string
	}{
		{"no config", func(d string) { os.Remove(filepath.Join(d, "config.json")) }, Options{}, []string{"config.json"}},
		{"no weights", func(d string) { os.Remove(filepath.Join(d, "model.safetensors")) }, Options{}, []string{"model.safetensors"}},
		{"no tokenizer", func(d string) { os.Remove(filepath.Join(d, "tokenizer.json")) }, Options{}, []string{"tokenizer.json"}},
		{"model type", func(d string) {
			edit(t, filepath.Join(d, "config.json"), `"model_type": "gemma"`, `"model_type": "llama"`)
		}, Options{},
			[]string{"config.json", "model_type", "llama", "gemma2"}},
		{"misshapen tensor", func(d string) {
			edit(t, filepath.Join(d, "config.json"), `"intermediate_size": 71`, `"intermediate_size": 72`)
		}, Options{},
			[]string{"language_model.model.layers.0.mlp.gate_proj.weight", "[71 43]", "[72 43]"}},
		{"missing tensor", func(d string) {
			edit(t, filepath.Join(d, "config.json"), `"num_hidden_layers": 3,
  "num_attention_heads": 5`, `"num_hidden_layers": 4,
  "num_attention_heads": 5`)
		}, Options{}, []string{"language_model.layers.3.input_layernorm.weight", "missing"}},
		{"truncated weights", func(d string) { os.Truncate(filepath.Join(d, "model.safetensors"), 100_000) }, Options{}, []string{"model.safetensors", "truncated"}},
		{"weights option", func(string) {}, Options{Storage: Storage{Weights: "int3"}}, []string{"Weights int3", "bf16"}},
		{"kv option", func(string) {}, Options{KV: "f16"}, []string{"KV f16", "f32 or bf16"}},
		{"too large for f16", func(d string) {
			setFloat(t, filepath.Join(d, "model.safetensors"), "language_model.model.layers.1.mlp.up_proj.weight", 1e5)
		},
			Options{Storage: Storage{Weights: "f16"}}, []string{"language_model.layers.1.mlp.up_proj.weight", "65504", "bf16"}},
		{"target option", func(string) {}, Options{Target: "metal"}, []string{"Target metal", "cpu, cuda or cpu,cuda"}},
		{"f32 products on a GPU", func(string) {}, Options{Target: "cpu,cuda", Storage: Storage{Compute: "f32"}}, []string{"Compute f32", "bf16"}},
		{"integer products on a GPU", func(string) {}, Options{Target: "cuda", Storage: Storage{Compute: "int8"}}, []string{"Compute int8", "bf16"}},
		{"floats on a GPU", func(string) {}, Options{Target: "cuda", Storage: Storage{Weights: "f16"}}, []string{"Weights f16", "auto, bf16, int8, int4"}},
		{"floats kept on a GPU", func(string) {}, Options{Target: "cuda", Storage: Storage{Keep: []string{"*=f32"}}}, []string{"Keep *=f32", "bf16, int8, int4"}},
		{"cpu option", func(string) {}, Options{CPU: "z80"}, []string{"CPU z80", "x86-64-v3"}},
		{"too large a capacity", func(string) {}, Options{MaxTokens: 100_001}, []string{"MaxTokens 100001", "up to 100000"}},
		{"pattern that matches nothing", func(string) {}, Options{Storage: Storage{Keep: []string{"vision_tower.*=f32", "visiontower.*=f32"}}},
			[]string{"Keep visiontower.*=f32 matches no matrix", "language_model.layers.2.mlp.down_proj.weight"}},
		{"pattern of vectors", func(string) {}, Options{Storage: Storage{Keep: []string{"*.bias=f32"}}}, []string{"Keep *.bias=f32 matches no matrix"}},
		{"capacity", func(string) {}, Options{MaxTokens: 5}, []string{"MaxTokens 5"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyCheckpoint(t, "pg1-odd")
			c.damage(dir)
			folder := t.TempDir()
			out := filepath.Join(folder, "exe")
			if err := os.WriteFile(out, []byte("old"), 0o755); err != nil {
				t.Fatal(err)
			}
			if c.opt.CPU == "" {
				c.opt.CPU = "x86-64-v3"
			}
			_, err := Compile(t.Context(), dir, out, []byte("elf"), c.opt)
			if err == nil {
				t.Fatal("no error")
			}
			t.Log(err)
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
			names, _ := os.ReadDir(folder)
			if old, _ := os.ReadFile(out); string(old) != "old" || len(names) != 1 {
				t.Errorf("the output is %q, beside it %v", old, names)
			}
		})
	}
	if _, err := Compile(t.Context(), filepath.Join(t.TempDir(), "nothing"), filepath.Join(t.TempDir(), "x"), nil, Options{CPU: "x86-64-v3"}); err == nil ||
		!strings.Contains(err.Error(), "no checkpoint at") {
		t.Errorf("error %v", err)
	}
}

// TestExecutable covers what a compiled executable does with bad input, in an empty chroot, and when it is damaged.
func TestExecutable(t *testing.T) {
	elf := runtimeELF(t)
	dir := t.TempDir()
	exe := filepath.Join(dir, "captioner")
	if _, err := Compile(t.Context(), filepath.Join(golden.Dir(), "pg1-odd"), exe, elf, Options{CPU: "x86-64-v3", MaxTokens: 311}); err != nil {
		t.Fatal(err)
	}
	picture := filepath.Join(golden.Dir(), "pictures", "noise.png")
	text := filepath.Join(dir, "not-a-picture.png")
	if err := os.WriteFile(text, []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	damaged, truncated := filepath.Join(dir, "damaged"), filepath.Join(dir, "truncated")
	data, _ := os.ReadFile(exe)
	os.WriteFile(truncated, data[:len(data)-1000], 0o755)
	bad := bytes.Clone(data)
	bad[len(elf)/2] ^= 1
	os.WriteFile(damaged, bad, 0o755)

	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{exe, picture}, 2, "PROMPT"},
		{[]string{exe, "generate"}, 2, "picture and a prompt"},
		{[]string{exe, "generate", "--image", picture}, 2, "--prompt"},
		{[]string{exe, "--nonsense"}, 2, "nonsense"},
		{[]string{exe, "missing.png", "caption en"}, 1, "missing.png"},
		{[]string{exe, text, "caption en"}, 1, "not-a-picture.png"},
		{[]string{exe, picture, strings.Repeat("cat dog ", 160)}, 1, "the KV cache holds 311"},
		{[]string{exe, "forward", "--image", picture, "--prompt", "x", "-o", filepath.Join(dir, "no", "x.safetensors")}, 1, "cannot write"},
		{[]string{exe, "generate", "--image", picture, "--prompt", "x", "--draw", filepath.Join(dir, "no", "x.png")}, 1, "x.png"},
		{[]string{exe, "generate", "--threads", "-1", "--image", picture, "--prompt", "x"}, 2, "--threads"},
		{[]string{damaged, "info"}, 1, "damaged"},
		{[]string{truncated, "info"}, 1, "truncated"},
		{[]string{exe, "info", "--verify"}, 0, ""},
		{[]string{exe, "tokenize", "caption en"}, 0, ""},
	} {
		var stdout, stderr bytes.Buffer
		cmd := exec.Command(c.args[0], c.args[1:]...)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		var exit *exec.ExitError
		status := 0
		if errors.As(err, &exit) {
			status = exit.ExitCode()
		}
		lines := strings.Count(stderr.String(), "\n")
		if status != c.status || !strings.Contains(stderr.String(), c.want) || status != 0 && (lines != 1 || stdout.Len() > 0) {
			t.Errorf("%q: status %d, want %d; stderr %q, want %q on one line; stdout %q", c.args[1:], status, c.status, stderr.String(), c.want, stdout.String())
		}
		if status != 0 {
			t.Log(strings.TrimSpace(stderr.String()))
		}
	}
	lines := filepath.Join(dir, "lines.txt")
	if err := os.WriteFile(lines, []byte("a\r\n\n\xff\na"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(exe, "tokenize", "--input", lines).Output()
	if got := strings.Split(string(out), "\n"); err != nil || len(got) != 5 || got[1] != "[]" || !strings.HasPrefix(got[0], strings.TrimSuffix(got[3], "]")+",") {
		t.Errorf("lines a\\r, nothing, 0xFF and a are %q (error %v)", out, err)
	}
	chroot(t, exe, picture)
}

// chroot runs the executable where nothing but itself and a picture exists.
func chroot(t *testing.T, exe, picture string) {
	if os.Getuid() != 0 {
		t.Log("empty chroot not tested: needs root")
		return
	}
	root := t.TempDir()
	for name, from := range map[string]string{"captioner": exe, "p.png": picture} {
		data, _ := os.ReadFile(from)
		if err := os.WriteFile(filepath.Join(root, name), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("chroot", root, "/captioner", "generate", "--image", "/p.png", "--prompt", "caption en", "--json").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte(`"finish_reason"`)) {
		t.Errorf("in an empty chroot: %v: %s", err, out)
	}
}

// TestNotANumber compiles checkpoints of which one weight is NaN: nothing is made up as an answer, and damage is named
// before the checkpoint.
func TestNotANumber(t *testing.T) {
	for _, c := range []struct {
		checkpoint, key string
		args            []string
	}{
		{"pg1-odd", "language_model.model.layers.1.mlp.up_proj.weight", []string{picturePath("grey.png"), "caption en"}},
		{"colpali-odd", "vlm.language_model.model.layers.1.mlp.up_proj.weight", []string{"rank", "--query", "cat", picturePath("grey.png")}},
	} {
		dir := copyCheckpoint(t, c.checkpoint)
		setFloat(t, filepath.Join(dir, "model.safetensors"), c.key, math.NaN())
		exe := filepath.Join(t.TempDir(), "exe")
		compileTo(t, exe, dir)
		code, stdout, stderr := status(exe, c.args...)
		if code != 1 || stdout != "" || !strings.Contains(stderr, " is NaN") || !strings.Contains(stderr, ": FILE info --verify tells whether the file is damaged; if not, the checkpoint ") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: status %d, %q, %q", c.checkpoint, code, stdout, stderr)
		}
	}
}

// TestDeterministic compiles twice, to different places: the files are equal. The second time llc runs anew, whatever
// the tests share.
func TestDeterministic(t *testing.T) {
	elf := []byte("\x7fELF and so on")
	var files [2][]byte
	for i := range files {
		if i == 1 {
			llctest.Alone(t)
		}
		out := filepath.Join(t.TempDir(), "exe")
		if _, err := Compile(t.Context(), filepath.Join(golden.Dir(), "pg2-odd"), out, elf, Options{CPU: "x86-64-v3,x86-64-v4", MaxTokens: 311}); err != nil {
			t.Fatal(err)
		}
		files[i], _ = os.ReadFile(out)
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two compilations differ")
	}
}
