package build

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// RuntimeName returns the name of the runtime's ELF file for the architecture of the targets.
func RuntimeName(cpus string) (string, error) {
	targets, err := Targets(cpus)
	if err != nil {
		return "", err
	}
	return "pgcrt-" + targets[0].Arch, nil
}

// FindRuntime returns the runtime's ELF file for the architecture of the targets: the file beside this program, in bin/
// of the working directory, or on the PATH.
func FindRuntime(cpus string) ([]byte, error) {
	name, err := RuntimeName(cpus)
	if err != nil {
		return nil, err
	}
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
