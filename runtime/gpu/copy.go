package gpu

import "pgc/runtime/engine"

// ring is host memory that the device reads and writes, in pieces that are used in turns.
type ring struct {
	x      *Executor
	memory []byte
	slots  []*slot
	at     int
}

// slot is a piece of a ring; event comes when the device has done with it.
type slot struct {
	x     *Executor
	data  []byte
	event Event
	busy  bool
}

// newRing allocates a ring of n pieces.
func (x *Executor) newRing(n, bytes int) (*ring, error) {
	r := &ring{x: x}
	var err error
	if r.memory, err = x.d.MemHostAlloc(n * bytes); err != nil {
		return nil, x.failed(err)
	}
	for i := range n {
		s := &slot{x: x, data: r.memory[i*bytes:][:bytes:bytes]}
		r.slots = append(r.slots, s)
		if s.event, err = x.d.EventCreate(); err != nil {
			r.slots = r.slots[:i]
			r.close()
			return nil, x.failed(err)
		}
	}
	return r, nil
}

// next returns the next piece once the device has done with it.
func (r *ring) next() (*slot, error) {
	s := r.slots[r.at]
	r.at = (r.at + 1) % len(r.slots)
	return s, s.wait()
}

// wait waits until the device has done with the piece.
func (s *slot) wait() error {
	if !s.busy {
		return nil
	}
	s.busy = false
	return s.x.d.EventSynchronize(s.event)
}

// used says that the device has done with the piece when it has done what is in a stream.
func (s *slot) used(on Stream) error {
	s.busy = true
	return s.x.d.EventRecord(s.event, on)
}

func (r *ring) close() error {
	var first error
	for _, s := range r.slots {
		if err := r.x.d.EventDestroy(s.event); err != nil && first == nil {
			first = err
		}
	}
	if err := r.x.d.MemFreeHost(r.memory); err != nil && first == nil {
		first = err
	}
	return first
}

// Put copies data into memory, from the byte at offset on, before the runs that follow.
func (x *Executor) Put(m engine.Memory, offset int64, data []byte) error {
	to, err := x.place(m, offset, len(data))
	if err != nil {
		return err
	}
	for len(data) > 0 {
		s, err := x.staging.next()
		if err != nil {
			return x.failed(err)
		}
		n := copy(s.data, data)
		if err := x.failed(x.d.MemcpyHtoD(x.stream, to, s.data[:n])); err != nil {
			return err
		}
		if err := x.failed(s.used(x.stream)); err != nil {
			return err
		}
		data, to = data[n:], to+Address(n)
	}
	return nil
}

// Get copies memory into data, from the byte at offset on, behind the runs before. While one piece is copied out of the
// staging memory, the next is on its way.
func (x *Executor) Get(m engine.Memory, offset int64, data []byte) error {
	from, err := x.place(m, offset, len(data))
	if err != nil {
		return err
	}
	var before *slot
	var to []byte
	for len(data) > 0 {
		s, err := x.staging.next()
		if err != nil {
			return x.failed(err)
		}
		n := min(len(s.data), len(data))
		if err := x.failed(x.d.MemcpyDtoH(x.stream, s.data[:n], from)); err != nil {
			return err
		}
		if err := x.failed(s.used(x.stream)); err != nil {
			return err
		}
		if before != nil {
			if err := x.failed(before.wait()); err != nil {
				return err
			}
			copy(to, before.data)
		}
		before, to = s, data[:n]
		data, from = data[n:], from+Address(n)
	}
	if before == nil {
		return nil
	}
	if err := x.failed(before.wait()); err != nil {
		return err
	}
	copy(to, before.data)
	return nil
}
