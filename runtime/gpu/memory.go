package gpu

import (
	"fmt"

	"pgc/runtime/program"
)

// Memory is the memory that a program takes on a device, by purpose, in bytes.
type Memory struct {
	Weights int64 `json:"weights_bytes"`
	KV      int64 `json:"kv_bytes"`      // of the batch slots there are
	Arena   int64 `json:"arena_bytes"`   // activations, inputs and outputs
	Staging int64 `json:"staging_bytes"` // while the weights are loaded, before the others but the weights are needed
}

// Total returns what is needed at the same time.
func (m Memory) Total() int64 { return m.Weights + max(m.Staging, m.KV+m.Arena) }

// Needs returns the memory of a program with so many batch slots.
func Needs(p *program.Program, slots int) Memory {
	m := Memory{Weights: p.DeviceBytes}
	for _, s := range p.States {
		m.KV += stateBytes(s, slots)
	}
	bounds := p.Maxima()
	for i := range p.Funcs {
		f := &p.Funcs[i]
		m.Arena = max(m.Arena, f.ArenaBytes)
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

func stateBytes(s program.State, slots int) int64 {
	if s.PerSlot {
		return s.Bytes * int64(slots)
	}
	return s.Bytes
}

// check says that a device has too little memory for n bytes more.
func (x *Executor) check(n int64, what string) error {
	free, total, err := x.d.MemGetInfo()
	if err != nil {
		return x.failed(err)
	}
	if n > free {
		return fmt.Errorf("%s needs %s on %s, which has %s free of %s: expected fewer others on it, a smaller --max-tokens or weights of fewer bits",
			what, gib(n), x.d.Info().Name, gib(free), gib(total))
	}
	return nil
}

// alloc allocates memory that holds anything.
func (x *Executor) alloc(bytes int64) (Address, error) {
	bytes = max(bytes+unit-1, unit) / unit * unit
	a, err := x.d.MemAlloc(bytes)
	if err != nil {
		return 0, x.failed(err)
	}
	x.allocated[a] = true
	return a, nil
}

// zeros allocates memory that holds zeros.
func (x *Executor) zeros(bytes int64) (Address, error) {
	a, err := x.alloc(bytes)
	if err != nil {
		return 0, err
	}
	return a, x.failed(x.d.MemsetD8(x.stream, a, 0, bytes))
}

// unit is what memory is allocated in: copies may read the rest of the last 16 bytes.
const unit = 16

// free gives memory back.
func (x *Executor) free(a Address) error {
	delete(x.allocated, a)
	return x.failed(x.d.MemFree(a))
}
