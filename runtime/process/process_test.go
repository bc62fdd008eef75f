package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pgc/runtime/fault"
)

// programs are what the test executable runs under another name.
var programs = map[string]func(ctx context.Context) error{
	"obeys": func(ctx context.Context) error {
		fmt.Println("ready")
		<-ctx.Done()
		return fmt.Errorf("waiting: %w", ctx.Err())
	},
	"blocks": func(ctx context.Context) error {
		dir, _, err := TempDir("blocks-")
		fmt.Println("ready", dir)
		if err != nil {
			return err
		}
		select {}
	},
	"computes": func(ctx context.Context) error {
		fmt.Println("ready")
		for i := 0; ; i++ {
			if i < 0 {
				return nil
			}
		}
	},
	"fills": func(ctx context.Context) error { // both of its outputs
		fmt.Println("ready")
		for {
			os.Stderr.WriteString(strings.Repeat("x", 1000))
		}
	},
	"cut": func(ctx context.Context) error {
		f, err := os.CreateTemp("", "cut-")
		if err != nil {
			return err
		}
		os.Remove(f.Name())
		b, err := unix.Mmap(int(f.Fd()), 0, 1<<16, unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return err
		}
		return fmt.Errorf("byte %d", b[5])
	},
	"limited": func(context.Context) error { return CheckLimits() },
	"":        func(context.Context) error { return fmt.Errorf("%s: %q", Name(), Args()) },
}

func TestMain(m *testing.M) {
	work := programs[strings.TrimPrefix(os.Args[0], filepath.Dir(os.Args[0])+"/")]
	if work == nil {
		os.Exit(m.Run())
	}
	os.Exit(Run(work, func(err error) int {
		if errors.Is(err, context.Canceled) {
			err = errors.New("interrupted")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}))
}

// program starts one of programs and waits until it is ready.
func program(t *testing.T, name string) (cmd *exec.Cmd, said string, stderr *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd, stderr = exec.Command(self), new(bytes.Buffer)
	cmd.Args = []string{name}
	if name == "fills" {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(); w.Close() })
		cmd.Stderr = w
	} else {
		cmd.Stderr = stderr
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	line := make([]byte, 200)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(string(line[:n])), stderr
}

// TestSignals: whatever a program does, INT and TERM end it within a second, with its line where that can be read.
func TestSignals(t *testing.T) {
	for name := range programs {
		if name == "cut" || name == "limited" || name == "" {
			continue
		}
		for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
			cmd, said, stderr := program(t, name)
			time.Sleep(20 * time.Millisecond)
			start := time.Now()
			cmd.Process.Signal(sig)
			err := cmd.Wait()
			took := time.Since(start)
			if cmd.ProcessState.ExitCode() != 1 || took > 10*time.Second { // these programs have no end of their own; the machine may be busy
				t.Errorf("%s, %v: %v after %v, expected status 1 within a second", name, sig, err, took)
			}
			if name != "fills" && stderr.String() != "interrupted\n" {
				t.Errorf("%s, %v: it says %q, expected interrupted", name, sig, stderr)
			}
			if dir, ok := strings.CutPrefix(said, "ready "); ok {
				if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
					os.Remove(dir)
					t.Errorf("%s, %v: %s is left behind", name, sig, dir)
				}
			}
		}
	}
}

// TestSecondSignal: the second signal does not wait for anything.
func TestSecondSignal(t *testing.T) {
	cmd, said, stderr := program(t, "blocks")
	defer os.Remove(strings.TrimPrefix(said, "ready "))
	time.Sleep(20 * time.Millisecond)
	cmd.Process.Signal(syscall.SIGINT)
	time.Sleep(2 * echo)
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
	if cmd.ProcessState.ExitCode() != 1 || stderr.Len() > 0 {
		t.Errorf("%v, it says %q, expected status 1 and nothing", cmd.ProcessState, stderr)
	}
}

// TestCut reads memory behind the end of its file.
func TestCut(t *testing.T) {
	self, _ := os.Executable()
	cmd := exec.Command(self)
	cmd.Args = []string{"cut"}
	got, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || string(got) != fault.ErrCut.Error()+"\n" {
		t.Errorf("%v, it says %q, expected a sentence", err, got)
	}
}

// TestNoName starts a program without a name.
func TestNoName(t *testing.T) {
	self, _ := os.Executable()
	cmd := exec.Command(self)
	cmd.Args = []string{"", "a\xff"}
	got, _ := cmd.CombinedOutput()
	if want := filepath.Base(self) + ": [\"a\\xff\"]\n"; string(got) != want {
		t.Errorf("it says %q, expected %q", got, want)
	}
}

// TestLimits lowers limits until programs do not run, and expects a sentence.
func TestLimits(t *testing.T) {
	self, _ := os.Executable()
	link := filepath.Join(t.TempDir(), "limited")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{
		"ulimit -n 8":  "(ulimit -n): too many open files",
		"ulimit -v KB": "(ulimit -v): cannot allocate memory",
		"true":         "",
	} {
		var got []byte
		var err error
		for kb := 700_000; ; kb += 10_000 { // what Go's runtime itself takes differs from run to run
			cmd := exec.Command("sh", "-c", strings.Replace(command, "KB", fmt.Sprint(kb), 1)+" && exec "+link)
			if got, err = cmd.CombinedOutput(); !bytes.Contains(got, []byte("fatal error: ")) || kb > 1_500_000 {
				break
			}
		}
		if strings.TrimSuffix(string(got), "\n") != "" != (want != "") || !strings.Contains(string(got), want) || strings.Count(string(got), "\n") > 1 || (err == nil) != (want == "") {
			t.Errorf("%s: %v, it says %q, expected a line with %q", command, err, got, want)
		}
	}
}
