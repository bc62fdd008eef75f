package engine

import (
	"context"

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
