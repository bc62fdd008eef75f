package program

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestParts writes programs of which each needs some parts of a code: they are in the file once, and what a program does not need is
// not unpacked.
func TestParts(t *testing.T) {
	code := make([]byte, 300)
	rand.New(rand.NewSource(1)).Read(code)
	sets := samples()
	sets[0].Parts = []Part{{At: 0, Bytes: 100}, {At: 200, Bytes: 100}}
	sets[1].Parts = []Part{{At: 100, Bytes: 100}, {At: 200, Bytes: 100}}
	path := filepath.Join(t.TempDir(), "x")
	section := Bytes(SectionCode, code)
	section.Deflate = true
	if err := Write(context.Background(), path, runtimeELF, sets, weights(weightBytes()), section); err != nil {
		t.Fatal(err)
	}
	if sets[0].Parts[1] != sets[1].Parts[1] {
		t.Errorf("the part of both lies at %v and %v", sets[0].Parts[1], sets[1].Parts[1])
	}
	m, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if n := len(m.Section(SectionCode)); n > 340 {
		t.Errorf("300 bytes of code take %d", n)
	}
	for i, p := range m.Programs {
		got, err := m.Code(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range p.Parts {
			if !bytes.Equal(got[part.At:part.At+part.Bytes], code[part.At:part.At+part.Bytes]) {
				t.Errorf("program %d: a part at %d has other bytes", i, part.At)
			}
		}
		if other := got[100*(1-i):][:100]; !bytes.Equal(other, make([]byte, 100)) {
			t.Errorf("program %d: another's part is there, too", i)
		}
		if again, err := m.Code(p); err != nil || &again[0] != &got[0] {
			t.Errorf("program %d: the code is unpacked again (%v)", i, err)
		}
		if p.CodeBytes() != 200 {
			t.Errorf("program %d: %d bytes of code, expected 200", i, p.CodeBytes())
		}
	}
	if m.CodeBytes() != 300 {
		t.Errorf("%d bytes of code, expected 300", m.CodeBytes())
	}
}

// TestDamagedParts: parts that do not unpack to what they should, as no writer makes them, are errors that name the section.
func TestDamagedParts(t *testing.T) {
	for what, change := range map[string]func(p *Part){
		"longer":    func(p *Part) { p.Bytes++ },
		"shorter":   func(p *Part) { p.Bytes-- },
		"cut":       func(p *Part) { p.Packed.Bytes-- },
		"elsewhere": func(p *Part) { p.Packed.Offset++; p.Packed.Bytes-- },
	} {
		path := filepath.Join(t.TempDir(), "x")
		writeSampleAs(t, path, true)
		m, err := OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		change(&m.Program.Parts[0])
		if code, err := m.Code(m.Program); err == nil || !strings.HasPrefix(err.Error(), path+": section code: its ") || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %d bytes, error %v", what, len(code), err)
		}
		m.Close()
	}
	for _, p := range []Part{{At: -1, Bytes: 1, Packed: Span{0, 9}}, {Bytes: -1}, {Packed: Span{-1, 1}}, {Packed: Span{0, -1}}, {Packed: Span{5, 6}},
		{Packed: Span{11, 0}}, {Bytes: mostCode + 1, Packed: Span{0, 10}}, {At: 1 << 62, Bytes: 1, Packed: Span{0, 9}},
		{At: -1, Bytes: 1}, {At: 1, Bytes: 10}, {At: 11}, {At: 1 << 62, Bytes: 1 << 62}} {
		if p.fits(10) == nil {
			t.Errorf("%+v fits a section of 10 bytes", p)
		}
	}
}

// TestExecutable runs code as it lies in a file, and makes it executable in both ways where it is deflated: where memory that was
// written may become executable, and where it may not, as systemd's MemoryDenyWriteExecute has it.
func TestExecutable(t *testing.T) {
	if os.Getenv("PGC_DENY") == "" {
		for _, deny := range []string{"no", "yes"} {
			cmd := exec.Command(os.Args[0], "-test.run=^TestExecutable$", "-test.v")
			cmd.Env = append(os.Environ(), "PGC_DENY="+deny)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("denied %s: %v\n%s", deny, err, out)
			}
			if bytes.Contains(out, []byte("--- SKIP")) {
				t.Skipf("%s", out)
			}
		}
		return
	}
	if os.Getenv("PGC_DENY") == "yes" {
		const setMDWE, refuseExecGain = 65, 1
		if err := unix.Prctl(setMDWE, refuseExecGain, 0, 0, 0); err != nil {
			t.Skipf("this system cannot forbid it: %v", err)
		}
		b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil || unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC) == nil {
			t.Fatalf("the system does not forbid it (%v)", err)
		}
	}
	testExecutable(t, "as it is", false, func(*Executable) {}, " r-xs ")
	testExecutable(t, "where the file is not executed", false, func(m *Executable) { m.runs = false }, " r-xp ")
	testExecutable(t, "deflated", true, func(*Executable) {}, " r-xp ")
}

// testExecutable looks for code among what is mapped.
func testExecutable(t *testing.T, what string, deflate bool, change func(*Executable), want string) {
	path := filepath.Join(t.TempDir(), "x")
	writeSampleAs(t, path, deflate)
	m, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	change(m)
	code, err := m.Code(m.Program)
	if err != nil || len(code) != 201 || code[200] != 0xc3 {
		t.Fatalf("%s: %d bytes of code: %v", what, len(code), err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	start := fmt.Sprintf("%x-", uintptr(unsafe.Pointer(&code[0])))
	for line := range strings.Lines(string(maps)) {
		if strings.HasPrefix(line, start) && strings.Contains(line, want) {
			return
		}
	}
	t.Errorf("%s: the code at %s is not memory that is read and executed:\n%s", what, start, maps)
}

// TestWholePages: what is mapped to run, and what lies in front of the weights, is padded to whole pages, deflated code is not.
func TestWholePages(t *testing.T) {
	for _, deflate := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "x")
		writeSampleAs(t, path, deflate)
		m, err := OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		for _, s := range m.Sections {
			if want := s.Name == SectionRuntime || s.Name == SectionCode && !deflate; s.whole != want {
				t.Errorf("deflated %v: section %s is padded to pages: %v, expected %v", deflate, s.Name, s.whole, want)
			}
			if s.Name == SectionWeights && s.Offset%s.page != 0 {
				t.Errorf("deflated %v: weights begin at %d, within a page", deflate, s.Offset)
			}
			if s.runs() == deflate && s.Name == SectionCode {
				t.Errorf("deflated %v: code runs as it lies there: %v", deflate, s.runs())
			}
		}
	}
}
