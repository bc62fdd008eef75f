// Package amxtest executes AMX's tile instructions on processors that lack them, in tests: a handler of SIGILL, written
// as LLVM IR, computes what an instruction would have and goes on behind it. Instructions must be those of the processor
// otherwise, so tests compile for AVX2 with AMX added.
//
// It imports ir/target, and is imported by tests only.
package amxtest

import (
	_ "embed"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgc/ir/target"
)

//go:embed emulator.ll
var emulator string

// Symbols of the emulator's code.
const (
	Prefix = "emulated_"  // in front of a kernel's name: the kernel, on a thread that has the handler; see Source
	Worker = "amx_worker" // the worker loop on such a thread; a wrong instruction ends the process
	Next   = "amx_next"   // 8 bytes: where the worker loop is, counted from here
)

// Target returns AVX2 with AMX, for this processor; it skips the test on a processor without AVX2.
func Target(t testing.TB) target.Target {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("AMX is of amd64")
	}
	tgt, err := target.Find("x86-64-v3")
	if err != nil {
		t.Fatal(err)
	}
	tgt.Name = "x86-64-v3 with AMX"
	tgt.Features = append(slices.Clone(tgt.Features), "amx-tile", "amx-int8", "amx-bf16")
	slices.Sort(tgt.Features)
	return tgt
}

// Source returns the LLVM IR of the emulator, to be linked with kernels. Behind the kernel's last argument its emulated
// form takes a pointer to two i64: it adds to them the instructions that were wrong, and all that it executed.
func Source(kernels map[string]int) string {
	s := emulator + `
@` + Next + ` = constant i64 0

define void @` + Worker + `(i8* %control, i64 %index) {
  %s = alloca %state, align 64
  %p = bitcast %state* %s to i8*
  call void @enter(i8* %p, i64 1)
  %far = load volatile i64, i64* @` + Next + `
  %at = add i64 %far, ptrtoint (i64* @` + Next + ` to i64)
  %f = inttoptr i64 %at to void (i8*, i64)*
  call void %f(i8* %control, i64 %index)
  ret void
}
`
	names := make([]string, 0, len(kernels))
	for name := range kernels {
		names = append(names, name)
	}
	slices.Sort(names)
	var out strings.Builder
	out.WriteString(s)
	for _, name := range names {
		fmt.Fprintf(&out, `
declare void @%[1]s(i64*, i64, i8*)
define void @%[2]s%[1]s(i64* %%args, i64 %%task, i8* %%scratch) {
  %%s = alloca %%state, align 64
  %%p = bitcast %%state* %%s to i8*
  call void @enter(i8* %%p, i64 0)
  call void @%[1]s(i64* %%args, i64 %%task, i8* %%scratch)
  %%w = bitcast %%state* %%s to i64*
  %%last = getelementptr i64, i64* %%args, i64 %[3]d
  %%at = load i64, i64* %%last
  %%counts = inttoptr i64 %%at to <2 x i64>*
  %%seen.p = getelementptr i64, i64* %%w, i64 1049
  %%seen.v = bitcast i64* %%seen.p to <2 x i64>*
  %%seen = load <2 x i64>, <2 x i64>* %%seen.v, align 8
  %%before = load <2 x i64>, <2 x i64>* %%counts, align 8
  %%sum = add <2 x i64> %%before, %%seen
  store <2 x i64> %%sum, <2 x i64>* %%counts, align 8
  ret void
}
`, name, Prefix, kernels[name])
	}
	return out.String()
}
