package main

import (
	"compress/gzip"
	"fmt"
	"io"

	"pgc/internal/build"
)

// runtimeOf returns a runtime's ELF file by its name: the embedded one, or else the one that is found.
func runtimeOf(name string) ([]byte, error) {
	f, err := embedded.Open(name + ".gz")
	if err != nil {
		return build.FindRuntime(name)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("the runtime %s is damaged: %w", name, err)
	}
	return io.ReadAll(z)
}
