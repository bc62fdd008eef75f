package npz

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc/runtime/safetensors"
)

// golden/gen/npz.py made the files.

func TestArraysEqualNumpy(t *testing.T) {
	want, err := safetensors.Open("testdata/arrays.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	for _, name := range []string{"stored.npz", "deflated.npz"} {
		t.Run(name, func(t *testing.T) {
			f, err := Open(filepath.Join("testdata", name), all)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if !slices.Equal(f.Names(), want.Names()) {
				t.Errorf("arrays %v, expected %v", f.Names(), want.Names())
			}
			for _, name := range want.Names() {
				a, _ := f.Tensor(name)
				b, _ := want.Tensor(name)
				if a.DType != b.DType || !slices.Equal(a.Shape, b.Shape) || !bytes.Equal(a.Data, b.Data) {
					t.Errorf("%s is %s%v % .12x, expected %s%v % .12x", name, a.DType, a.Shape, a.Data, b.DType, b.Shape, b.Data)
				}
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	for name, want := range map[string]string{
		"objects.npz": "its array weight holds pickled objects, which are programs: refused, expected numbers",
		"big.npz":     "its array weight holds big-endian numbers (>f4), expected little-endian",
		"records.npz": "its array weight holds records, expected numbers of one type",
		"complex.npz": "its array weight holds elements of type <c8, expected floats, integers or booleans",
		"lzma.npz":    "its array weight is compressed by method 14 of zip, expected stored or deflated: write it again with numpy.savez",
		"bzip2.npz":   "its array weight is compressed by method 12 of zip, expected stored or deflated: write it again with numpy.savez",
	} {
		file := filepath.Join("testdata", name)
		if _, err := Open(file, all); err == nil || err.Error() != file+": "+want {
			t.Errorf("%s: %v, expected %s", name, err, want)
		}
		f, err := Open(file, func(name string) bool { return name == "other" })
		if err != nil {
			t.Errorf("%s without the array weight: %v", name, err)
		} else if f.Close(); len(f.Names()) != 0 {
			t.Errorf("%s has arrays %v that nobody wants", name, f.Names())
		}
	}
}

// all wants every array.
func all(string) bool { return true }

// TestDamage changes and cuts files: each is refused in one line or read.
func TestDamage(t *testing.T) {
	whole := map[string][]byte{}
	for _, name := range []string{"stored.npz", "deflated.npz"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		whole[name] = data
	}
	refused := func(data []byte) bool {
		_, err := parse(data, all)
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("not one line: %q", err)
		}
		return err != nil
	}
	for name, data := range whole {
		for n := 0; n < len(data); n += 13 {
			if !refused(data[:n]) {
				t.Errorf("%s cut at byte %d is read", name, n)
			}
		}
		for at := 0; at < len(data); at += 3 {
			flipped := bytes.Clone(data)
			flipped[at] ^= 0x55
			refused(flipped)
		}
	}
	// A changed element does not match the checksum.
	changed := bytes.Clone(whole["stored.npz"])
	one := binary.LittleEndian.AppendUint32(nil, 0x3f800000) // of the array line
	changed[bytes.Index(changed, one)]++
	if !refused(changed) {
		t.Error("a changed element is read")
	}
}

func FuzzHeader(f *testing.F) {
	f.Add("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseDict(text)
		if err == nil && (h.dtype.Bytes() == 0 || slices.ContainsFunc(h.shape, func(n int) bool { return n < 0 })) {
			t.Errorf("%q is %v", text, h)
		}
	})
}
