package commands

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"pgc/internal/e2e"
)

// initLine is a line of GODEBUG=inittrace=1.
var initLine = regexp.MustCompile(`(?m)^init (\S+) @.* clock, (\d+) bytes, \d+ allocs$`)

// TestStartTouchesLittle counts what commands touch that need no model: page faults, and what packages allocate when a
// process starts, whatever its command. Counts do not depend on how busy the machine is.
func TestStartTouchesLittle(t *testing.T) {
	const (
		faults  = 600     // now 410 to 560, the more before checksums are known; with kong 880 to 1,200
		inits   = 130_000 // bytes of all packages, now 118,000, of which metrics are 58,000; with kong and tables of checksums 154,000
		ofOurs  = 4_000   // bytes of a package of this module
		ofOther = 32_000
	)
	exe := e2e.Compiled(t, "pg2-mha")
	for _, args := range [][]string{{"tokenize", "x"}, {"--version"}, {"--help"}, {"info"}} {
		least := int64(1 << 40)
		for range 5 {
			cmd := exec.Command(exe, args...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%q: %v, %s", args, err, out)
			}
			least = min(least, cmd.ProcessState.SysUsage().(*syscall.Rusage).Minflt)
		}
		t.Logf("%q: %d page faults", args, least)
		if os.Getpagesize() == 4096 && least > faults {
			t.Errorf("%q: %d page faults, expected at most %d", args, least, faults)
		}
	}
	cmd := exec.Command(exe, "tokenize", "x")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	sum, lines := 0, initLine.FindAllStringSubmatch(stderr.String(), -1)
	for _, l := range lines {
		n, err := strconv.Atoi(l[2])
		if err != nil {
			t.Fatal(err)
		}
		most := ofOther
		if strings.HasPrefix(l[1], "pgc/") {
			most = ofOurs
		}
		if n > most {
			t.Errorf("package %s allocates %d bytes when a process starts, expected at most %d", l[1], n, most)
		}
		sum += n
	}
	t.Logf("%d packages allocate %d bytes", len(lines), sum)
	if len(lines) < 20 || sum > inits {
		t.Errorf("%d packages allocate %d bytes when a process starts, expected at most %d", len(lines), sum, inits)
	}
}
