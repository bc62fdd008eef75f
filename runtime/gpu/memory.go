package gpu

import (
	"fmt"

	"pgc/runtime/program"
)

// stateBytes is the size of a state with so many batch slots.
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
