// Package cpufeature names the instruction set extensions that compiled kernels may need and tells which of them this
// CPU has.
package cpufeature

import (
	"fmt"
	"runtime"
	"sort"
	"strings"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"
)

// known maps LLVM's -mattr names, by Go's GOARCH, to whether this CPU has the feature and the operating system saves
// its registers (x/sys/cpu checks both).
var known = map[string]map[string]bool{
	"amd64": {
		"sse4.2": cpu.X86.HasSSE42, "popcnt": cpu.X86.HasPOPCNT, "avx": cpu.X86.HasAVX, "avx2": cpu.X86.HasAVX2,
		"fma": cpu.X86.HasFMA, "bmi": cpu.X86.HasBMI1, "bmi2": cpu.X86.HasBMI2,
		// F16C has no bit in x/sys/cpu; every CPU with AVX2 has it.
		"f16c":    cpu.X86.HasAVX2,
		"avx512f": cpu.X86.HasAVX512F, "avx512bw": cpu.X86.HasAVX512BW, "avx512dq": cpu.X86.HasAVX512DQ,
		"avx512cd": cpu.X86.HasAVX512CD, "avx512vl": cpu.X86.HasAVX512VL,
		"avx512vnni": cpu.X86.HasAVX512VNNI, "avx512bf16": cpu.X86.HasAVX512BF16, "avxvnni": cpu.X86.HasAVXVNNI,
		"sse4a":    extended(0x80000001).ecx&(1<<6) != 0, // this and the next have no bit in x/sys/cpu
		"clzero":   extended(0x80000008).ebx&1 != 0,
		"amx-tile": cpu.X86.HasAMXTile, "amx-int8": cpu.X86.HasAMXInt8, "amx-bf16": cpu.X86.HasAMXBF16, // see tiles.go
	},
	"arm64": {"neon": cpu.ARM64.HasASIMD, "dotprod": cpu.ARM64.HasASIMDDP, "i8mm": cpu.ARM64.HasI8MM,
		"bf16": runtime.GOARCH == "arm64" && hwcap2()&hwcap2BF16 != 0},
}

// What Linux says of an arm64 CPU in the auxiliary vector (arch/arm64/include/uapi/asm/hwcap.h), which x/sys/cpu leaves out.
const (
	atHWCAP2   = 26
	hwcap2BF16 = 1 << 14
)

// hwcap2 returns the second word of features; 0 where there is none.
func hwcap2() uintptr {
	entries, err := unix.Auxv()
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if e[0] == atHWCAP2 {
			return e[1]
		}
	}
	return 0
}

// Names returns the features of an architecture that Check knows, sorted.
func Names(arch string) []string {
	var names []string
	for n := range known[arch] {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Check returns an error that names the features this CPU lacks, or says why the system does not let the process use
// them. Unknown features count as lacking. What must be asked of the system for, is, so that code may run.
func Check(features []string) error {
	err := check(features, known[runtime.GOARCH], hypervised())
	if err == nil && usesTiles(features) {
		err = tiles()
	}
	return err
}

// check names the features that are not had. A hypervisor may hide some that the processor has, as AMX often is: a user
// who knows the processor is to look there.
func check(features []string, has map[string]bool, hypervised bool) error {
	var missing []string
	hidden := ""
	for _, f := range features {
		if there, known := has[f]; !there {
			missing = append(missing, f)
			if known && hypervised {
				hidden = ", or its hypervisor hides that"
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	sort.Strings(missing)
	return fmt.Errorf("this CPU lacks %s%s", strings.Join(missing, ", "), hidden)
}
