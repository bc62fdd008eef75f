package emulated

import (
	"slices"

	"pgc/codegen/ptx/emu"
	"pgc/runtime/gpu"
)

// space is the address space of the device.
type space struct{ buffers []*emu.Memory }

func newMemory(n int) *emu.Memory { return &emu.Memory{Data: make([]byte, n)} }

func (s *space) add(m *emu.Memory) uint64 {
	s.buffers = append(s.buffers, m)
	return emu.Address(len(s.buffers) - 1)
}

func (s *space) remove(m *emu.Memory) { s.buffers[slices.Index(s.buffers, m)] = nil }

func (s *space) find(at uint64) (*emu.Memory, int64, bool) {
	for i, m := range s.buffers {
		if from := emu.Address(i); m != nil && at >= from && at-from <= uint64(len(m.Data)) {
			return m, int64(at - from), true
		}
	}
	return nil, 0, false
}

// run executes a kernel on the buffers.
func (s *space) run(f function, l gpu.Launch) (emu.Stats, error) {
	args := make([]any, len(l.Params))
	for i, p := range l.Params {
		args[i] = p
	}
	return f.module.Run(emu.Launch{Entry: f.name, Blocks: l.Blocks, Args: args, Buffers: s.buffers})
}

// written notes that the host or a copy wrote the bytes.
func (a area) written() {}
