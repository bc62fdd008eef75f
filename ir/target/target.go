// Package target holds the facts of machines that kernels are scheduled for: features, registers, vector lanes.
//
// It imports only runtime/cpufeature, to look at the CPU it runs on.
package target

import (
	"fmt"
	"sort"
	"strings"

	"pgc/runtime/cpufeature"
)

// Target is a CPU to compile for.
type Target struct {
	Name     string   // LLVM's -mcpu name, as the user gave it
	Level    string   // the x86-64 level that every llc from 14 on knows
	Features []string // what the CPU must have, in LLVM's -mattr names
	Lanes    int      // float32 lanes of a vector register
	Regs     int      // vector registers
}

var v3 = Target{Level: "x86-64-v3", Lanes: 8, Regs: 16,
	Features: []string{"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "popcnt", "sse4.2"}}

var v4 = Target{Level: "x86-64-v4", Lanes: 16, Regs: 32,
	Features: append(append([]string{}, v3.Features...), "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")}

// cpus maps -mcpu names to their level.
var cpus = map[string]Target{
	"x86-64-v3": v3, "haswell": v3, "broadwell": v3, "skylake": v3, "alderlake": v3, "znver1": v3, "znver2": v3, "znver3": v3,
	"x86-64-v4": v4, "skylake-avx512": v4, "cascadelake": v4, "icelake-client": v4, "icelake-server": v4,
	"sapphirerapids": v4, "znver4": v4, "znver5": v4,
}

// Find returns the target of an -mcpu name, or of this machine's CPU for "native".
func Find(name string) (Target, error) {
	if name == "native" {
		for _, level := range []Target{v4, v3} {
			if cpufeature.Has(level.Features) {
				level.Name = level.Level
				return level, nil
			}
		}
		return Target{}, fmt.Errorf("--cpu native: %w; pgc needs AVX2 and FMA", cpufeature.Check(v3.Features))
	}
	t, ok := cpus[name]
	if !ok {
		return Target{}, fmt.Errorf("--cpu %s is not known; known are native, %s", name, strings.Join(Names(), ", "))
	}
	t.Name = name
	return t, nil
}

// Names returns the known -mcpu names, sorted.
func Names() []string {
	var names []string
	for n := range cpus {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}
