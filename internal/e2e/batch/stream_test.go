package batch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pgc/golden"
	"pgc/internal/e2e"
)

// TestBatchStreams: requests are answered while the input stays open; one that is none ends batch behind the answers of
// those before it.
func TestBatchStreams(t *testing.T) {
	exe := e2e.Compiled(t, "pg2-mha")
	good := func(id int) string {
		return fmt.Sprintf(`{"id":%d,"images":[%q],"prompt":"","max_new_tokens":2}`+"\n", id, golden.Picture("noise.png"))
	}
	for _, c := range []struct{ last, want string }{
		{"", ""},
		{"{\n", "standard input: line 4: expected a request"},
		{good(2), "standard input: line 4: id is 2, as in line 2, expected another"},
	} {
		cmd := exec.Command(exe, "batch", "--input", "-", "--output", "-")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		late := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		lines := bufio.NewReader(stdout)
		for id := 1; id <= 3; id++ {
			io.WriteString(stdin, good(id))
			line, err := lines.ReadBytes('\n')
			if err != nil {
				t.Fatalf("request %d: %v, %s", id, err, stderr.String())
			}
			if got := e2e.Replies(t, line); string(got[0].ID) != fmt.Sprint(id) || len(got[0].Tokens) == 0 {
				t.Errorf("request %d is answered %s", id, line)
			}
		}
		io.WriteString(stdin, c.last)
		stdin.Close()
		rest, _ := io.ReadAll(lines)
		err = cmd.Wait()
		late.Stop()
		said := e2e.Unwarned(stderr.String())
		if len(rest) > 0 || !strings.Contains(said, c.want) || (err == nil) != (c.want == "") || strings.Count(said, "\n") > 1 {
			t.Errorf("%q: %v, %q, then %q, expected %q", c.last, err, rest, said, c.want)
		}
	}
}

// TestBatchEndless: an input or an output without an end is an error, not a process that grows until it is killed.
func TestBatchEndless(t *testing.T) {
	exe := e2e.Compiled(t, "pg2-mha")
	in := t.TempDir() + "/in.jsonl"
	if err := os.WriteFile(in, fmt.Appendf(nil, `{"images":[%q],"prompt":"","max_new_tokens":2}`, golden.Picture("noise.png")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ in, out, want string }{
		{"/dev/zero", "-", "/dev/zero: line 1: it begins with \"\\x00\", expected a request, one JSON object\n"},
		{in, "/dev/full", "/dev/full: no space left on device"},
	} {
		code, _, stderr := e2e.Status(exe, "batch", "--input", c.in, "--output", c.out)
		if code != 1 || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s to %s: status %d, %q, expected %q", c.in, c.out, code, stderr, c.want)
		}
	}
	// In a limited address space the line ends where no longer one fits.
	for limit, want := range map[string]string{"unlimited": "line 1: it is longer than 256 MiB, expected a request", "2000000": "line 1: "} {
		cmd := exec.Command("sh", "-c", `{ printf '{"images": "'; cat /dev/zero; } | { ulimit -v `+limit+"; exec "+exe+" batch --input - --output -; }")
		got, err := cmd.CombinedOutput()
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 || bytes.Count(got, []byte("\n")) != 1 || !bytes.Contains(got, []byte(want)) {
			t.Errorf("ulimit -v %s: %v, %.300q", limit, err, got)
		}
	}
}
