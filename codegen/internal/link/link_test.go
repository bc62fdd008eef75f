package link

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
)

// llcs returns the installed versions of llc.
func llcs(t testing.TB) []string {
	var found []string
	names := []string{"llc"}
	for v := 14; v <= 22; v++ {
		names = append(names, fmt.Sprint("llc-", v))
	}
	for _, n := range names {
		if p, err := exec.LookPath(n); err == nil {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		t.Skip("no llc on the path")
	}
	return found
}

func assemble(t testing.TB, llc, ll string, flags ...string) []byte {
	t.Helper()
	if len(flags) == 0 {
		flags = []string{"-relocation-model=pic"}
	}
	args := append([]string{"-O2", "-filetype=obj", "-o", "-"}, flags...)
	if !slices.ContainsFunc(flags, func(f string) bool { return strings.HasPrefix(f, "-mtriple=") }) {
		args = append(args, "-mtriple=x86_64-linux-gnu", "-mcpu=x86-64-v3")
	}
	cmd := exec.Command(llc, args...)
	cmd.Stdin = strings.NewReader(ll)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	obj, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", llc, err, stderr.String())
	}
	return obj
}

// caller has every kind of reference llc makes: a vector constant, a table, a jump table, a call to another object and
// the address of a symbol of another object.
const caller = `
@table = private unnamed_addr constant [3 x float] [float 1.0, float 2.0, float 3.0], align 64
@elsewhere = external constant i64
declare void @callee(i64*, i64, i8*)
define void @caller(i64* %a, i64 %t, i8* %s) {
  %p = bitcast i64* %a to <8 x float>*
  %v = load <8 x float>, <8 x float>* %p
  %w = fadd <8 x float> %v, <float 1.0, float 2.0, float 3.0, float 4.0, float 5.0, float 6.0, float 7.0, float 8.0>
  store <8 x float> %w, <8 x float>* %p
  %g = getelementptr [3 x float], [3 x float]* @table, i64 0, i64 %t
  %z = load float, float* %g
  %q = bitcast i64* %a to float*
  store float %z, float* %q
  call void @callee(i64* %a, i64 %t, i8* %s)
  ret void
}
define i64 @address() { ret i64 ptrtoint (i64* @elsewhere to i64) }
define void @tail(i64* %a, i64 %t, i8* %s) {
  tail call void @callee(i64* %a, i64 %t, i8* %s)
  ret void
}
declare i64 @far(i64) nonlazybind
define i64 @indirect(i64 %t) {
  %r = call i64 @far(i64 %t)
  %u = add i64 %r, 1
  ret i64 %u
}
define i64 @indirecttail(i64 %t) {
  %r = tail call i64 @far(i64 %t)
  ret i64 %r
}
define i64 @switch(i64 %t) {
  switch i64 %t, label %d [ i64 0, label %a
  i64 1, label %b
  i64 2, label %c
  i64 3, label %e
  i64 4, label %f ]
a:
  call void @callee(i64* null, i64 1, i8* null)
  ret i64 7
b:
  call void @callee(i64* null, i64 2, i8* null)
  ret i64 18
c:
  call void @callee(i64* null, i64 3, i8* null)
  ret i64 3
e:
  call void @callee(i64* null, i64 4, i8* null)
  ret i64 9
f:
  call void @callee(i64* null, i64 5, i8* null)
  ret i64 99
d:
  ret i64 0
}`

const callee = `
@elsewhere = constant i64 81985529216486895, align 32
define i64 @far(i64 %t) {
  %r = mul i64 %t, 3
  ret i64 %r
}
define void @callee(i64* %a, i64 %t, i8* %s) {
  %p = bitcast i64* %a to <8 x float>*
  %v = load <8 x float>, <8 x float>* %p
  %w = fmul <8 x float> %v, <float 1.0, float 2.0, float 3.0, float 4.0, float 5.0, float 6.0, float 7.0, float 8.0>
  store <8 x float> %w, <8 x float>* %p
  ret void
}`

func TestLayout(t *testing.T) {
	for _, llc := range llcs(t) {
		a, b := assemble(t, llc, caller), assemble(t, llc, callee)
		m, err := Link([][]byte{a, b})
		if err != nil {
			t.Fatalf("%s: %v", llc, err)
		}
		if got, want := m.Functions(), []string{"caller", "address", "tail", "indirect", "indirecttail", "switch", "far", "callee"}; !slices.Equal(got, want) {
			t.Errorf("%s: functions %v, expected %v", llc, got, want)
		}
		if at := m.Symbols["elsewhere"]; at%32 != 0 || at < uint64(m.TextBytes) || m.Code[at] != 0xef {
			t.Errorf("%s: the constant lies at %d (text ends at %d), starting with %#x", llc, at, m.TextBytes, m.Code[at])
		}
		// 1.0 … 8.0 stand in both objects and must be there once.
		if n := bytes.Count(m.Code, []byte("\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40\x00\x00\x80\x40\x00\x00\xa0\x40")); n != 1 {
			t.Errorf("%s: the merged constant stands %d times in the blob, expected once", llc, n)
		}
		again, err := Link([][]byte{a, b})
		if err != nil || !bytes.Equal(again.Code, m.Code) {
			t.Errorf("%s: linking twice gives different bytes (%v)", llc, err)
		}
		alone, err := Link([][]byte{b})
		if err != nil || len(alone.Code) >= len(m.Code) {
			t.Errorf("%s: an object alone links to %v", llc, err)
		}
	}
}

func TestErrors(t *testing.T) {
	llc := llcs(t)[0]
	pic := "-relocation-model=pic"
	for _, c := range []struct {
		name, ll, want string
		flags          []string
	}{
		{"undefined", `declare float @llvm.exp.f32(float)
			define void @k(float* %p) {
			%x = load float, float* %p
			%y = call float @llvm.exp.f32(float %x)
			store float %y, float* %p
			ret void }`, `^link: k: expf is defined by no object`, []string{pic}},
		{"memset", `declare void @llvm.memset.p0i8.i64(i8*, i8, i64, i1)
			define void @first() { ret void }
			define void @clear(i8* %p, i64 %n) {
			call void @llvm.memset.p0i8.i64(i8* %p, i8 0, i64 %n, i1 false)
			ret void }`, `^link: clear: memset is defined by no object`, []string{pic}},
		{"writable", `@state = global i64 7
			define i64 @k() { %v = load i64, i64* @state
			ret i64 %v }`, `section \.data of 8 bytes is writable`, []string{pic}},
		{"bss", `@state = global [4 x i64] zeroinitializer
			define i64* @k() { ret i64* getelementptr ([4 x i64], [4 x i64]* @state, i64 0, i64 1) }`,
			`section \.bss of 32 bytes is writable`, []string{pic}},
		{"tls", `@state = thread_local global i64 7
			define i64 @k() { %v = load i64, i64* @state
			ret i64 %v }`, `section \.tdata is thread-local`, []string{pic}},
		{"absolute", `define i64 @k() { ret i64 1 }
			@entry = constant i64 ()* @k`, `^link: \.rodata\S*: relocation R_X86_64_64 against k is not relative`, []string{"-relocation-model=static"}},
		{"alignment", `@c = constant [2 x i64] [i64 1, i64 2], align 8192
			define void @k() { ret void }`, `section \.rodata\S* has alignment 8192, expected a power of two up to 4096`, []string{pic}},
	} {
		_, err := Link([][]byte{assemble(t, llc, c.ll, c.flags...)})
		if err == nil || !regexp.MustCompile(c.want).MatchString(err.Error()) {
			t.Errorf("%s: error %v, expected a match of %s", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error has several lines: %q", c.name, err)
		}
	}
	obj := assemble(t, llc, callee)
	if _, err := Link([][]byte{obj, obj}); err == nil || !strings.Contains(err.Error(), "is defined twice, in objects 0 and 1") {
		t.Errorf("an object twice: error %v", err)
	}
	if _, err := Link([][]byte{[]byte("; text")}); err == nil || !strings.Contains(err.Error(), "object 0: not an ELF file") {
		t.Errorf("no ELF file: error %v", err)
	}
	if m, err := Link(nil); err != nil || len(m.Code) != 0 {
		t.Errorf("nothing links to %v, %v", m, err)
	}
}

// TestRelax checks the rewriting of instructions that go through the offset table.
func TestRelax(t *testing.T) {
	for _, c := range []struct {
		in, out string
		shift   int
		ok      bool
	}{
		{"\x8b\x05\x00\x00\x00\x00", "\x8d\x05\x00\x00\x00\x00", 0, true},
		{"\x8b\x3d\x00\x00\x00\x00", "\x8d\x3d\x00\x00\x00\x00", 0, true},
		{"\xff\x15\x00\x00\x00\x00", "\x67\xe8\x00\x00\x00\x00", 0, true},
		{"\xff\x25\x00\x00\x00\x00", "\xe9\x25\x00\x00\x00\x90", 1, true},
		{"\x3b\x05\x00\x00\x00\x00", "", 0, false}, // cmp
		{"\x8b\x45\x00\x00\x00\x00", "", 0, false}, // not relative to the program counter
		{"\xff\x35\x00\x00\x00\x00", "", 0, false}, // push
	} {
		b := []byte(c.in)
		shift, ok := relax(b)
		if ok != c.ok || shift != c.shift || ok && string(b) != c.out {
			t.Errorf("relax(%x) = %x, %d, %v; expected %x, %d, %v", c.in, b, shift, ok, c.out, c.shift, c.ok)
		}
	}
}

// TestDamaged changes every byte of an object in turn: an error or an image, never a panic.
func TestDamaged(t *testing.T) {
	llc := llcs(t)[0]
	whole := assemble(t, llc, callee)
	linked := 0
	for i := range whole {
		for _, change := range []byte{0x01, 0x80, 0xff} {
			obj := bytes.Clone(whole)
			obj[i] ^= change
			if _, err := Link([][]byte{obj, obj[:len(obj)-i/2]}); err == nil {
				linked++
			}
			if _, err := Link([][]byte{obj}); err == nil {
				linked++
			}
		}
	}
	t.Logf("%d of %d damaged objects link all the same", linked, 6*len(whole))
}

// Functions returns the global symbols that lie in the text part, by rising offset.
func (m *Image) Functions() []string {
	var names []string
	for name, off := range m.Symbols {
		if off < uint64(m.TextBytes) {
			names = append(names, name)
		}
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := m.Symbols[names[i]], m.Symbols[names[j]]
		return a < b || a == b && names[i] < names[j]
	})
	return names
}
