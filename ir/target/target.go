// Package target holds the facts of CPUs that kernels are scheduled and compiled for: instruction set, vector
// registers, caches.
package target

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"sort"
	"strings"
)

// Target is a CPU to compile for.
type Target struct {
	Name     string   // LLVM's -mcpu name, as the user gave it
	Level    string   // the -mcpu name that code is generated for; every llc from LLVM 14 on knows it
	Tune     string   // the -mcpu name whose pipelines instructions are scheduled for, if it is not Level's
	Family   string   // the name whose schedules are chosen; "" for those of no CPU in particular
	Arch     string   // as Go's GOARCH
	Features []string // what the CPU must have to run the code, in LLVM's -mattr names, sorted
	Lanes    int      // float32 lanes of a vector register
	Regs     int      // vector registers
	Threads  bool     // thousands of threads: every row of a kernel is a task, or several
	Task     int      // about how many elements of an elementwise kernel make one task: some microseconds of work
	L1, L2   int      // bytes of the first-level data cache and of the second-level cache of a core
}

// The levels that code is generated for. Caches are the smallest of their CPUs.
var (
	v3 = Target{Level: "x86-64-v3", Arch: "amd64", Lanes: 8, Regs: 16, Task: 8192, L1: 32 << 10, L2: 256 << 10,
		Features: []string{"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "popcnt", "sse4.2"}}
	v4 = Target{Level: "x86-64-v4", Arch: "amd64", Lanes: 16, Regs: 32, Task: 8192, L1: 32 << 10, L2: 512 << 10,
		Features: []string{"avx", "avx2", "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl", "bmi", "bmi2", "f16c",
			"fma", "popcnt", "sse4.2"}}
	neon = Target{Level: "generic", Tune: "neoverse-n1", Arch: "arm64", Lanes: 4, Regs: 32, Task: 8192, L1: 32 << 10, L2: 512 << 10,
		Features: []string{"neon"}}
	dotprod = Target{Level: "generic", Tune: "neoverse-n1", Arch: "arm64", Lanes: 4, Regs: 32, Task: 8192, L1: 64 << 10, L2: 512 << 10,
		Features: []string{"dotprod", "neon"}}
	i8mm   = dotprod.with("i8mm", "bf16") // every CPU with one of them that Linux runs on has both
	v3vnni = v3.with("avxvnni")
	v3zen  = v3.with(zenCore)
	v4vnni = v4.with("avx512vnni")
	v4bf16 = v4vnni.with("avx512bf16")
	zen4   = v4bf16.with(AMD)
	amx    = v4vnni.with("amx-tile", "amx-int8", "amx-bf16")
)

// AMD is an extension that AMD's processors have and Intel's lack. It tells where vdpbf16ps pays: beside avx512bf16, where
// it does twice the work of float32 multiply-adds a cycle (Zen 5, measured: docs/BENCHMARKS.md has first tokens with both).
// On Sapphire Rapids it takes 2.0 cycles and a multiply-add 0.5 (measured by usstq/mm_amx; no such CPU was at hand here), so
// that two multiply-adds are twice as fast as one vdpbf16ps.
const AMD = "sse4a"

// zenCore is an instruction that AMD's Zen cores have and Intel's lack. No kernel uses it: it marks a variant whose
// schedules are for these cores.
const zenCore = "clzero"

// VNNI lists the extensions of x86 with vpdpbusd, which adds four products of bytes to each sum.
var VNNI = []string{"avx512vnni", "avxvnni"}

// Has reports whether the code may use any of these features.
func (t Target) Has(features ...string) bool {
	return slices.ContainsFunc(features, func(f string) bool { return slices.Contains(t.Features, f) })
}

// Extensions that only products use: of bfloat16 on both sides, and of integers.
var (
	ofBF16     = []string{"amx-bf16", "avx512bf16", "bf16", AMD}
	ofIntegers = []string{"amx-int8", "avx512vnni", "avxvnni", "dotprod", "i8mm"}
)

// Equal reports whether code for t and o is equal if it is scheduled alike. bf16 and integers say which products occur, of
// bfloat16 on both sides and of integers.
func (t Target) Equal(o Target, bf16, integers bool) bool {
	used := func(t Target) []string {
		return slices.DeleteFunc(slices.Clone(t.Features), func(f string) bool {
			return f == zenCore || !bf16 && slices.Contains(ofBF16, f) || !integers && slices.Contains(ofIntegers, f) || !bf16 && !integers && f == "amx-tile"
		})
	}
	return t.Level == o.Level && slices.Equal(used(t), used(o))
}

// with adds features.
func (t Target) with(features ...string) Target {
	t.Features = append(slices.Clone(t.Features), features...)
	slices.Sort(t.Features)
	return t
}

// cpu is a row of the table of CPUs: caches in KiB a core, of the performance cores where there are two kinds.
type cpu struct {
	name   string
	level  *Target
	l1, l2 int
}

// cpus lists the CPUs that have a name. Cache sizes are the vendors'; they size blocks and change no results.
var cpus = []cpu{
	{"x86-64-v3", &v3, 32, 256}, {"x86-64-v4", &v4, 32, 512},
	{"haswell", &v3, 32, 256}, {"broadwell", &v3, 32, 256}, {"skylake", &v3, 32, 256}, {"alderlake", &v3vnni, 48, 1280},
	{"raptorlake", &v3vnni, 48, 2048}, {"meteorlake", &v3vnni, 48, 2048}, {"lunarlake", &v3vnni, 48, 2560},
	{"arrowlake", &v3vnni, 48, 3072},
	{"skylake-avx512", &v4, 32, 1024}, {"cascadelake", &v4vnni, 32, 1024}, {"cooperlake", &v4bf16, 32, 1024},
	{"icelake-client", &v4vnni, 48, 512}, {"icelake-server", &v4vnni, 48, 1280}, {"tigerlake", &v4vnni, 48, 1280},
	{"rocketlake", &v4vnni, 48, 512}, {"sapphirerapids", &amx, 48, 2048}, {"emeraldrapids", &amx, 48, 2048},
	{"graniterapids", &amx, 48, 2048},
	{"znver1", &v3zen, 32, 512}, {"znver2", &v3zen, 32, 512}, {"znver3", &v3zen, 32, 512}, {"znver4", &zen4, 32, 1024},
	{"znver5", &zen4, 48, 1024},
	{"armv8-a", &neon, 32, 512}, {"cortex-a53", &neon, 32, 128}, {"cortex-a72", &neon, 32, 256},
	{"cortex-a55", &dotprod, 32, 128}, {"cortex-a76", &dotprod, 64, 256},
	{"neoverse-n1", &dotprod, 64, 512}, {"neoverse-v1", &i8mm, 64, 1024}, {"neoverse-n2", &i8mm, 64, 512},
	{"neoverse-v2", &i8mm, 64, 1024}, {"apple-m1", &dotprod, 128, 4096}, {"apple-m2", &i8mm, 128, 4096},
	{"apple-m3", &i8mm, 128, 4096}, {"apple-m4", &i8mm, 128, 4096}, {"ampere1", &i8mm, 64, 2048}, {"grace", &i8mm, 64, 1024},
}

// Find returns the target of an -mcpu name, or for "native" that of this machine's CPU, as FindHere does. An unknown
// name is an error that lists the known ones.
func Find(name string) (Target, error) {
	if name == "native" {
		return FindHere()
	}
	for _, c := range cpus {
		if c.name == name {
			t := *c.level
			t.Name, t.Family, t.L1, t.L2 = name, family(name), c.l1<<10, c.l2<<10
			return t, nil
		}
	}
	return Target{}, fmt.Errorf("%s is not known: expected native, %s", name, strings.Join(Names(), ", "))
}

// alike are CPUs whose cores are those of another, whose schedules they have.
var alike = map[string]string{"broadwell": "haswell", "raptorlake": "alderlake", "meteorlake": "alderlake", "cooperlake": "cascadelake",
	"icelake-client": "icelake-server", "tigerlake": "icelake-server", "rocketlake": "icelake-server", "emeraldrapids": "sapphirerapids",
	"grace": "neoverse-v2", "apple-m3": "apple-m2", "apple-m4": "apple-m2"}

// family returns whose schedules a CPU has; "" for names of instruction sets, which stand for many.
func family(name string) string {
	if name == v3.Level || name == v4.Level || name == "armv8-a" {
		return ""
	}
	return cmp.Or(alike[name], name)
}

// defaults are lists of targets that serve every CPU of an architecture that pgc compiles for.
var defaults = map[string]string{"amd64": "x86-64-v3,alderlake,znver3,x86-64-v4,cascadelake,znver4,sapphirerapids", "arm64": "armv8-a,neoverse-n1,neoverse-n2"}

// Default is the list for the architecture of this machine.
var Default = defaults[runtime.GOARCH]

// FindAll returns the targets of a list of names with commas between, the best first: of those that a CPU can run, it
// is to run the first. A name given twice counts once; two names that ask the same of a CPU are an error.
func FindAll(list string) ([]Target, error) {
	var all []Target
	for _, name := range strings.Split(list, ",") {
		t, err := Find(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		twice := false
		for _, o := range all {
			twice = twice || o.Name == t.Name
			if o.Arch != t.Arch {
				return nil, fmt.Errorf("%s: %s is %s and %s is %s: expected one kind of processor in an executable", list, o.Name, o.Arch, t.Name, t.Arch)
			}
			if o.Name != t.Name && slices.Equal(o.Features, t.Features) {
				return nil, fmt.Errorf("%s: %s and %s have the same instructions, so that one would never run: expected one of them", list, o.Name, t.Name)
			}
		}
		if !twice {
			all = append(all, t)
		}
	}
	slices.SortStableFunc(all, func(a, b Target) int {
		return cmp.Or(cmp.Compare(b.Lanes, a.Lanes), cmp.Compare(len(b.Features), len(a.Features)))
	})
	return all, nil
}

// best returns the first target of the architecture's default whose features all pass check.
func best(list string, check func(features []string) error) (Target, error) {
	all, err := FindAll(list)
	if err != nil {
		return Target{}, fmt.Errorf("native: %w", err)
	}
	for _, t := range all {
		if err = check(t.Features); err == nil {
			return t, nil
		}
	}
	return Target{}, fmt.Errorf("native: %w; pgc needs AVX2 and FMA, or an arm64 processor", err)
}

// Attrs is the value of llc's -mattr: the features that the runtime checks, and without those that an x86-64 level
// implies and nothing checks. Vectors are as long as the registers, which LLVM would avoid for AVX-512.
func (t Target) Attrs() string {
	var out []string
	for _, f := range t.Features {
		out = append(out, "+"+f)
	}
	if t.Arch == "amd64" {
		out = append(out, "-lzcnt", "-movbe")
	}
	if t.Lanes == 16 {
		out = append(out, "-prefer-256-bit")
	}
	return strings.Join(out, ",")
}

// Scales reports whether memory operands multiply an index by so many bytes.
func (t Target) Scales(bytes int64) bool {
	return t.Arch == "amd64" && slices.Contains([]int64{1, 2, 4, 8}, bytes)
}

// Triple is LLVM's name of the platform.
func (t Target) Triple() string { return Triple(t.Arch) }

// Triple is LLVM's name of Linux on a processor of Go's GOARCH.
func Triple(arch string) string {
	return map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[arch]
}

// Names returns the known -mcpu names, sorted.
func Names() []string {
	var names []string
	for _, c := range cpus {
		names = append(names, c.name)
	}
	sort.Strings(names)
	return names
}
