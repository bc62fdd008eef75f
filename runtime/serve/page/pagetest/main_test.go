package pagetest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

var (
	fileFlag = flag.String("file", "", "the executable of the demo checkpoint")
	kinds    = flag.String("kinds", "", "a folder with executables of other kinds: masks, pages, frozen")
	axeFlag  = flag.String("axe", "", "axe.min.js of axe-core")
	outFlag  = flag.String("out", "", "a folder for screenshots")
	pictures = flag.String("pictures", "", "the folder of the demo's pictures")
)

// browser is the context of one browser, in which every test has tabs of its own.
var browser context.Context

// demo is the address of the served demo.
var demo string

func TestMain(m *testing.M) {
	flag.Parse()
	status, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "test-page:", err)
		status = 1
	}
	os.Exit(status)
}

// run serves the demo, starts a browser and runs the tests.
func run(m *testing.M) (status int, err error) {
	if *fileFlag == "" || *kinds == "" || *axeFlag == "" || *outFlag == "" || *pictures == "" {
		return 1, errors.New("flags are missing, expected -file, -kinds, -axe, -out and -pictures: make test-page gives them")
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return 1, errors.New("chromium is not installed: apt-get install chromium")
	}
	server, err := serve(*fileFlag)
	if err != nil {
		return 1, err
	}
	demo = server.address
	defer server.stop()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.Flag("force-color-profile", "srgb"),
		chromedp.DisableGPU, chromedp.NoSandbox) // which containers and root lack; the page is our own
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	defer cancel()
	browser, cancel = chromedp.NewContext(allocator)
	defer cancel()
	if err := chromedp.Do(browser); err != nil {
		return 1, fmt.Errorf("chromium does not start: %w", err)
	}
	return m.Run(), nil
}

// process is a served executable.
type process struct {
	address string
	cmd     *exec.Cmd
	ended   chan error
}

// serve starts an executable on a free port and waits until it is ready.
func serve(file string, args ...string) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p := &process{address: "http://" + port, ended: make(chan error, 1)}
	p.cmd = exec.Command(file, append([]string{"serve", "--addr", port}, args...)...)
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.ended <- p.cmd.Wait() }()
	for {
		r, err := http.Get(p.address + "/ready")
		if err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return p, nil
			}
		}
		select {
		case err := <-p.ended:
			return nil, fmt.Errorf("%s serve ends before it is ready: %v", file, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *process) stop() {
	p.cmd.Process.Kill()
	<-p.ended
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// picture returns the path of one of the demo's pictures.
func picture(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(*pictures, name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}
