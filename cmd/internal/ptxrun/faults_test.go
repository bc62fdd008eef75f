package ptxrun

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pgc/codegen/ptx/emu"
)

// needless are barriers and waits that the compilers emit and the kernels of these inputs do not need: file, line, why.
var needless = map[string]string{
	"triton_split_sum.ptx:51":    "nothing follows that writes shared memory",
	"triton_split_sum.ptx:55":    "likewise",
	"triton_matmul_int8.ptx:220": "the wait at the end of the turn before did the work",
	"triton_matmul_int8.ptx:241": "two waits in a row",
	"triton_matmul_int8.ptx:242": "two waits in a row",
	"triton_matmul_tf32.ptx:179": "the wait at the end of the turn before did the work",
	"triton_matmul_tf32.ptx:180": "the barrier at the end of the turn before did the work",
	"triton_matmul_tf32.ptx:262": "two waits in a row",
	"triton_matmul_tf32.ptx:263": "two waits in a row",
	"triton_matmul_tf32.ptx:283": "every copy was waited for by then",
}

var orders = regexp.MustCompile(`^\s*(bar\.sync|bar\.warp\.sync|cp\.async\.wait_group|membar|fence)`)

// Without any one of the barriers, waits and fences that compilers emit there is a finding, where it is needed.
func TestEveryBarrierCounts(t *testing.T) {
	dropped := 0
	unused := map[string]bool{}
	for place := range needless {
		unused[place] = true
	}
	for _, c := range runCases(t) {
		text, err := os.ReadFile(filepath.Join("testdata", c.Ptx))
		if err != nil {
			t.Fatal(err)
		}
		lines, within := strings.SplitAfter(string(text), "\n"), false
		for i, line := range lines {
			if strings.Contains(line, ".entry ") {
				within = strings.Contains(line, ".entry "+c.Kernel+"(")
			}
			if !within || !orders.MatchString(line) {
				continue
			}
			dropped++
			lines[i] = "\n"
			err := Run(c.request(t, strings.Join(lines, "")))
			lines[i] = line
			var f *emu.Finding
			place := fmt.Sprintf("%s:%d", c.Ptx, i+1)
			delete(unused, place)
			switch found := errors.As(err, &f); {
			case needless[place] != "" && err != nil:
				t.Errorf("%s: without %s: %v; expected nothing, since %s", place, strings.TrimSpace(line), err, needless[place])
			case needless[place] == "" && (!found || f.Kind != emu.Race && f.Kind != emu.MissingWait):
				t.Errorf("%s: without %s: %v; expected a race or a missing wait", place, strings.TrimSpace(line), err)
			}
		}
	}
	if dropped < 70 || len(unused) > 0 {
		t.Errorf("%d barriers dropped; not met: %v", dropped, unused)
	}
}

// Faults planted in the compilers' PTX are found and named, with line and column.
func TestPlantedFaults(t *testing.T) {
	cases := map[string]runCase{}
	for _, c := range runCases(t) {
		cases[c.Name] = c
	}
	for _, f := range []struct {
		name, from, to string // a regular expression, of which the first match within the kernel is replaced
		kind           emu.Kind
		want           string
	}{
		{"nvrtc_histogram", `atom\.shared\.add\.u32\s+(%r\d+), \[(%rd\d+)\], 1;`, "ld.shared.u32 $1, [$2]; add.s32 $1, $1, 1; st.shared.u32 [$2], $1;", emu.Race, "shared memory"},
		{"nvrtc_histogram", `(?:atom|red)\.global\.add\.u32\s+(%r\d+), \[(%rd\d+)\], (%r\d+);`, "ld.global.u32 $1, [$2]; add.s32 $1, $1, $3; st.global.u32 [$2], $1;", emu.Race, "of bins and nothing orders the two blocks"},
		{"nvrtc_transpose", `mul\.wide\.s32\s+(%rd\d+), (%r\d+), 4;`, "mul.wide.s32 $1, $2, 8;", emu.OutOfBounds, "of x, which has 12600"},
		{"nvrtc_transpose", `mul\.wide\.s32\s+(%rd\d+), (%r\d+), 4;`, "mul.wide.s32 $1, $2, 2;", emu.Misaligned, "of x, which is no multiple of 4"},
		{"nvrtc_pipeline", `cp\.async\.commit_group;`, "", emu.MissingWait, "where an asynchronous copy is on its way"},
		{"nvrtc_pipeline", `wait_group 1`, "wait_group 2", emu.MissingWait, "where an asynchronous copy is on its way"},
		{"nvrtc_scan", `st\.shared\.u64[^;]*;`, "", emu.Uninitialized, "of shared memory, which nobody has written"},
		{"nvrtc_functions", `(fma\.rn\.f32\s+%f\d+), %f\d+,`, "$1, %f99999,", emu.Syntax, "%f99999 is not declared"},
		{"nvrtc_functions", `\.reg \.f32`, ".reg .f32 %never; .reg .f32", "", ""},
		{"nvrtc_producer", `mbarrier\.arrive[^;]*;`, "mov.b64 s, 0;", emu.Deadlock, "lacks 32 of 32 arrivals"},
		{"nvrtc_producer", `mbarrier\.(test_wait\.parity\.shared\.b64 p, \[%r29\]), (%r30);`, "{ .reg .b32 z; xor.b32 z, $2, 1; mbarrier.$1, z; }", emu.Race, "of _ZZ8producerE4ring in shared memory, and no barrier orders it"},
		{"nvrtc_producer", `(mbarrier\.init\.shared\.b64 \[%r\d+\]), 32;`, "$1, 33;", emu.Deadlock, "lacks 1 of 33 arrivals"},
		{"nvrtc_producer", `(mbarrier\.init\.shared\.b64 \[%r\d+\]), 32;`, "$1, 31;", emu.Deadlock, "arrives 32 times at an mbarrier that waits for 31"},
		{"triton_attention", `bar\.sync\s+0;`, "{ .reg .b32 l; .reg .pred h; mov.u32 l, %laneid; setp.lt.u32 h, l, 16; @h bar.sync 0; }", emu.Deadlock, "is reached by 16 of 32 threads of the warp"},
		{"triton_matmul", `(st\.shared\.\w+\s+\[%r\d+)\]`, "$1+2]", emu.Race, "of shared memory, and no barrier orders it"},
		{"llvm_reverse", `st\.shared\.u32[^;]*;`, "", emu.Uninitialized, "of shared memory"},
		{"llvm_reverse", `bar\.sync\s+0;`, "setp.lt.u32 %p, %r1, 32; @%p bar.sync 0;", emu.Syntax, "%p is not declared"},
		{"llvm_bits", `setp\.ge\.u32\s+(%p\d+), (%r\d+), (%r\d+);`, "setp.gt.u32 $1, $2, $3;", emu.OutOfBounds, "of x, which has 400"},
		{"llvm_bits", `popc\.b32`, "popcount.b32", emu.UnknownOpcode, "popcount.b32"},
		{"llvm_frame", `ld\.global\.v4\.f32`, "ld.global.v4.f33", emu.UnknownOpcode, "ld.global.v4.f33"},
		{"llvm_frame", `ld\.global\.v4\.f32\s+\{(%f\d+), `, "ld.global.v4.f32 {", emu.Syntax, "3 values in braces"},
		{"triton_norm", `;\n`, "\n", emu.Syntax, "is expected"},
		{"triton_norm", `\tbar\.sync\s+0;`, "\t@%p1 bar.sync 0;", emu.Race, "no barrier orders it"},
		{"triton_gemv_int4", `shr\.(\w+)\s+(%r\d+), (%r\d+), (\w+);`, "shr.$1 $2, $3, %unwritten;", emu.Syntax, "%unwritten is not declared"},
		{"triton_attention", `ex2\.approx\.ftz\.f32\s+(%r\d+), (%r\d+);`, "{ .reg .b32 u; ex2.approx.ftz.f32 $1, u; }", emu.Uninitialized, "reads u, which the thread has not written"},
		{"triton_matmul", `(ldmatrix[^;]*\[%r\d+)`, "$1+8", emu.Misaligned, "touches 16 bytes"},
	} {
		c := cases[f.name]
		whole, err := os.ReadFile(filepath.Join("testdata", c.Ptx))
		if err != nil {
			t.Fatal(err)
		}
		at := strings.Index(string(whole), ".entry "+c.Kernel+"(")
		re := regexp.MustCompile(f.from)
		m := re.FindSubmatchIndex(whole[at:])
		if m == nil {
			t.Errorf("%s: no match of %s", f.name, f.from)
			continue
		}
		text := append([]byte(nil), whole[:at+m[0]]...)
		text = re.Expand(text, []byte(f.to), whole[at:], m)
		text = append(text, whole[at+m[1]:]...)
		err = Run(c.request(t, string(text)))
		if f.kind == "" && err == nil {
			continue
		}
		var got *emu.Finding
		if !errors.As(err, &got) || got.Kind != f.kind || !strings.Contains(got.Error(), f.want) || got.Pos.Line < 1 || got.Pos.Col < 1 {
			t.Errorf("%s: %s for %s:\n\tgot  %v\n\twant %s: %s", f.name, f.to, whole[at+m[0]:at+m[1]], err, f.kind, f.want)
		}
	}
}
