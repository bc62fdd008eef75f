package emu

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
)

// Addresses: buffer i of a device begins at (i+1)<<window, so that what lies behind a buffer is no buffer. Below that
// are the windows of generic addresses of shared memory, and the addresses of local and of parameter memory. Shared
// memory begins at sharedBase, so that no object has address zero.
const (
	window     = 40
	sharedBase = 1024
	sharedView = 1 << 32 // generic address of shared address zero
	localBase  = 2 << 32
	paramBase  = 3 << 32
	viewEnd    = 4 << 32
)

// Memory is a buffer in global memory.
type Memory struct {
	Data []byte
	Name string // for findings
	// written has a bit for every byte that was written; nil says that all were.
	written  []uint64
	readOnly bool
}

// Unwritten makes a buffer that holds nothing yet: reading what was not written is a finding.
func Unwritten(name string, n int) *Memory {
	return &Memory{Data: make([]byte, n), Name: name, written: make([]uint64, (n+63)/64)}
}

// Written notes that the host wrote n bytes at an offset.
func (m *Memory) Written(offset, n int) {
	if m.written == nil {
		return
	}
	m.markAll(offset, n)
}

// Missing returns how many bytes nobody has written, and where the first is.
func (m *Memory) Missing() (first, n int) {
	for i := len(m.Data) - 1; i >= 0 && m.written != nil; i-- {
		if m.written[i>>6]>>(i&63)&1 == 0 {
			first, n = i, n+1
		}
	}
	return first, n
}

// label names a buffer in a sentence.
func (m *Memory) label() string {
	if m.Name != "" {
		return m.Name
	}
	return fmt.Sprintf("a buffer of %d bytes", len(m.Data))
}

// Device is an address space of global memory.
type Device struct {
	slots []*Memory
	// Races says whether launches look for races in global memory; it costs time and memory.
	modules map[*Module]map[*variable]*Memory
}

// NewDevice returns an empty address space.
func NewDevice() *Device { return &Device{modules: map[*Module]map[*variable]*Memory{}} }

// Add gives a buffer an address and returns it.
func (d *Device) Add(m *Memory) uint64 {
	for i, s := range d.slots {
		if s == m {
			return Address(i)
		}
	}
	return d.append(m)
}

// append gives a buffer the next address; nil takes one, too.
func (d *Device) append(m *Memory) uint64 {
	d.slots = append(d.slots, m)
	return Address(len(d.slots) - 1)
}

// Address returns where buffer i of a device begins.
func Address(i int) uint64 { return uint64(i+1) << window }

// Remove takes a buffer out of the address space: using its address is a finding from now on.
func (d *Device) Remove(m *Memory) {
	for i, s := range d.slots {
		if s == m {
			d.slots[i] = nil
		}
	}
}

// Find returns the buffer that an address lies in and the offset within.
func (d *Device) Find(address uint64) (*Memory, int64, bool) {
	i := int(address>>window) - 1
	if i < 0 || i >= len(d.slots) || d.slots[i] == nil {
		return nil, 0, false
	}
	return d.slots[i], int64(address & (1<<window - 1)), true
}

// Load places a module's variables in global memory and fills in their initial values. Launches do so by themselves.
func (d *Device) Load(m *Module) error {
	if d.modules[m] != nil {
		return nil
	}
	placed := map[*variable]*Memory{}
	for _, v := range slices.Concat(m.unit.variables, m.unit.statics) {
		if v.space != global && v.space != constant || v.open {
			continue
		}
		mem := &Memory{Data: make([]byte, v.size), Name: v.name, readOnly: v.space == constant}
		copy(mem.Data, v.data)
		placed[v] = mem
		d.Add(mem)
	}
	for v, mem := range placed {
		for _, r := range v.refs {
			var to *Memory
			for other, at := range placed {
				if other.name == r.name {
					to = at
				}
			}
			if to == nil {
				return &Finding{Kind: Syntax, Pos: r.pos, Thread: -1, Text: fmt.Sprintf("%s is no variable in global memory", r.name)}
			}
			binary.LittleEndian.PutUint64(mem.Data[r.at:], d.Add(to)+uint64(r.offset))
		}
	}
	d.modules[m] = placed
	return nil
}

// has reports whether n aligned bytes were written.
func (m *Memory) has(off, n int) bool { return m.hasPart(off, (uint64(1)<<n-1)<<(off&63)) }

// mark notes that n aligned bytes are written.
func (m *Memory) mark(off, n int) { m.markPart(off, (uint64(1)<<n-1)<<(off&63)) }

// hasPart and markPart are of bytes among the 64 that an offset lies in.
func (m *Memory) hasPart(off int, want uint64) bool {
	return atomic.LoadUint64(&m.written[off>>6])&want == want
}

func (m *Memory) markPart(off int, want uint64) {
	if p := &m.written[off>>6]; atomic.LoadUint64(p)&want != want {
		atomic.OrUint64(p, want)
	}
}
