package build

import (
	"bytes"
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"pgc/runtime/detect"
)

// leastRuntime is the value of Options.Runtime for the runtime that leaves out what small machines seldom need (package
// parts).
const leastRuntime = "least"

// checkRuntime says what the least runtime cannot be for.
func (o Options) checkRuntime() error {
	switch {
	case o.Runtime == "" || o.Runtime == "full":
		return nil
	case o.Runtime != leastRuntime:
		return optionError("Runtime", "%.80q is not known: expected full or least", o.Runtime)
	case o.onGPU():
		return optionError("Runtime", "least is not possible for %s: it knows no GPU, expected full", o.Target)
	}
	for _, task := range o.Frozen.Task {
		if name, _, _ := detect.Cut(strings.TrimSpace(task)); name == detect.Segment {
			return optionError("Runtime", "least is not possible with the task %.80q: it does not segment, expected full", task)
		}
	}
	return nil
}

// runtimeNames returns the names of the runtimes' ELF files that a file for the targets needs, for the architecture of
// the first CPU: that which it begins with, and then the one for GPUs if it is another.
func (o Options) runtimeNames() ([]string, error) {
	if err := cmp.Or(o.checkTarget(), o.checkRuntime()); err != nil {
		return nil, err
	}
	targets, err := Targets(o.CPU)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, kind := range targetKinds[o.Target] {
		prefix := kinds[kind].runtime
		if o.Runtime == leastRuntime { // which is for processors alone
			prefix += "least-"
		}
		names = append(names, prefix+targets[0].Arch)
	}
	return names, nil
}

// WithRuntimes finds the runtimes that a file needs by their names, unless they are given: it returns the one that the
// file begins with, first, and puts the other into the options.
func (o *Options) WithRuntimes(first []byte, find func(name string) ([]byte, error)) ([]byte, error) {
	names, err := o.runtimeNames()
	if err == nil && first == nil {
		first, err = find(names[0])
	}
	if err != nil {
		return nil, err
	}
	if len(names) > 1 && o.GPURuntime == nil {
		o.GPURuntime, err = find(names[1])
	}
	return first, err
}

// FindRuntime returns a runtime's ELF file: the file beside this program, in bin/ of the working directory, or on the
// PATH.
func FindRuntime(name string) ([]byte, error) {
	var paths []string
	if self, err := os.Executable(); err == nil {
		paths = append(paths, filepath.Join(filepath.Dir(self), name))
	}
	paths = append(paths, filepath.Join("bin", name))
	if path, err := exec.LookPath(name); err == nil {
		paths = append(paths, path)
	}
	for _, path := range paths {
		elf, err := os.ReadFile(path)
		if !errors.Is(err, fs.ErrNotExist) {
			return elf, err
		}
	}
	return nil, fmt.Errorf("the runtime %s is neither beside this program nor in bin/ nor on the PATH: build it with make build", name)
}

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// CheckRuntime says why runtime cannot begin an executable for the targets: it is no ELF file, or one for another
// architecture.
func CheckRuntime(runtime []byte, cpus string) error {
	targets, err := Targets(cpus)
	if err != nil {
		return err
	}
	f, err := elf.NewFile(bytes.NewReader(runtime))
	if err != nil {
		return fmt.Errorf("the runtime, %d bytes, is no ELF file, expected cmd/pgcrt built for linux/%s: %w", len(runtime), targets[0].Arch, err)
	}
	if want := machines[targets[0].Arch]; f.Machine != want {
		return fmt.Errorf("the runtime is an ELF file for %v, expected %v as code for %s needs", f.Machine, want, targets[0].Name)
	}
	return nil
}
