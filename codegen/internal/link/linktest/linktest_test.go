package linktest

import (
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// object assembles LLVM IR text with the first llc on the path.
func object(t testing.TB, ll string) []byte {
	t.Helper()
	llc, err := exec.LookPath("llc")
	if err != nil {
		t.Skip("no llc on the path")
	}
	triple := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[runtime.GOARCH]
	cmd := exec.Command(llc, "-O2", "-mtriple="+triple, "-relocation-model=pic", "-filetype=obj", "-o", "-")
	cmd.Stdin = strings.NewReader(ll)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	obj, err := cmd.Output()
	if err != nil {
		t.Fatalf("llc: %v\n%s", err, stderr.String())
	}
	return obj
}

// scale multiplies task's element of the first argument by the second and adds a constant, which lies in .rodata.
const scale = `
define void @scale(i64* %args, i64 %task, i8* %scratch) {
  %x0 = load i64, i64* %args
  %x = inttoptr i64 %x0 to float*
  %n1 = getelementptr i64, i64* %args, i64 1
  %n = load i64, i64* %n1
  %p = getelementptr float, float* %x, i64 %task
  %v = load float, float* %p
  %f = sitofp i64 %n to float
  %w = fmul float %v, %f
  %y = fadd float %w, 0.5
  store float %y, float* %p
  ret void
}`

func TestRun(t *testing.T) {
	code := Load(t, object(t, scale))
	for _, flush := range []bool{false, true} {
		for _, n := range []int{1, 7, 1024, 1025} {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(i)
			}
			code.Run(t, Call{Symbol: "scale", Tasks: int64(n), Args: []any{x, 3}, Flush: flush})
			for i := range x {
				if x[i] != float32(3*i)+0.5 {
					t.Fatalf("flush %v, n %d: x[%d] = %g, expected %g", flush, n, i, x[i], float32(3*i)+0.5)
				}
			}
		}
	}
}

// references runs code whose parts find each other through relocations: a jump table, calls across objects, the address
// of another object's constant, merged constants.
const references = `
@elsewhere = external constant i64
declare i64 @triple(i64) nonlazybind
define i64 @pick(i64 %t) noinline {
  switch i64 %t, label %other [ i64 0, label %a
  i64 1, label %b
  i64 2, label %c
  i64 3, label %d
  i64 4, label %e ]
a:
  %ra = call i64 @triple(i64 7)
  ret i64 %ra
b:
  %rb = call i64 @triple(i64 18)
  ret i64 %rb
c:
  ret i64 3
d:
  %rd = load i64, i64* @elsewhere
  ret i64 %rd
e:
  %re = tail call i64 @triple(i64 -5)
  ret i64 %re
other:
  ret i64 0
}
define void @references(i64* %args, i64 %task, i8* %scratch) {
  %x0 = load i64, i64* %args
  %x = inttoptr i64 %x0 to i64*
  %p = getelementptr i64, i64* %x, i64 %task
  %v = call i64 @pick(i64 %task)
  store i64 %v, i64* %p
  ret void
}`

const referred = `
@elsewhere = constant i64 81985529216486895, align 32
define i64 @triple(i64 %t) {
  %r = mul i64 %t, 3
  ret i64 %r
}`

func TestReferences(t *testing.T) {
	code := Load(t, object(t, references), object(t, referred))
	got := make([]int64, 7)
	code.Run(t, Call{Symbol: "references", Tasks: int64(len(got)), Args: []any{got}})
	if want := []int64{21, 54, 3, 81985529216486895, -15, 0, 0}; !slices.Equal(got, want) {
		t.Fatalf("got %v, expected %v", got, want)
	}
}

func TestWriteOutsideIsFound(t *testing.T) {
	s, err := place(t, make([]float32, 3), false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.mem.Close()
	if off, ok := s.finish(); !ok {
		t.Fatalf("an untouched copy is reported written at %d", off)
	}
	s.mem.Bytes()[12+5] = 0
	if off, ok := s.finish(); ok || off != 5 {
		t.Fatalf("a byte written 5 past the end is reported as %d, %v", off, ok)
	}
	before, err := place(t, make([]float32, 3), true)
	if err != nil {
		t.Fatal(err)
	}
	defer before.mem.Close()
	before.mem.Bytes()[before.at-2] = 0
	if off, ok := before.finish(); ok || off != -12-2 {
		t.Fatalf("a byte written 2 before the beginning, 14 before the end, is reported as %d, %v", off, ok)
	}
}

// One call of a kernel with one task: what starting a thread costs.
func BenchmarkCall(b *testing.B) {
	code := Load(b, object(b, scale))
	code.Bench(b, Call{Symbol: "scale", Tasks: 1, Args: []any{make([]float32, 1), 3}})
}
