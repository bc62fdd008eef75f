package program

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"pgc/runtime/output"
)

// runtimeELF stands for the runtime: bytes of an odd length.
var runtimeELF = bytes.Repeat([]byte("\x7fELF runtime "), 777)

// weightBytes are the bytes of sample's weights section, with a gap between the tensors.
func weightBytes() []byte {
	b := make([]byte, 1280)
	for i := range b {
		if i < 500 || i >= 512 {
			b[i] = byte(i*7 + i/256)
		}
	}
	return b
}

// weights writes b in pieces of odd sizes.
func weights(b []byte) Section {
	return Section{Name: SectionWeights, Write: func(w io.Writer) error {
		for n := 1; len(b) > 0; n += 13 {
			k := min(n, len(b))
			if _, err := w.Write(b[:k]); err != nil {
				return err
			}
			b = b[k:]
		}
		return nil
	}}
}

func writeSample(t *testing.T, path string) { writeSampleAs(t, path, false) }

func writeSampleAs(t *testing.T, path string, deflate bool) {
	t.Helper()
	code := Bytes(SectionCode, append(bytes.Repeat([]byte{0x90}, 200), 0xc3))
	code.Deflate = deflate
	if err := Write(context.Background(), path, runtimeELF, samples(), weights(weightBytes()), code, Bytes("tokenizer", []byte("tok"))); err != nil {
		t.Fatal(err)
	}
}

// open opens the file at path, verifies its weights and closes it.
func open(path string) (verify error, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := Open(f)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	return checkBlocks(context.Background(), m), nil
}

// checkBlocks checks the weights, block by block.
func checkBlocks(ctx context.Context, m *Executable) error {
	for i := range m.Blocks() {
		if err := m.CheckBlock(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

func TestWriteOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "captioner")
	writeSample(t, path)
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	writeSample(t, path)
	second, _ := os.ReadFile(path)
	if !bytes.Equal(first, second) {
		t.Error("writing twice gives different bytes")
	}
	if !bytes.HasPrefix(first, runtimeELF) {
		t.Error("the file does not begin with the runtime")
	}
	if info, _ := os.Stat(path); info.Mode()&0o700 != 0o700 {
		t.Errorf("mode %v, expected an executable file", info.Mode())
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if len(m.Programs) != 2 || m.Program != m.Programs[0] || m.Program.Target.CPU != "x86-64-v4" || m.Programs[1].Weights[1].Sum == 0 ||
		m.Program.Funcs[0].Name != "decode" || m.CodeBytes() != 201 {
		t.Errorf("func %s, %d bytes of code", m.Program.Funcs[0].Name, m.CodeBytes())
	}
	if code, err := m.Code(m.Program); err != nil || len(code) != 201 || code[200] != 0xc3 {
		t.Errorf("%d bytes of code: %v", len(code), err)
	}
	if !bytes.Equal(m.Weights, weightBytes()) || string(m.Section("tokenizer")) != "tok" || m.Section("nothing") != nil {
		t.Error("a section came back changed")
	}
	if err := checkBlocks(context.Background(), m); err != nil || m.Blocks() != 1 {
		t.Errorf("%d blocks: %v", m.Blocks(), err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := checkBlocks(ctx, m); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled verify: %v", err)
	}
}

// TestOpenHeads: a file that is said to be whole is opened without a look at what its checksums cover, and its programs
// have no launches until they are asked for. CheckSections compares what was left out.
func TestOpenHeads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "captioner")
	writeSample(t, path)
	open := func(whole bool) (*Executable, error) {
		t.Helper()
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return OpenHeads(f, func(m *Executable) bool {
			if m.Info == nil || m.Sum == 0 {
				t.Error("asked before the footer was read")
			}
			return whole
		})
	}
	for _, whole := range []bool{false, true} {
		m, err := open(whole)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.CheckSections(); err != nil {
			t.Error(err)
		}
		for _, p := range m.Programs {
			if n := len(p.Funcs[0].Launches); n != 0 {
				t.Errorf("%d launches were read", n)
			}
			for range 2 {
				if err := m.Complete(p); err != nil || len(p.Funcs[0].Launches) == 0 {
					t.Errorf("%d launches after Complete (%v)", len(p.Funcs[0].Launches), err)
				}
			}
		}
		m.Close()
	}
	probe, err := open(false)
	if err != nil {
		t.Fatal(err)
	}
	sections := probe.Sections
	probe.Close()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sections {
		if s.Bytes == 0 || s.Name == SectionWeights || s.Name == SectionProgram || s.Name == SectionSums {
			continue
		}
		b := bytes.Clone(good)
		b[s.Offset] ^= 1
		if err := os.WriteFile(path, b, 0o755); err != nil {
			t.Fatal(err)
		}
		want := path + ": section " + s.Name + ": damaged: its checksum is wrong: copy the file anew from where it is whole, or compile it again"
		if _, err := open(false); err == nil || err.Error() != want {
			t.Errorf("error %v, expected %s", err, want)
		}
		m, err := open(true)
		if err != nil {
			t.Errorf("section %s was looked at: %v", s.Name, err)
			continue
		}
		if err := m.CheckSections(); err == nil || err.Error() != want {
			t.Errorf("error %v, expected %s", err, want)
		}
		m.Close()
	}
}

// TestChoose asks for instruction sets on machines that lack some.
func TestChoose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "captioner")
	writeSample(t, path)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, c := range []struct{ name, lacking, chosen, want string }{
		{"", "", "x86-64-v4", ""},
		{"x86-64-v3", "", "x86-64-v3", ""},
		{"", "avx512f", "x86-64-v3", ""},
		{"x86-64-v4", "avx512f", "", "its code for x86-64-v4 does not run here: no avx512f"},
		{"", "avx2", "", "its code for x86-64-v4 does not run here: no avx2; its code for x86-64-v3 does not run here: no avx2"},
		{"znver9", "", "", "has no code for znver9: it has x86-64-v4, x86-64-v3"},
	} {
		p, err := m.Choose(c.name, func(t Target) error {
			if slices.Contains(t.Features, c.lacking) {
				return errors.New("no " + c.lacking)
			}
			return nil
		})
		switch {
		case c.chosen != "" && (err != nil || p.Target.CPU != c.chosen):
			t.Errorf("%+v: error %v", c, err)
		case c.chosen == "" && (err == nil || p != nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v: error %v", c, err)
		}
	}
}

// TestDamage changes every byte of a file in turn.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "captioner")
	writeSample(t, path)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	probe, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	sections := probe.Sections
	probe.Close()
	for i := range whole {
		if i > 200 && i < len(whole)-1000 && i%197 != 0 { // the middle in steps
			continue
		}
		f.WriteAt([]byte{whole[i] ^ 0x10}, int64(i))
		want := "damaged"
		inWeights := false
		for _, s := range sections {
			if int64(i) >= s.Offset && int64(i) < s.Offset+s.padded() {
				want = "section " + s.Name + ": damaged"
				if inWeights = s.Name == SectionWeights; inWeights {
					switch at := int64(i) - s.Offset; {
					case at < 500:
						want = "section weights: tensor model.embed.weight is damaged"
					case at >= 512 && at < 1280:
						want = "section weights: tensor model.layers.0.q.weight is damaged"
					default:
						want = "section weights: damaged between the tensors"
					}
				}
			}
		}
		if i >= len(whole)-len(magic) {
			want = "no program at the end of the file"
		}
		verify, err := open(path)
		if inWeights != (err == nil) {
			t.Fatalf("byte %d changed: opening says %v", i, err)
		}
		if inWeights {
			err = verify
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path) || strings.Contains(err.Error(), "\n") {
			t.Fatalf("byte %d of %d changed: error %v, expected %q", i, len(whole), err, want)
		}
		f.WriteAt(whole[i:i+1], int64(i))
	}
	if verify, err := open(path); err != nil || verify != nil {
		t.Fatalf("the restored file: %v, %v", err, verify)
	}
}

func TestTruncatedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "captioner")
	writeSample(t, path)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, footerBytes - 1, footerBytes, 100, 4096, 12288, len(whole) / 2, len(whole) - footerBytes, len(whole) - 1} {
		if err := os.WriteFile(path, whole[:n], 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := open(path); err == nil || !strings.Contains(err.Error(), "no program at") {
			t.Errorf("%d of %d bytes: error %v", n, len(whole), err)
		}
	}
	// A hole in the middle keeps the footer but not its place.
	short := append(bytes.Clone(whole[:4096]), whole[8192:]...)
	if err := os.WriteFile(path, short, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := open(path); err == nil || !strings.Contains(err.Error(), "the file has") {
		t.Errorf("4096 bytes cut out: error %v", err)
	}
	if _, err := open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: error %v", err)
	}
}

// TestWriteFails checks that a failed write keeps the old file and leaves nothing else.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "captioner")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	background := context.Background()
	canceled, cancel := context.WithCancel(background)
	broken := errors.New("tensor x: the file is truncated")
	bad := sample()
	bad.Kernels[0].CodeOffset = 99
	code := Bytes(SectionCode, make([]byte, 200))
	for _, c := range []struct {
		name     string
		ctx      context.Context
		p        *Program
		sections []Section
		want     string
	}{
		{"section fails", background, sample(), []Section{code, {Name: SectionWeights, Write: func(w io.Writer) error { w.Write(make([]byte, 100)); return broken }}},
			"cannot write " + path + ": section weights: tensor x: the file is truncated"},
		{"short weights", background, sample(), []Section{code, weights(weightBytes()[:1000])}, "the weights section has 1000 bytes, expected 1280"},
		{"no code", background, sample(), []Section{weights(weightBytes())}, "kernel gemm_1 at 0 lies outside the 0 bytes of code"},
		{"kernel outside", background, bad, []Section{Bytes(SectionCode, make([]byte, 99)), weights(weightBytes())}, "kernel gemm_1 at 99 lies outside the 99 bytes of code"},
		{"twice", background, sample(), []Section{code, code, weights(weightBytes())}, "section code is given twice"},
		{"long name", background, sample(), []Section{Bytes("a name that is too long", nil)}, "expected a name of 1 to 16 bytes"},
		{"interrupt", canceled, sample(), []Section{code, {Name: SectionWeights, Write: func(w io.Writer) error {
			cancel()
			_, err := w.Write(weightBytes())
			return err
		}}}, "context canceled"},
	} {
		err := Write(c.ctx, path, runtimeELF, []*Program{c.p}, c.sections...)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, expected %q", c.name, err, c.want)
		}
		if got := names(t, dir); got != "captioner" {
			t.Fatalf("%s: the folder holds %q", c.name, got)
		}
		if old, _ := os.ReadFile(path); string(old) != "old" {
			t.Fatalf("%s: the old file has become %q", c.name, old)
		}
	}
}

// TestDiskFull limits the size of files, which fails writes as a full disk does.
func TestDiskFull(t *testing.T) {
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "captioner")
	limit := old
	limit.Cur = 3 << 20
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	p := sample()
	p.WeightBytes = 8 << 20
	err := Write(context.Background(), path, runtimeELF, []*Program{p}, Bytes(SectionCode, make([]byte, 200)), weights(make([]byte, p.WeightBytes)))
	if e := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); e != nil {
		t.Fatal(e)
	}
	if !errors.Is(err, unix.EFBIG) || err.Error() != "cannot write "+path+": section weights: file too large" {
		t.Errorf("error %v", err)
	}
	if got := names(t, dir); got != "" {
		t.Errorf("the folder holds %q", got)
	}
}

func TestWritable(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{filepath.Join(dir, "new"), ""},
		{file, ""},
		{link, ""},
		{dir, "it is a folder, expected a file"},
		{"/dev/null", "cannot write /dev/null: it exists and is not a regular file"},
		{filepath.Join(dir, "none", "x"), "no such file or directory"},
		{filepath.Join(file, "x"), "not a directory"},
		{"", "no name"},
	} {
		err := output.Check(c.path)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, expected %q", c.path, err, c.want)
		}
	}
	if got := names(t, dir); got != "file link" {
		t.Errorf("the folder holds %q", got)
	}
	writeSample(t, link)
	if info, _ := os.Lstat(link); info.Mode()&os.ModeSymlink == 0 {
		t.Error("writing to a symbolic link has replaced it")
	}
	if _, err := open(file); err != nil {
		t.Errorf("the link's file: %v", err)
	}
}
