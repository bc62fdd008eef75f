package cpufeature

import (
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestMissingFeaturesAreNamed(t *testing.T) {
	has := map[string]bool{"avx": true, "fma": false, "avx2": true}
	for _, c := range []struct {
		want       string
		features   []string
		hypervised bool
	}{
		{"", []string{"avx", "avx2"}, true},
		{"this CPU lacks fma, mill", []string{"fma", "avx", "mill"}, false},
		{"this CPU lacks fma, or its hypervisor hides that", []string{"avx", "fma"}, true},
		{"this CPU lacks mill", []string{"mill"}, true},
	} {
		got := ""
		if err := check(c.features, has, c.hypervised); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v: %q, expected %q", c.features, got, c.want)
		}
	}
	if Check([]string{"mill"}) == nil {
		t.Error("an unknown feature is taken for present")
	}
}

// The kernel's own list of flags agrees with what the package says of this CPU.
func TestAgreesWithTheKernel(t *testing.T) {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skip("no /proc/cpuinfo: ", err)
	}
	_, rest, ok := strings.Cut(string(info), map[string]string{"amd64": "\nflags", "arm64": "\nFeatures"}[runtime.GOARCH])
	if !ok {
		t.Skip("the kernel's flags are another processor's: this one is emulated")
	}
	line, _, _ := strings.Cut(rest, "\n")
	flags := " " + strings.TrimSpace(strings.TrimLeft(line, "\t :")) + " "
	names := map[string]string{"sse4.2": "sse4_2", "bmi": "bmi1", "neon": "asimd", "dotprod": "asimddp",
		"avx512vnni": "avx512_vnni", "avx512bf16": "avx512_bf16", "avxvnni": "avx_vnni", "amx-tile": "amx_tile", "amx-int8": "amx_int8", "amx-bf16": "amx_bf16"}
	for _, f := range Names(runtime.GOARCH) {
		flag := f
		if n, ok := names[f]; ok {
			flag = n
		}
		if got, want := Check([]string{f}) == nil, strings.Contains(flags, " "+flag+" "); got != want {
			t.Errorf("%s: got %v, the kernel says %v", f, got, want)
		}
	}
}
