package pickle

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc/runtime/safetensors"
)

// TestTensors compares files of torch.save with the same tensors in a safetensors file.
func TestTensors(t *testing.T) {
	want, err := safetensors.Open("testdata/tensors.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	for file, prefix := range map[string]string{"state.bin": "", "protocol4.bin": "", "legacy.bin": "", "legacy4.bin": "", "nested.bin": "state_dict.model."} {
		f, err := Open(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if len(f.Names()) != len(want.Names()) {
			t.Errorf("%s has the tensors %q, expected %q", file, f.Names(), want.Names())
		}
		for _, name := range want.Names() {
			a, _ := f.Tensor(prefix + name)
			b, _ := want.Tensor(name)
			if a.DType != b.DType || !slices.Equal(a.Shape, b.Shape) || !bytes.Equal(a.Data, b.Data) {
				t.Errorf("%s: %s is %s %v, expected %s %v with the same bytes", file, name, a.DType, a.Shape, b.DType, b.Shape)
			}
			f.Prefetch(prefix+name, 0, int64(len(a.Data)))
			f.Evict(prefix+name, 0, int64(len(a.Data)))
			if !bytes.Equal(a.Data, b.Data) {
				t.Errorf("%s: %s has lost its bytes", file, name)
			}
		}
	}
}

// archived writes an archive with a pickle and a storage of 16 bytes.
func archived(t *testing.T, code string, method uint16) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.bin")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	for name, text := range map[string]string{"data.pkl": code, "data/0": strings.Repeat("x", 16)} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: "archive/" + name, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// short is a string of a pickle.
func short(s string) string { return "\x8c" + string(rune(len(s))) + s }

// stored is the persistent id of the storage, with so many elements of float32.
func stored(n byte) string {
	return "(" + short("storage") + "ctorch\nFloatStorage\n" + short("0") + short("cpu") + "K" + string(rune(n)) + "tQ"
}

// TestRefused holds what is refused to its words. Of names that are no tensor's nothing is ever called.
func TestRefused(t *testing.T) {
	const wants = ", which weights do not need: refused, nothing was executed (expected a state_dict of tensors alone, or safetensors)"
	tensor := func(rest string) string {
		return "\x80\x02}" + short("w") + "ctorch._utils\n_rebuild_tensor_v2\n(" + rest + "\x89}tRs."
	}
	for _, c := range []struct{ code, want string }{
		{"\x80\x02cos\nsystem\n" + short("touch harm") + "\x85R.", "its pickle wants os.system" + wants},
		{"\x80\x04" + short("builtins") + short("eval") + "\x93" + short("1") + "\x85R.", "its pickle wants builtins.eval" + wants},
		{"\x80\x02ctorch\nload\n.", "its pickle wants torch.load" + wants},
		{"\x80\x02ctorch._utils\n_rebuild_tensor_v3\n.", "its pickle wants torch._utils._rebuild_tensor_v3" + wants},
		{"\x80\x02c__torch__.a\nFloatStorage\n.", "its pickle wants __torch__.a.FloatStorage" + wants},
		{"\x80\x02ctorch\nFloatStorage\n)R.", "its pickle calls torch.FloatStorage with 0 arguments, which weights do not need: expected a state_dict of tensors alone, or safetensors"},
		{"\x80\x02(cos\nsystem\no.", "its pickle wants os.system" + wants},
		{"\x80\x02(S'x'\nios\nsystem\n.", "the pickle has the opcode 0x53, which dictionaries of tensors do not need: expected a state_dict of tensors alone, or safetensors"},
		{"\x80\x02\x82\x01.", "the pickle has the opcode 0x82, which dictionaries of tensors do not need: expected a state_dict of tensors alone, or safetensors"},
		{"\x80\x02)" + short("x") + "b.", "the pickle sets attributes of an object: expected a state_dict of tensors alone, or safetensors"},
		{"\x80\x02K\x01)R.", "the pickle calls what is no function: expected a state_dict of tensors alone, or safetensors"},
		{"\x80\x06.", "the pickle has protocol 6, expected at most 5, or safetensors"},
		{"\x80\x02}", "the pickle ends too early: truncated, copy or download it again"},
		{"\x80\x02.", "the pickle ends too early: truncated, copy or download it again"},
		{"\x80\x02s.", "the pickle ends too early: truncated, copy or download it again"},
		{"\x80\x02h\x05.", "the pickle reads what it has not kept: expected a state_dict of tensors alone, or safetensors"},
		{"\x80\x02X\xff\xff\xff\xff.", "the pickle ends too early: truncated, copy or download it again"},
		{"\x80\x02\x8a\xff", "the pickle has a number beyond 64 bits: expected a state_dict of tensors alone, or safetensors"},
		{"\x80\x02K\x01K\x02a.", "the pickle adds items to what is no list or dictionary: expected a state_dict of tensors alone, or safetensors"},
		{"\x80\x02K\x01.", "it holds no dictionary of tensors: expected a state_dict of tensors alone, or safetensors"},
		{"\x80\x02K\x01Q.", "its pickle has a persistent id that is no storage: expected a state_dict of tensors alone, or safetensors"},
		{"\x80\x02" + stored(5) + ".", "its storage 0 claims 5 elements of F32, but has 16 bytes: damaged, copy or download it again"},
		{tensor(stored(4) + "K\x00K\x05\x85K\x01\x85"), "its pickle has a tensor of shape [5] and strides [1] at 0, beyond its storage of 4 elements: damaged, copy or download it again"},
		{tensor(stored(4) + "K\x02K\x03\x85K\x01\x85"), "its pickle has a tensor of shape [3] and strides [1] at 2, beyond its storage of 4 elements: damaged, copy or download it again"},
		{tensor(stored(4) + "\x8a\x07\xff\xff\xff\xff\xff\xff\x7fK\x01\x85K\x01\x85"), "its pickle has a tensor of shape [1] and strides [1] at 36028797018963967, beyond its storage of 4 elements: damaged, copy or download it again"},
		{tensor(stored(4) + "K\x00J\xff\xff\xff\x7fJ\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x87K\x00K\x00K\x00\x87"), "its pickle has a tensor of shape [2147483647 2147483647 2147483647] and strides [0 0 0] at 0, beyond its storage of 4 elements: damaged, copy or download it again"},
		{tensor(stored(4) + "K\x00J\xff\xff\xff\xff\x85K\x01\x85"), "its pickle has a tensor without storage, offset, shape or strides: expected a state_dict of tensors alone, or safetensors"},
		{"\x80\x02}" + short("w") + "ctorch._utils\n_rebuild_tensor_v2\n(" + stored(4) + "K\x00K\x04\x85K\x01\x85\x89}}" + short("neg") + "\x88stRs.",
			"its pickle has a tensor that stands for the negative of its elements, or others: call resolve_neg() of it, or save it as safetensors"},
		{"\x80\x02}q\x00" + strings.Repeat(short("x")+"h\x00s", 1) + ".", "its dictionaries have more entries than any model: expected a state_dict of tensors alone, or safetensors"},
		{strings.Repeat("(", maxStack+2) + ".", "the pickle is too deep to be a dictionary of tensors: expected a state_dict of tensors alone, or safetensors"},
	} {
		path := archived(t, c.code, zip.Store)
		f, err := Open(path)
		if err == nil {
			f.Close()
			t.Errorf("%q is read, want %s", c.code, c.want)
		} else if got := strings.TrimPrefix(err.Error(), path+": "); got != c.want {
			t.Errorf("%.80q\nerror  %s\nwanted %s", c.code, got, c.want)
		}
	}
	for file, want := range map[string]string{
		"arguments.bin": "its pickle wants argparse.Namespace" + wants,
		"module.bin":    "its pickle wants torch.nn.modules.linear.Linear" + wants,
	} {
		if _, err := Open(filepath.Join("testdata", file)); err == nil || err.Error() != "testdata/"+file+": "+want {
			t.Errorf("%s: error %v, wanted %s", file, err, want)
		}
	}
	if _, err := Open(archived(t, "}.", zip.Deflate)); err == nil || !strings.HasSuffix(err.Error(), "data.pkl in its archive is compressed: expected it as torch.save stores it, or safetensors") {
		t.Errorf("a compressed archive: error %v", err)
	}
	if _, err := os.Stat("harm"); err == nil {
		t.Error("a pickle was executed")
	}
}

// TestExpanded reads a tensor that repeats the elements of a smaller storage, as expand leaves it.
func TestExpanded(t *testing.T) {
	f, err := Open(archived(t, "\x80\x02}"+short("w")+"ctorch._utils\n_rebuild_tensor_v2\n("+stored(4)+"K\x00K\x03K\x07\x86K\x01K\x00\x86\x89}}tRs.", zip.Store))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if w, ok := f.Tensor("w"); !ok || !slices.Equal(w.Shape, []int{3, 7}) || string(w.Data) != strings.Repeat("x", 4*3*7) {
		t.Errorf("%v: %v of %d bytes", ok, w.Shape, len(w.Data))
	}
}

// TestLegacyDamaged cuts a file of the format before torch 1.6 everywhere, and alters what its parts say.
func TestLegacyDamaged(t *testing.T) {
	data, err := os.ReadFile("testdata/legacy.bin")
	if err != nil {
		t.Fatal(err)
	}
	for n := range data {
		if _, err := parse(data[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are read", n, len(data))
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("the first %d bytes: the error %q is no line", n, err)
		}
	}
	head := "\x80\x02" + string(magic) + "\x80\x02M\xe9\x03.\x80\x02}X\x0d\x00\x00\x00little_endian"
	id := func(kind string) string {
		return "(" + short("storage") + "ctorch\n" + kind + "\n" + short("0") + short("cpu") + "K\x02NtQ"
	}
	tensor := func(kind string) string {
		return "ctorch._utils\n_rebuild_tensor_v2\n(" + id(kind) + "K\x00K\x02\x85K\x01\x85\x89}tR"
	}
	one := head + "\x88s.\x80\x02}" + short("w") + tensor("HalfStorage") + "s."
	for _, c := range []struct{ text, want string }{
		{one + "\x80\x02]" + short("0") + "a.\x02\x00\x00\x00\x00\x00\x00\x00abcd", ""},
		{one + "\x80\x02]" + short("0") + "a.\x02\x00\x00\x00\x00\x00\x00\x00abc", "its storage 0 goes beyond the end of the file: truncated, copy or download it again"},
		{one + "\x80\x02]" + short("0") + "a.\xff\xff\xff\xff\xff\xff\xff\xffabcd", "its storage 0 goes beyond the end of the file: truncated, copy or download it again"},
		{one + "\x80\x02]" + short("0") + "a.\x01\x00\x00\x00\x00\x00\x00\x00abcd", "its storage 0 claims 2 elements of F16, but has 2 bytes: damaged, copy or download it again"},
		{one + "\x80\x02].", "it has no storage 0: damaged, copy or download it again"},
		{one + "\x80\x02]" + short("1") + "a.", "it has a storage that no tensor uses: save it as safetensors"},
		{one + "\x80\x02}.", "it has no list of its storages: expected a state_dict of tensors alone, or safetensors"},
		{head + "\x89s.", "its numbers are big-endian, expected little: save it as safetensors"},
		{head + "\x88s.\x80\x02cos\nsystem\n" + short("touch harm") + "\x85R.",
			"its pickle wants os.system, which weights do not need: refused, nothing was executed (expected a state_dict of tensors alone, or safetensors)"},
		{head + "\x88s.\x80\x02}" + short("w") + tensor("HalfStorage") + "s" + short("v") + tensor("CharStorage") + "s.", "its storage 0 is of F16 and of I8: save it as safetensors"},
	} {
		got, err := parse([]byte(c.text))
		switch {
		case c.want == "" && (err != nil || string(got["w"].Data) != "abcd"):
			t.Errorf("%q: %v, error %v", c.text, got, err)
		case c.want != "" && (err == nil || err.Error() != c.want):
			t.Errorf("%.200q\nerror  %v\nwanted %s", c.text, err, c.want)
		}
	}
}

// FuzzParse alters archives: each is read or refused, in bounded time and memory.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"state.bin", "nested.bin", "protocol4.bin", "arguments.bin", "legacy.bin", "legacy4.bin"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tensors, err := parse(data)
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("the error %q is no line", err)
		}
		for name, x := range tensors {
			n := x.DType.Bytes()
			for _, d := range x.Shape {
				n *= d
			}
			if err == nil && n != len(x.Data) {
				t.Errorf("%s of %s %v has %d bytes", name, x.DType, x.Shape, len(x.Data))
			}
		}
	})
}
