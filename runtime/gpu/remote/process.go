package remote

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"pgc/runtime/gpu"
)

// Variable is set in the environment of a runtime for GPUs that is to serve its driver.
const Variable = "PGC_SERVE_GPU"

// Process is a driver in a process of its own.
type Process struct {
	gpu.Driver
	command *exec.Cmd
	in      io.Closer
}

// Start runs the runtime for GPUs, the ELF file image, from a file in a folder of temporary files.
func Start(image []byte, dir string) (*Process, error) {
	path := filepath.Join(dir, "gpu-runtime")
	if err := os.WriteFile(path, image, 0o700); err != nil {
		return nil, err
	}
	p := &Process{command: exec.Command(path)}
	p.command.Env, p.command.Stderr = append(os.Environ(), Variable+"=1"), os.Stderr
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := p.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, errors.New("the runtime for GPUs needs the system's dynamic loader and glibc, which are not here")
		}
		return nil, fmt.Errorf("the runtime for GPUs does not start: %w", err)
	}
	p.in, p.Driver = in, Driver(out, in)
	return p, nil
}

// Close ends the process.
func (p *Process) Close() error {
	p.in.Close()
	return p.command.Wait()
}
