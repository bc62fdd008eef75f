package golden

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgc/runtime/safetensors"
)

// Copy copies a golden checkpoint without its references.
func Copy(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(Dir(), name))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "reference") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(Dir(), name, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, e.Name()), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Edit replaces text in a file of a checkpoint.
func Edit(t *testing.T, path, from, to string) {
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

// SetFloat sets a number of an F32 or BF16 tensor.
func SetFloat(t *testing.T, path, name string, to float64) {
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
	Edit(t, path, string(tensor.Data[80:160]), string(bits)+string(tensor.Data[80+len(bits):160]))
}
