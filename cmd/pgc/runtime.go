package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"pgc/ir/target"
)

// runtimeFor returns the runtime's ELF file for the architecture of the targets: the one built in, or the one beside this program.
func runtimeFor(cpus string) ([]byte, error) {
	targets, err := target.FindAll(cpus)
	if err != nil {
		return nil, err
	}
	name := "pgcrt-" + targets[0].Arch
	if f, err := embedded.Open(name + ".gz"); err == nil {
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, fmt.Errorf("the runtime %s is damaged: %w", name, err)
		}
		return io.ReadAll(z)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(filepath.Dir(self), name)
	rt, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the runtime %s is missing: build pgc with make build", path)
	}
	return rt, err
}
