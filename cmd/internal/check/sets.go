package check

import (
	"errors"
	"fmt"
	"io"

	"pgc/codegen/cpu"
	"pgc/internal/build"
	"pgc/ir/target"
	"pgc/runtime/engine"
	"pgc/runtime/program"
)

// eachSet runs body for every ISA variant of an executable, or of --cpu for a checkpoint, that this machine supports.
// If there are several, it writes a line for each to w.
func eachSet(w io.Writer, path string, o build.Options, body func(set program.Target) error) error {
	sets, err := setsOf(path, o)
	if err != nil {
		return err
	}
	var lacks []error
	for _, set := range sets {
		why := engine.Lacks(set)
		if why != nil {
			lacks = append(lacks, fmt.Errorf("%s is not checked: %w", set.CPU, why))
			if len(sets) > 1 {
				fmt.Fprintln(w, lacks[len(lacks)-1])
			}
			continue
		}
		if len(sets) > 1 {
			fmt.Fprintf(w, "%s:\n", set.CPU)
		}
		if err := body(set); err != nil {
			return err
		}
	}
	if len(lacks) == len(sets) {
		return errors.Join(lacks...)
	}
	return nil
}

func setsOf(path string, o build.Options) (sets []program.Target, err error) {
	if !IsExecutable(path) {
		targets, err := target.FindAll(o.CPU)
		for _, t := range targets {
			sets = append(sets, cpu.Backend(t).Target)
		}
		return sets, err
	}
	image, err := program.OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	for _, p := range image.Programs {
		sets = append(sets, p.Target)
	}
	return sets, nil
}
