package target

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgc/runtime/cpufeature"
)

func TestFindEveryName(t *testing.T) {
	for _, name := range Names() {
		c, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if c.Name != name || c.Lanes*c.Regs*4 != map[string]int{"x86-64-v3": 512, "x86-64-v4": 2048, "generic": 512}[c.Level] || c.Triple() == "" ||
			c.L1 < 32<<10 || c.L2 < 128<<10 || !slices.IsSorted(c.Features) {
			t.Errorf("%s: %+v", name, c)
		}
		if avx512 := slices.Contains(c.Features, "avx512f"); avx512 != (c.Lanes == 16) {
			t.Errorf("%s has %d lanes, AVX-512 %v", name, c.Lanes, avx512)
		}
		for _, f := range []string{"avx512vnni", "avxvnni", "avx512bf16", "amx-int8"} {
			if has := slices.Contains(c.Features, f); has != c.Has(f) || c.Has(f, "none") != has {
				t.Errorf("%s: Has(%s) is %v, its features are %v", name, f, c.Has(f), c.Features)
			}
		}
		for _, f := range c.Features {
			if !slices.Contains(cpufeature.Names(c.Arch), f) {
				t.Errorf("%s needs %s, which the runtime cannot check", name, f)
			}
		}
	}
	if !slices.IsSorted(Names()) {
		t.Errorf("names are not sorted: %v", Names())
	}
}

func TestUnknownNameListsTheKnown(t *testing.T) {
	_, err := Find("pentium")
	if err == nil || !strings.Contains(err.Error(), "pentium is not known: expected native, alderlake, ") {
		t.Fatalf("got %v", err)
	}
}

func TestListsAreOrdered(t *testing.T) {
	names := func(list string) string {
		all, err := FindAll(list)
		if err != nil {
			t.Errorf("%s: %v", list, err)
		}
		var out []string
		for _, c := range all {
			out = append(out, c.Name)
		}
		return strings.Join(out, " ")
	}
	for list, want := range map[string]string{"x86-64-v3": "x86-64-v3", "haswell, znver5,haswell": "znver5 haswell", defaults["amd64"]: "sapphirerapids znver4 cascadelake x86-64-v4 alderlake znver3 x86-64-v3", "armv8-a,apple-m1": "apple-m1 armv8-a", defaults["arm64"]: "neoverse-n2 neoverse-n1 armv8-a"} {
		if got := names(list); got != want {
			t.Errorf("%s: got %s, expected %s", list, got, want)
		}
	}
	for list, want := range map[string]string{"znver3,znver2": "znver3 and znver2 have the same instructions", "znver3,neoverse-n1": "znver3 is amd64 and neoverse-n1 is arm64", "znver3,": " is not known", "": "not known"} {
		if _, err := FindAll(list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, expected %s", list, err, want)
		}
	}
}

func TestNativeIsTheHighestLevel(t *testing.T) {
	for _, test := range []struct {
		missing []string
		want    string
	}{{nil, "sapphirerapids"}, {[]string{"amx-tile"}, "znver4"}, {[]string{"amx-tile", "sse4a"}, "cascadelake"},
		{[]string{"amx-tile", "avx512bf16", "avx512vnni"}, "x86-64-v4"}, {[]string{"avx512vl"}, "alderlake"},
		{[]string{"avx512vl", "avxvnni"}, "znver3"}, {[]string{"avx512vl", "avxvnni", "clzero"}, "x86-64-v3"}} {
		got, err := best(defaults["amd64"], lacks(test.missing...))
		if err != nil || got.Name != test.want {
			t.Errorf("without %v: got %s, %v, expected %s", test.missing, got.Name, err, test.want)
		}
	}
	if _, err := best(defaults["amd64"], lacks("fma")); err == nil || !strings.Contains(err.Error(), "lacks fma; pgc needs AVX2 and FMA") {
		t.Errorf("without FMA: got %v", err)
	}
	if got, err := Find("native"); err == nil && cpufeature.Check(got.Features) != nil {
		t.Errorf("native is %s, which this CPU cannot run", got.Name)
	}
}

// TestEqualCode says which targets have the same code where products of some kinds do not occur.
func TestEqualCode(t *testing.T) {
	for _, c := range []struct {
		a, b           string
		bf16, integers bool
		want           bool
	}{
		{"sapphirerapids", "cascadelake", false, false, true}, {"sapphirerapids", "x86-64-v4", false, false, true},
		{"sapphirerapids", "cascadelake", false, true, false}, {"sapphirerapids", "x86-64-v4", true, false, false},
		{"znver4", "cascadelake", false, true, true}, {"znver4", "cascadelake", true, true, false}, {"cascadelake", "x86-64-v4", true, false, true},
		{"alderlake", "x86-64-v3", true, false, true}, {"x86-64-v4", "x86-64-v3", false, false, false},
	} {
		a, err := Find(c.a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Find(c.b)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Equal(b, c.bf16, c.integers); got != c.want {
			t.Errorf("%s and %s, bf16 %v, integers %v: %v", c.a, c.b, c.bf16, c.integers, got)
		}
	}
}

func TestEveryArchitectureHasADefault(t *testing.T) {
	for arch, list := range defaults {
		all, err := FindAll(list)
		if err != nil || len(all) < 2 || all[0].Arch != arch || Triple(arch) == "" {
			t.Errorf("%s: %v, %v", arch, all, err)
		}
	}
}

func TestAttrsNameWhatIsChecked(t *testing.T) {
	c, err := Find("znver5")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"+avx512vl", "+f16c", "-movbe", "-lzcnt", "-prefer-256-bit"} {
		if !slices.Contains(strings.Split(c.Attrs(), ","), want) {
			t.Errorf("%s is not in %s", want, c.Attrs())
		}
	}
}

// lacks checks features as a CPU without some would.
func lacks(missing ...string) func([]string) error {
	return func(features []string) error {
		for _, f := range features {
			if slices.Contains(missing, f) {
				return errors.New("this CPU lacks " + f)
			}
		}
		return nil
	}
}
