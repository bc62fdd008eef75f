// Package amxtest executes AMX's tile instructions on processors that lack them, in tests: a handler of SIGILL, written
// as LLVM IR, computes what an instruction would have and goes on behind it. Instructions must be those of the processor
// otherwise, so tests compile for AVX2 with AMX added.
package amxtest

import (
	_ "embed"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgc/ir/target"
	"pgc/runtime/cpufeature"
)

//go:embed emulator.ll
var emulator string

// Symbols of the emulator's code.
const (
	Prefix = "emulated_"  // in front of a kernel's name: the kernel, on a thread that has the handler; see Source
	Worker = "amx_worker" // the worker loop on such a thread; a wrong instruction ends the process
	Next   = "amx_next"   // 8 bytes: where the worker loop is, counted from here
)

// Targets returns AVX2 with AMX, and sapphirerapids where this processor has all of it but AMX. It skips the test on
// processors of another kind, and on those that execute tile instructions themselves: nothing is emulated there, and
// tests of all targets run such code.
func Targets(t testing.TB) []target.Target {
	t.Helper()
	all, err := target.FindAll("x86-64-v3,sapphirerapids")
	switch {
	case err != nil:
		t.Fatal(err)
	case runtime.GOARCH != "amd64":
		t.Skip("AMX is of amd64")
	case cpufeature.Check(all[0].Features) == nil:
		t.Skip("this CPU has AMX, which the emulator stands for")
	}
	wide, narrow := all[0], all[1]
	narrow.Name = "x86-64-v3 with AMX"
	rest := wide.Features
	for _, f := range wide.Features {
		if strings.HasPrefix(f, "amx-") {
			narrow.Features = append(slices.Clone(narrow.Features), f)
			rest = slices.DeleteFunc(slices.Clone(rest), func(g string) bool { return g == f })
		}
	}
	slices.Sort(narrow.Features)
	if err := cpufeature.Check(rest); err != nil {
		t.Logf("%s skipped: %v", wide.Name, err)
		return []target.Target{narrow}
	}
	return []target.Target{narrow, wide}
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
