package safetensors

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	w, err := Create(path, map[string]string{"k": "v"}, []Spec{{"a", F32, []int{2, 3}}, {"empty", F32, []int{0, 4}}, {"b", I32, []int{2}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteFloat32s([]float32{1, 2, 3, 4, 5, 6.5}); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteInt32s([]int32{-7, 8}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, _ := f.Tensor("a")
	v, err := a.Float32s()
	if err != nil || v[5] != 6.5 || f.Metadata["k"] != "v" || len(f.Names()) != 3 {
		t.Errorf("read %v %v %v", v, f.Metadata, err)
	}
	b, _ := f.Tensor("b")
	if n, err := b.Int32s(); err != nil || n[0] != -7 {
		t.Errorf("read %v %v", n, err)
	}
	f.Drop("a")
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestUnfinishedFileLeavesTheOldOne(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.safetensors")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	w, err := Create(path, nil, []Spec{{"a", F32, []int{2}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), "8 bytes of tensors were not written") {
		t.Errorf("error %v", err)
	}
	names, _ := os.ReadDir(dir)
	if old, _ := os.ReadFile(path); string(old) != "old" || len(names) != 1 {
		t.Errorf("the old file is %q beside %v", old, names)
	}
}

func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

func TestBrokenHeaders(t *testing.T) {
	for _, c := range []struct {
		data []byte
		want string
	}{
		{[]byte{1, 2}, "too few"},
		{binary.LittleEndian.AppendUint64(nil, 1<<60), "truncated or not a safetensors file"},
		{file("[]", 0), "not a JSON object"},
		{file(`{"a":{"dtype":"Q9","shape":[1],"data_offsets":[0,4]}}`, 4), `unknown dtype "Q9"`},
		{file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 4), "truncated"},
		{file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 8), "takes 8 bytes, the header gives 4"},
		{file(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 8), "not possible"},
		{file(`{"a":{"dtype":"F32","shape":[4611686018427387904,8],"data_offsets":[0,4]}}`, 8), "not possible"},
		{file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}`, 8), "overlap"},
		{file(`{"a":7}`, 0), "tensor a"},
		{file(`{"__metadata__":{"x":1}}`, 0), "__metadata__"},
	} {
		_, err := parse(c.data)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8))
	f.Fuzz(func(t *testing.T, data []byte) {
		if file, err := parse(data); err == nil {
			for _, name := range file.Names() {
				tensor, _ := file.Tensor(name)
				tensor.Float32s()
				tensor.Int32s()
			}
		}
	})
}
