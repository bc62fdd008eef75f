package safetensors

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
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
	f.Evict("a", 0, 24)
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

// TestBrokenHeaders holds every error to its exact words.
func TestBrokenHeaders(t *testing.T) {
	entry := func(name, shape, offsets string) string {
		return `"` + name + `":{"dtype":"F32","shape":[` + shape + `],"data_offsets":[` + offsets + `]}`
	}
	for _, c := range []struct {
		data []byte
		want string
	}{
		{[]byte{1, 2}, "it has 2 bytes, expected a safetensors file of at least 8"},
		{binary.LittleEndian.AppendUint64(nil, 1<<63), "the header claims 9223372036854775808 bytes, the file has 0: truncated or not a safetensors file"},
		{file("[]", 0), "the header is not a JSON object in UTF-8: truncated or not a safetensors file"},
		{file("", 4), "the header is not a JSON object in UTF-8: truncated or not a safetensors file"},
		{file("{\"\xff\":1}", 4), "the header is not a JSON object in UTF-8: truncated or not a safetensors file"},
		{file("{", 0), "the header is not valid JSON: unexpected EOF"},
		{file("{} {}", 0), "the header holds more than one JSON object"},
		{file(`{"a":{"dtype":"Q9","shape":[1],"data_offsets":[0,4]}}`, 4), `tensor a: dtype Q9 is not known`},
		{file(`{"a":{"dtype":32,"shape":[1],"data_offsets":[0,4]}}`, 4), `tensor a: dtype 32 is not known`},
		{file("{"+entry("a", "2", "0,8")+"}", 4), "tensor a: bytes 0 to 8 lie outside the 4 bytes of data: the file is truncated, copy or download it again"},
		{file("{"+entry("a", "2", "0,4")+"}", 8), "tensor a: F32 of shape [2] takes 8 bytes, the header gives 4"},
		{file("{"+entry("a", "2", "8,0")+"}", 8), "tensor a: bytes 8 to 0 lie outside the 8 bytes of data: the file is truncated, copy or download it again"},
		{file("{"+entry("a", "-1", "0,4")+"}", 8), "tensor a: shape: expected at most 16 whole numbers that are not negative, found -1"},
		{file("{"+entry("a", "1.0", "0,4")+"}", 8), "tensor a: shape: expected at most 16 whole numbers that are not negative, found 1.0"},
		{file("{"+entry("a", "99999999999999999999", "0,4")+"}", 8), "tensor a: shape: expected at most 16 whole numbers that are not negative, found 99999999999999999999"},
		{file("{"+entry("a", strings.Repeat("1,", 16)+"1", "0,4")+"}", 4), "tensor a: shape: expected at most 16 whole numbers that are not negative, found 1"},
		{file("{"+entry("a", "4611686018427387904,8", "0,4")+"}", 8), "tensor a: shape [4611686018427387904 8] is not possible"},
		{file("{"+entry("a", "0,4611686018427387904,8", "0,4")+"}", 4), "tensor a: F32 of shape [0 4611686018427387904 8] takes 0 bytes, the header gives 4"},
		{file("{"+entry("a", "1", "0,4")+","+entry("b", "1", "2,6")+"}", 8), "tensors a and b overlap"},
		{file("{"+entry("a", "1", "0,4")+","+entry("b", "1", "0,4")+"}", 4), "tensors a and b overlap"},
		{file("{"+entry("a", "1", "0,4")+","+entry("b", "1", "8,12")+"}", 12), "4 bytes between a and tensor b belong to no tensor"},
		{file("{"+entry("a", "1", "4,8")+"}", 8), "4 bytes between the header and tensor a belong to no tensor"},
		{file("{"+entry("a", "1", "0,4")+"}", 8), "4 bytes behind the last tensor belong to no tensor"},
		{file("{"+entry("a", "1", "0,4")+","+entry("a", "1", "4,8")+"}", 8), "the header gives a twice"},
		{file(`{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4), "tensor a gives dtype twice"},
		{file(`{"a":{"dtype":"F32","shape":[1]}}`, 4), "tensor a: expected dtype, shape and two data_offsets"},
		{file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}`, 4), "tensor a: expected dtype, shape and two data_offsets"},
		{file(`{"a":{"DTYPE":"F32","shape":[1],"data_offsets":[0,4]}}`, 4), "tensor a: DTYPE is not a key of the format"},
		{file(`{"a":7}`, 0), "tensor a: expected { in the header's JSON, found 7"},
		{file(`{"a\nb":7}`, 0), `tensor "a\nb": expected { in the header's JSON, found 7`},
		{file(`{"`+strings.Repeat("n", 5000)+`":7}`, 0), "a tensor's name has 5000 bytes, expected at most 1024"},
		{file(`{"a":`+strings.Repeat("[", 1<<20), 0), "tensor a: expected { in the header's JSON, found ["},
		{file(`{"__metadata__":{"x":1}}`, 0), "__metadata__: x is not a string"},
	} {
		_, err := parse(c.data)
		if err == nil || err.Error() != c.want {
			t.Errorf("error %v, want %s", err, c.want)
		}
	}
	for _, good := range []string{"{}  ", "{" + entry("z", "0", "0,0") + "," + entry("b", "1", "4,8") + "," + entry("a", "1", "0,4") + "," + entry("y", "3,0", "4,4") + "}"} {
		size := 0
		if strings.Contains(good, "b") {
			size = 8
		}
		if _, err := parse(file(good, size)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func TestOpenRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, pipe} {
		if _, err := Open(path); err == nil || err.Error() != path+" is not a regular file" {
			t.Errorf("error %v", err)
		}
	}
}

// FuzzOpen gives Open untrusted files: it may refuse them in one line, or every tensor lies within the file, takes the
// bytes that its type and shape ask for, and shares none of them.
func FuzzOpen(f *testing.F) {
	for _, header := range []string{`{}`, `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`,
		`{"a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2,3],"data_offsets":[2,8]}}`,
		`{"__metadata__":{"k":"v"},"e":{"dtype":"F32","shape":[0,9],"data_offsets":[0,0]},"a":{"shape":[1],"data_offsets":[0,8],"dtype":"I64"}}`,
		`{"a":{"dtype":"F32","shape":[9223372036854775807,9223372036854775807],"data_offsets":[0,8]}}`, `{"a":[[[[`} {
		f.Add(file(header, 8))
	}
	path := filepath.Join(f.TempDir(), "x.safetensors")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := Open(path)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		defer file.Close()
		left := len(data) - 8 - int(binary.LittleEndian.Uint64(data))
		for _, name := range file.Names() {
			tensor, _ := file.Tensor(name)
			n := tensor.DType.Bytes()
			for _, d := range tensor.Shape {
				n *= d
			}
			if n != len(tensor.Data) {
				t.Errorf("tensor %q has %d bytes, its shape asks for %d", name, len(tensor.Data), n)
			}
			left -= n
			tensor.Float32s()
			tensor.Int32s()
			file.Prefetch(name, 0, int64(n))
			file.Evict(name, 0, int64(n))
		}
		if left != 0 {
			t.Errorf("%d bytes belong to no tensor", left)
		}
	})
}
