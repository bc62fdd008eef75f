package check

import (
	"errors"
	"fmt"
	"io"

	"pgc/codegen/cpu"
	"pgc/internal/build"
	"pgc/runtime/engine"
	"pgc/runtime/program"
)

// eachVariant runs body for every ISA variant of an executable, or of --cpu for a checkpoint, that this machine
// supports, or for the program for GPUs if there are some. If there are several, it writes a line for each to w.
func eachVariant(w io.Writer, path string, o build.Options, gpus engine.GPUs, body func(variant program.Target) error) error {
	variants, err := variantsOf(path, o)
	if err != nil {
		return err
	}
	var lacks []error
	for _, variant := range variants {
		why := supported(variant, gpus)
		if why != nil {
			lacks = append(lacks, fmt.Errorf("%s is not checked: %w", variant.CPU, why))
			if len(variants) > 1 {
				fmt.Fprintln(w, lacks[len(lacks)-1])
			}
			continue
		}
		if len(variants) > 1 {
			fmt.Fprintf(w, "%s:\n", variant.CPU)
		}
		if err := body(variant); err != nil {
			return err
		}
	}
	if len(lacks) == len(variants) {
		return errors.Join(lacks...)
	}
	return nil
}

// supported says why code for a target is not checked.
func supported(t program.Target, gpus engine.GPUs) error {
	switch {
	case gpus == nil && t.Kind == program.PTX:
		return errors.New("it is code for GPUs, expected --device")
	case gpus != nil && t.Kind != program.PTX:
		return errors.New("it is no code for GPUs")
	case gpus != nil:
		return nil
	}
	return engine.CheckSupport(t)
}

func variantsOf(path string, o build.Options) (variants []program.Target, err error) {
	if !IsExecutable(path) {
		targets, err := build.Targets(o.CPU)
		for _, t := range targets {
			variants = append(variants, cpu.Backend(t).Target)
		}
		return variants, err
	}
	image, err := program.OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	for _, p := range image.Programs {
		variants = append(variants, p.Target)
	}
	return variants, nil
}
