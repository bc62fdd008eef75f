package gpu

import (
	"context"
	"errors"
	"fmt"

	"pgc/runtime/engine"
	"pgc/runtime/program"
)

// The oldest device and driver that programs run on.
const (
	leastMajor  = 8
	leastDriver = 11040 // the first whose compiler reads PTX 7.4
)

// Suits says why a device cannot run programs, or returns nil.
func (i Info) Suits() error {
	if i.Major < leastMajor {
		return fmt.Errorf("%s has compute capability %d.%d, expected %d.0 or later", i.Name, i.Major, i.Minor, leastMajor)
	}
	if i.Driver < leastDriver {
		return fmt.Errorf("the driver of %s is for CUDA %d.%d, expected 11.4 or later: update the NVIDIA driver", i.Name, i.Driver/1000, i.Driver%1000/10)
	}
	return nil
}

// Of returns the GPUs that a driver opens.
func Of(d Driver) engine.GPUs { return system{d} }

// system is a driver's GPUs.
type system struct{ Driver }

// Load implements engine.GPUs.
func (s system) Load(ctx context.Context, p *program.Program, text, weights []byte, number int, o engine.LoadOptions) (engine.Executor, error) {
	d, err := s.Open(number)
	if err != nil {
		return nil, err
	}
	x, err := New(ctx, p, text, weights, d, o)
	if err != nil {
		return nil, err
	}
	return x, nil
}

// Find implements engine.GPUs.
func (s system) Find(number int) (int, string, error) {
	found, info, err := find(s.Driver, number)
	return found, info.String(), err
}

// find returns a device that runs programs, and its number: the one at ordinal, or for a negative one the first. Where
// none does, the error is that of the first.
func find(d Driver, ordinal int) (int, Info, error) {
	all, err := d.Devices()
	if err != nil {
		return 0, Info{}, err
	}
	if len(all) == 0 {
		return 0, Info{}, errors.New("the NVIDIA driver finds no GPU on this machine")
	}
	if ordinal >= len(all) {
		return 0, Info{}, fmt.Errorf("there is no GPU %d: this machine has %d, numbered from 0", ordinal, len(all))
	}
	if ordinal >= 0 {
		return ordinal, all[ordinal], all[ordinal].Suits()
	}
	for i, info := range all {
		if info.Suits() == nil {
			return i, info, nil
		}
	}
	return 0, Info{}, all[0].Suits()
}
