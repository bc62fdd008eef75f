package cpufeature

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestCoresAreDecoded(t *testing.T) {
	for _, c := range []struct{ got, want Core }{
		{ofCPUID(0x68747541, 0x444d4163, 0x69746e65, 0x00a00f11), Core{"AuthenticAMD", 25, 1}},
		{ofCPUID(0x756e6547, 0x6c65746e, 0x49656e69, 0x000c06f2), Core{"GenuineIntel", 6, 0xcf}},
	} {
		if c.got != c.want {
			t.Errorf("got %+v, expected %+v", c.got, c.want)
		}
	}
}

// The kernel's own words on this CPU agree.
func TestThisCoreIsTheKernels(t *testing.T) {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil || runtime.GOARCH != "amd64" || !strings.Contains(string(info), "vendor_id") {
		t.Skipf("no vendor_id in /proc/cpuinfo: %v", err)
	}
	c := ThisCore()
	for _, want := range []string{"vendor_id\t: " + c.Vendor + "\n", fmt.Sprintf("cpu family\t: %d\n", c.Family), fmt.Sprintf("model\t\t: %d\n", c.Model)} {
		if !strings.Contains(string(info), want) {
			t.Errorf("/proc/cpuinfo lacks %q", want)
		}
	}
}
