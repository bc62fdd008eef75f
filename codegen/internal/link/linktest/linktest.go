// Package linktest runs single kernels natively in tests: it links llc's objects, maps the code and calls a kernel on a
// native thread, on copies of Go slices that lie between guard pages.
package linktest

import (
	"encoding/binary"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"pgc/codegen/internal/link"
	"pgc/runtime/native"
)

// Code is linked code, mapped and executable until its test ends.
type Code struct {
	image *link.Image
	mem   *native.Memory
}

// Load links objects of llc and maps the result. It fails the test if that is impossible.
func Load(t testing.TB, objs ...[]byte) *Code {
	t.Helper()
	image, err := link.Link(objs)
	if err != nil {
		t.Fatal(err)
	}
	mem, err := native.LoadCode(image.Code)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mem.Close() })
	return &Code{image, mem}
}

// Call says how to run a kernel.
type Call struct {
	Symbol string // the kernel's name
	Tasks  int64  // it is called with 0 … Tasks-1, in this order
	// Args are the kernel's arguments in order: a slice of numbers becomes a pointer to a copy of it, an int or int64 a
	// scalar. What the kernel wrote is copied back.
	Args         []any
	ScratchBytes int64
	// Flush puts the end, not the beginning, of every slice at a page boundary, so that reading or writing one element
	// too far faults. The beginning is then aligned only to the element size; without Flush it is aligned to 4096
	// bytes, reading before it faults, and writing past the end is found when the kernel has returned.
	Flush bool
}

// canary fills what lies between the end of a slice and the end of its last page.
const canary = 0xa5

// Run runs one kernel to its end. It fails the test if the symbol is unknown or an argument is of another type; a
// kernel that touches a guard page kills the test binary.
func (c *Code) Run(t testing.TB, call Call) {
	t.Helper()
	r := c.prepare(t, call)
	defer r.close()
	r.run(t)
	for i, s := range r.copies {
		if off, ok := s.finish(); !ok {
			t.Fatalf("kernel %s wrote outside slice %d of its arguments, %d bytes past its %d", call.Symbol, i, off, len(s.host))
		}
	}
}

// Bench runs one kernel b.N times on one thread, on the same copies of its arguments, and leaves the slices as they
// are.
func (c *Code) Bench(b *testing.B, call Call) {
	b.Helper()
	r := c.prepare(b, call)
	defer r.close()
	r.run(b)
	b.ResetTimer()
	for range b.N {
		r.run(b)
	}
	b.StopTimer()
}

// Runner returns what runs one kernel on one thread, on the same copies of its arguments every time, until the benchmark ends.
func (c *Code) Runner(b *testing.B, call Call) func() {
	b.Helper()
	r := c.prepare(b, call)
	b.Cleanup(r.close)
	return func() { r.run(b) }
}

// prepared is a call whose arguments lie in native memory.
type prepared struct {
	kernel         uintptr
	tasks          int64
	table, scratch *native.Memory
	copies         []copied
}

func (r *prepared) run(t testing.TB) {
	if err := native.Call(r.kernel, r.table.Addr(), r.tasks, r.scratch.Addr()); err != nil {
		t.Fatal(err)
	}
}

func (r *prepared) close() {
	r.table.Close()
	r.scratch.Close()
	for _, s := range r.copies {
		s.mem.Close()
	}
}

func (c *Code) prepare(t testing.TB, call Call) *prepared {
	t.Helper()
	at, ok := c.image.Symbols[call.Symbol]
	if !ok {
		t.Fatalf("no kernel %s in the code, which has %v", call.Symbol, slices.Sorted(maps.Keys(c.image.Symbols)))
	}
	r := &prepared{kernel: c.mem.Addr() + uintptr(at), tasks: call.Tasks,
		table: reserve(t, int64(8*len(call.Args))), scratch: reserve(t, call.ScratchBytes)}
	for i, a := range call.Args {
		var word uint64
		switch v := a.(type) {
		case int:
			word = uint64(v)
		case int64:
			word = uint64(v)
		default:
			s, err := place(t, a, call.Flush)
			if err != nil {
				t.Fatalf("kernel %s: argument %d: %v", call.Symbol, i, err)
			}
			r.copies = append(r.copies, s)
			word = uint64(s.mem.Addr()) + uint64(s.at)
		}
		binary.LittleEndian.PutUint64(r.table.Bytes()[8*i:], word)
	}
	return r
}

// copied is a slice argument and its copy in native memory.
type copied struct {
	host []byte // the caller's slice
	mem  *native.Memory
	at   int // where the copy begins in mem
}

// place copies slice a into memory of its own.
func place(t testing.TB, a any, flush bool) (copied, error) {
	t.Helper()
	v := reflect.ValueOf(a)
	if v.Kind() != reflect.Slice || v.Type().Elem().Kind() < reflect.Int8 || v.Type().Elem().Kind() > reflect.Float64 {
		return copied{}, fmt.Errorf("%T, expected a slice of fixed-size numbers, an int or an int64", a)
	}
	host := unsafe.Slice((*byte)(v.UnsafePointer()), v.Len()*int(v.Type().Elem().Size()))
	room := (len(host) + 4095) / 4096 * 4096
	s := copied{host: host, mem: reserve(t, int64(room))}
	if flush {
		s.at = room - len(host)
	}
	for _, beside := range s.beside() {
		for i := range beside {
			beside[i] = canary
		}
	}
	copy(s.mem.Bytes()[s.at:], host)
	return s, nil
}

// finish copies the results back. ok is false if something beside the slice was written; off is then the distance of
// the first such byte from the slice's end, or negative.
func (s copied) finish() (off int, ok bool) {
	end := s.at + len(s.host)
	for i, beside := range s.beside() {
		for j, b := range beside {
			if b != canary {
				return j - (1-i)*end, false
			}
		}
	}
	copy(s.host, s.mem.Bytes()[s.at:end])
	return 0, true
}

// beside are the bytes before the copy and behind it.
func (s copied) beside() [2][]byte {
	b := s.mem.Bytes()
	return [2][]byte{b[:s.at], b[s.at+len(s.host):]}
}

func reserve(t testing.TB, size int64) *native.Memory {
	t.Helper()
	m, err := native.Reserve(size)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
