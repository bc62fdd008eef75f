package native

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestExitOnFault: native code that reads behind the end of a file ends the process with the text, once however many
// threads do, and status 1, while a goroutine that does still recovers.
func TestExitOnFault(t *testing.T) {
	const child = "PGC_TEST_FAULT"
	if os.Getenv(child) == "" {
		for range 20 {
			cmd := exec.Command(os.Args[0], "-test.run=^TestExitOnFault$")
			cmd.Env = append(os.Environ(), child+"=1", "TMPDIR="+t.TempDir()) // it cannot clean up
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			cmd.Run()
			if cmd.ProcessState == nil {
				t.Skip("the test cannot start itself, as under an emulator")
			}
			if cmd.ProcessState.ExitCode() != 1 || stderr.String() != "exe: the file is cut\n" || stdout.Len() > 0 {
				t.Errorf("%v: it prints %q and %q", cmd.ProcessState, &stdout, &stderr)
			}
		}
		return
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(f.Name())
	b, err := unix.Mmap(int(f.Fd()), 0, pageBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	code, err := LoadCode(doubling)
	if err != nil {
		t.Fatal(err)
	}
	if err := ExitOnFault("exe: the file is cut"); err != nil {
		t.Fatal(err)
	}
	other, err := LoadCode(doubling)
	if err != nil {
		t.Fatal(err)
	}
	explain(code.Bytes())
	explain(other.Bytes()) // of another pool
	func() {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		defer func() {
			if recover() == nil {
				t.Error("a goroutine reads behind the end of a file")
			}
		}()
		b[0]++
	}()
	scratch, err := Reserve(8)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	start := make(chan struct{})
	for range 4 {
		all.Go(func() {
			<-start
			Call(code.Addr(), addr(b), 1, scratch.Addr())
		})
	}
	close(start)
	all.Wait()
	t.Error("native code reads behind the end of a file")
}
