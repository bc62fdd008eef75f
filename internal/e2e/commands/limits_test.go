package commands

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgc/golden"
	"pgc/internal/e2e"
)

// TestThreads lowers the number of threads that a user may have (ulimit -u): an executable answers, or says in one line
// that it lacks threads, or Go's runtime, which needs some before it, says so.
func TestThreads(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the limit counts all threads of a user; only root can be another one")
	}
	exe := copyTo(t, e2e.Compiled(t, "pg2-mha"), nil)
	picture := copyTo(t, golden.Picture("noise.png"), nil)
	ours, answered := 0, 0
	for n := 1; n <= 40; n++ {
		var stderr bytes.Buffer
		cmd := exec.Command("sh", "-c", fmt.Sprintf(`ulimit -p %d 2>/dev/null || ulimit -u %d; exec "$@"`, n, n), "sh", exe, "generate", "--image", picture, "--prompt", "", "--max-new-tokens", "1", "--threads", "4")
		cmd.Stderr, cmd.Env = &stderr, []string{"HOME="}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 61_235, Gid: 61_235}}
		cmd.Run()
		text := stderr.String()
		switch code := cmd.ProcessState.ExitCode(); {
		case code == 0:
			answered++
		case code == 1 && strings.Count(text, "\n") == 1 && strings.Contains(text, "cannot start a thread (ulimit -u)"):
			ours++
		case code == 2 && strings.Contains(text, "runtime: failed to create new OS thread") && answered == 0:
		default:
			t.Errorf("with %d threads: status %d, %.300q", n, code, text)
		}
	}
	if ours == 0 || answered == 0 {
		t.Errorf("%d of 40 limits give an answer and %d our sentence, expected some of both", answered, ours)
	}
}

// copyTo copies a file to where other users may run it, changed by change.
func copyTo(t *testing.T, from string, change func([]byte) []byte) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgc-limits-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		data = change(data)
	}
	path := filepath.Join(dir, filepath.Base(from))
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, data, 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCutRuntime: a file that ends within its runtime, or whose ELF header is damaged, gives no answer: the kernel does
// not start it, or ends it.
func TestCutRuntime(t *testing.T) {
	whole := e2e.Compiled(t, "pg2-mha")
	f, err := elf.Open(whole)
	if err != nil {
		t.Fatal(err)
	}
	end := 0
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			end = max(end, int(p.Off+p.Filesz))
		}
	}
	f.Close()
	changes := map[string]func([]byte) []byte{
		"no magic":   func(b []byte) []byte { b[1] ^= 1; return b },
		"no machine": func(b []byte) []byte { b[18] ^= 0x7f; return b },
		"no entry":   func(b []byte) []byte { clear(b[24:32]); return b },
	}
	for i := range 12 {
		n := 1 + i*(end-1)/12
		changes[fmt.Sprintf("the first %d bytes", n)] = func(b []byte) []byte { return b[:n] }
	}
	for name, change := range changes {
		var stdout bytes.Buffer
		cmd := exec.Command(copyTo(t, whole, change), "info")
		cmd.Stdout = &stdout
		err := cmd.Run()
		if err == nil || stdout.Len() > 0 {
			t.Errorf("%s: %v, it prints %q", name, err, stdout.String())
		}
	}
}

// TestProxyIsQuoted: what a proxy answers commands no terminal.
func TestProxyIsQuoted(t *testing.T) {
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	go func() {
		for {
			c, err := proxy.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 4096))
			c.Write([]byte("HTTP/1.1 502 \x1b]0;title\a\x1b[31mno\u202e\r\nContent-Length: 0\r\n\r\n"))
			c.Close()
		}
	}()
	for _, url := range []string{"http://203.0.113.1/a.png", "https://203.0.113.1/a.png"} {
		var stderr bytes.Buffer
		cmd := exec.Command(e2e.Compiled(t, "pg2-mha"), "generate", "--image", url, "--prompt", "x")
		cmd.Stderr, cmd.Env = &stderr, append(os.Environ(), "http_proxy=http://"+proxy.Addr().String(), "https_proxy=http://"+proxy.Addr().String(), "no_proxy=")
		cmd.Run()
		text := stderr.String()
		if cmd.ProcessState.ExitCode() != 1 || strings.Count(text, "\n") != 1 || strings.ContainsAny(text, "\x1b\a\u202e") || !strings.Contains(text, " answered ") {
			t.Errorf("%s: %v, it says %q", url, cmd.ProcessState, text)
		}
	}
}
