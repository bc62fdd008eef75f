package app

import (
	"context"
	"fmt"
	"os"
	"slices"

	"golang.org/x/term"

	"pgc"
	"pgc/runtime/engine"
	"pgc/runtime/native"
	"pgc/runtime/program"
)

// machine is what a command may run on.
type machine struct {
	device pgc.Device
	gpus   engine.GPUs // nil for none
}

// options are those of the library.
func (m machine) options() []pgc.Option {
	options := []pgc.Option{pgc.WithDevice(m.device, m.gpus)}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		options = append(options, pgc.WithProgress(progress))
	}
	return options
}

// Host is what a command runs in.
type Host struct {
	GPUs engine.GPUs // nil for none
	self *os.File    // the executable, where another runtime may take this one's place
}

// needsDevice reports whether a command runs the model.
func needsDevice(command string) bool {
	return command != "tokenize" && command != "info" && command != "help" && command != "merge"
}

// visible are device files of which a machine with an NVIDIA GPU has one: on a PC or server, in WSL, on a Jetson.
var visible = []string{"/dev/nvidiactl", "/dev/dxg", "/dev/nvhost-ctrl-gpu", "/dev/nvgpu"}

// handOver makes way for the runtime for GPUs, if the executable has one and a GPU is wished for. Where that is not
// possible, it returns why in GPUs that cannot be found; it is an error where nothing else will do.
func (h Host) handOver(e *pgc.Executable, d pgc.Device) (engine.GPUs, error) {
	image := e.GPURuntime()
	if image == nil || d.IsCPU() {
		return h.GPUs, nil
	}
	seen := func(path string) bool { _, err := os.Stat(path); return err == nil }
	if d.IsAuto() && !slices.ContainsFunc(visible, seen) {
		return absent{fmt.Errorf("no NVIDIA GPU is visible: there is no %s", visible[0])}, nil
	}
	err := native.HandOver(image, h.self)
	if d.IsAuto() {
		return absent{err}, nil
	}
	return nil, err
}

// absent is GPUs that cannot be used, and why.
type absent struct{ err error }

// Find implements engine.GPUs.
func (a absent) Find(int) (int, string, error) { return 0, "", a.err }

// Load implements engine.GPUs.
func (a absent) Load(context.Context, *program.Program, []byte, []byte, int, engine.LoadOptions) (engine.Executor, error) {
	return nil, a.err
}

// progress draws what is loaded onto a GPU, in one line that it removes at the end.
func progress(what string, done, total int64) {
	if done >= total {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
		return
	}
	fmt.Fprintf(os.Stderr, "\r\x1b[Kloading %s: %d %%", what, 100*done/total)
}
