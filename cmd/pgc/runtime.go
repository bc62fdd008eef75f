package main

import (
	"compress/gzip"
	"fmt"
	"io"

	"pgc/internal/build"
)

// runtimeFor returns the runtime's ELF file for the architecture of the targets: the embedded one, or else the one that
// is found.
func runtimeFor(cpus string) ([]byte, error) {
	name, err := build.RuntimeName(cpus)
	if err != nil {
		return nil, err
	}
	f, err := embedded.Open(name + ".gz")
	if err != nil {
		return build.FindRuntime(cpus)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("the runtime %s is damaged: %w", name, err)
	}
	return io.ReadAll(z)
}
