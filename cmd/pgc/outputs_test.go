package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/runtime/safetensors"
)

// pgc runs this test executable as pgc and returns its exit status and its errors.
func pgc(t *testing.T, stdout *os.File, args ...string) (int, string) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := &exec.Cmd{Path: os.Args[0], Args: append([]string{"pgc"}, args...), Stderr: &stderr}
	if stdout != nil {
		cmd.Stdout = stdout
	}
	cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatalf("%q did not start", args)
	}
	return cmd.ProcessState.ExitCode(), stderr.String()
}

const addPGIR = "func @f(%x: input f32[2]) {\n  %0 = add %x, %x : f32[2]\n  return y = %0 : f32[2]\n}\n"

// sample writes a graph and a tensor for opt.
func sample(t *testing.T, dir string) (graph, in string) {
	t.Helper()
	graph, in = filepath.Join(dir, "f.pgir"), filepath.Join(dir, "in.safetensors")
	w, err := safetensors.Create(in, nil, []safetensors.Spec{{Name: "x", DType: safetensors.F32, Shape: []int{2}}})
	if err == nil {
		err = w.WriteFloat32s([]float32{1, 2})
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = os.WriteFile(graph, []byte(addPGIR), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return graph, in
}

// TestFullStdout: what cannot be printed is an error of every command.
func TestFullStdout(t *testing.T) {
	dir := t.TempDir()
	graph, _ := sample(t, dir)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	checkpoint := filepath.Join(golden.Dir(), "pg1-odd")
	for _, args := range [][]string{
		{"version"}, {"--help"}, {"opt", "--help"}, {"opt", graph}, {"opt", "-d", "help", graph}, {"size", "paligemma-3b-224"},
		{"size", "--json", "paligemma-3b-224"}, {"compile", "-d", "help", checkpoint, "-o", filepath.Join(dir, "x")},
		{"check", checkpoint},
	} {
		code, stderr := pgc(t, full, args...)
		if code != 1 || stderr != "pgc: cannot write standard output: no space left on device\n" {
			t.Errorf("%q: status %d, %q", args, code, stderr)
		}
	}
}

// TestOutputs: results replace neither devices nor files that are no results.
func TestOutputs(t *testing.T) {
	dir := t.TempDir()
	graph, in := sample(t, dir)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty.ptx")
	if err := os.WriteFile(empty, []byte(".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry k() { ret; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	null := filepath.Join(dir, "null")
	full := filepath.Join(dir, "full")
	for link, to := range map[string]string{null: "/dev/null", full: "/dev/full"} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := os.ReadDir(dir)
	config := filepath.Join(golden.Dir(), "pg1-odd", "config.json")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"opt", graph, "--eval", in, "-o", null}, 0, ""},
		{[]string{"opt", graph, "--eval", in, "-o", full}, 1, "cannot write " + full + ": no space left on device"},
		{[]string{"opt", graph, "-d", "html=" + null}, 0, ""},
		{[]string{"ptx", "run", empty, "--block", "1", "-o", null}, 0, ""},
		{[]string{"ptx", "run", empty, "--block", "1", "-o", full}, 1, "cannot write " + full + ": no space left on device"},
		{[]string{"opt", graph, "-d", "html=" + full}, 1, "cannot write " + full + ": no space left on device"},
		{[]string{"random", config, "-o", file}, 1, "cannot write " + file + ": not a directory, expected a new folder"},
		{[]string{"random", config, "-o", null}, 1, "cannot write " + null + ": not a directory, expected a new folder"},
	} {
		code, stderr := pgc(t, nil, c.args...)
		if code != c.code || !strings.Contains(stderr, c.want) || code != 0 && strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: status %d, %q, expected %q", c.args, code, stderr, c.want)
		}
	}
	after, _ := os.ReadDir(dir)
	if data, err := os.ReadFile(file); err != nil || string(data) != "mine" || len(after) != len(before) {
		t.Errorf("the folder holds %v, the file %q (%v)", after, data, err)
	}
}

// TestOutputIsInput: no result replaces a file of the checkpoint, a graph, PTX, tensors or an executable.
func TestOutputIsInput(t *testing.T) {
	dir := t.TempDir()
	checkpoint := filepath.Join(dir, "checkpoint")
	if err := os.CopyFS(checkpoint, os.DirFS(filepath.Join(golden.Dir(), "pg2-mha"))); err != nil {
		t.Fatal(err)
	}
	graph, in := sample(t, dir)
	weights := filepath.Join(checkpoint, "model.safetensors")
	before, err := os.ReadFile(weights)
	if err != nil {
		t.Fatal(err)
	}
	equals := filepath.Join(dir, "rank=8") // an adapter's folder, not one called rank
	if err := os.Mkdir(equals, 0o755); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(equals, "adapter_config.json")
	if err := os.WriteFile(config, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"compile", checkpoint, "-o", config, "--adapter", equals}, {"compile", checkpoint, "-o", config, "--adapter", "kept=" + equals},
		{"compile", checkpoint, "-o", weights}, {"compile", checkpoint, "-o", filepath.Join(checkpoint, "config.json")},
		{"compile", checkpoint, "-o", graph, "--adapter", dir}, {"opt", graph, "--eval", in, "-o", in}, {"opt", graph, "-d", "html=" + graph},
		{"ptx", "run", graph, "-o", graph}, {"ptx", "run", graph, "-o", in, "--arg", "in:" + in + ":x"},
		{"emulate", "--counts", weights, weights, "info"}, {"emulate", "--shape", graph, "--counts", graph},
	} {
		code, stderr := pgc(t, nil, args...)
		if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "it is an input, too, expected another file") {
			t.Errorf("%q: status %d, %q", args, code, stderr)
		}
	}
	if after, err := os.ReadFile(weights); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the weights have changed (%v)", err)
	}
	if text, err := os.ReadFile(graph); err != nil || string(text) != addPGIR {
		t.Errorf("the graph is %q (%v)", text, err)
	}
}
