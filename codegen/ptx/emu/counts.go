package emu

import "math/bits"

// Count is what an instruction did in a launch.
type Count struct {
	Pos         Pos
	Name        string
	Executions  int64 // by warps
	Threads     int64 // that took part
	Width       int   // bytes that a thread touches
	Bytes       int64 // touched in global memory by all threads
	Sectors     int64 // pieces of 32 bytes of global memory that were moved
	Uncoalesced int64 // of them, those beyond what the same bytes need side by side
	Conflicts   int64 // waits for banks of shared memory
}

// counter counts for one worker.
type counter struct {
	at []Count
}

func newCounter(p *program) *counter {
	c := &counter{at: make([]Count, len(p.code))}
	for i, in := range p.code {
		c.at[i].Pos, c.at[i].Name = in.pos, in.name
	}
	return c
}

// note counts an execution by the threads of m.
func (c *counter) note(pc int32, m uint32) {
	c.at[pc].Executions++
	c.at[pc].Threads += int64(bits.OnesCount32(m))
}

// memory counts the sectors of an access to global memory; addresses are in w.addr.
func (c *counter) memory(w *warp, sp space, m uint32, n int) {
	at := &c.at[w.pc]
	at.Width = n
	if sp != global && sp != generic || m == 0 {
		return
	}
	var sectors [2 * warpSize]uint64
	used, bytes := 0, 0
	for rest := m; rest != 0; rest &= rest - 1 {
		a := w.addr[bits.TrailingZeros32(rest)]
		if a>>window == 0 {
			continue
		}
		bytes += n
		known := false
		for i := used - 1; i >= 0 && !known; i-- {
			known = sectors[i] == a/32
		}
		if !known {
			sectors[used] = a / 32
			used++
		}
	}
	at.Bytes += int64(bytes)
	at.Sectors += int64(used)
	at.Uncoalesced += int64(max(used-(bytes+31)/32, 0))
}

// addTo adds up the counts of several workers.
func (c *counter) addTo(sum []Count) []Count {
	if c == nil {
		return sum
	}
	if sum == nil {
		return c.at
	}
	for i := range sum {
		a, b := &sum[i], &c.at[i]
		a.Executions += b.Executions
		a.Threads += b.Threads
		a.Width = max(a.Width, b.Width)
		a.Bytes += b.Bytes
		a.Sectors += b.Sectors
		a.Uncoalesced += b.Uncoalesced
		a.Conflicts += b.Conflicts
	}
	return sum
}
