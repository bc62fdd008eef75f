package engine

import (
	"context"
	"errors"
	"slices"

	"pgc/runtime/program"
)

// GPUs runs programs of kind PTX. Package runtime/gpu makes it of a driver; a runtime without one has no code for it.
type GPUs interface {
	// Find returns the number of a GPU that runs programs, the one that is asked for or for -1 the first, and describes it.
	Find(number int) (found int, description string, err error)
	// Load loads a program, its text and its weights section, onto a GPU. When ctx ends before that is done, Load returns
	// ctx's error.
	Load(ctx context.Context, p *program.Program, text, weights []byte, number int, o LoadOptions) (Executor, error)
}

// LoadOptions are the settings of Load.
type LoadOptions struct {
	Cache    string                               // a folder that keeps compiled code; "" is none
	Progress func(what string, done, total int64) // is told of what is compiled and loaded, unless nil
}

// OpenGPU prepares the program of an executable for GPUs, on one of them, and describes that. The executable must stay
// open until the engine is closed.
func OpenGPU(ctx context.Context, image *program.Executable, gpus GPUs, o LoadOptions) (e *Engine, description string, err error) {
	at := slices.IndexFunc(image.Programs, func(p *program.Program) bool { return p.Target.Kind == program.PTX })
	if at < 0 {
		return nil, "", errors.New("it has no code for GPUs: compile it with --target cuda or cpu,cuda")
	}
	number, description, err := gpus.Find(-1)
	if err != nil {
		return nil, "", err
	}
	p := image.Programs[at]
	text, err := image.Code(p)
	if err != nil {
		return nil, "", err
	}
	x, err := gpus.Load(ctx, p, text, image.Weights, number, o)
	if err != nil {
		return nil, "", err
	}
	return On(x, p, 1), description, nil
}

// GPUMemory is the memory that a program takes on a GPU, by purpose, in bytes.
type GPUMemory struct {
	Weights int64 `json:"weights_bytes"`
	KV      int64 `json:"kv_bytes"`      // of the batch slots, and what functions hand on to each other
	Arena   int64 `json:"arena_bytes"`   // activations, inputs and outputs
	Staging int64 `json:"staging_bytes"` // while the weights are loaded, before all others but the weights
}

// Total returns what is needed at the same time.
func (m GPUMemory) Total() int64 { return m.Weights + max(m.Staging, m.KV+m.Arena) }

// GPUNeeds returns the memory of a program with so many batch slots.
func GPUNeeds(p *program.Program, slots int) GPUMemory {
	m := GPUMemory{Weights: p.DeviceBytes}
	for _, s := range p.States {
		if s.PerSlot {
			m.KV += s.Bytes * int64(slots)
		} else {
			m.KV += s.Bytes
		}
	}
	bounds := p.Maxima()
	for i := range p.Funcs {
		m.Arena = max(m.Arena, p.Funcs[i].ArenaBytes)
	}
	for i := range p.Funcs {
		for _, ports := range [][]program.Port{p.Funcs[i].Inputs, p.Funcs[i].Outputs} {
			for j := range ports {
				m.Arena += ports[j].Bytes(bounds)
			}
		}
	}
	for _, l := range p.Loads {
		if len(l.Launches) > 0 {
			m.Staging = max(m.Staging, l.Bytes)
		}
	}
	return m
}
