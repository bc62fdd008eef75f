package native

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// doubling is void(i64* args, i64 task, i8* scratch) { *args += task; *(i64*)scratch = *args } in machine code.
var doubling = map[string][]byte{
	"amd64": {
		0x48, 0x01, 0x37, // add [rdi], rsi
		0x48, 0x8b, 0x07, // mov rax, [rdi]
		0x48, 0x89, 0x02, // mov [rdx], rax
		0xc3, // ret
	},
	"arm64": {
		0x03, 0x00, 0x40, 0xf9, // ldr x3, [x0]
		0x63, 0x00, 0x01, 0x8b, // add x3, x3, x1
		0x03, 0x00, 0x00, 0xf9, // str x3, [x0]
		0x43, 0x00, 0x00, 0xf9, // str x3, [x2]
		0xc0, 0x03, 0x5f, 0xd6, // ret
	},
}[runtime.GOARCH]

func TestCall(t *testing.T) {
	code, err := LoadCode(doubling)
	if err != nil {
		t.Fatal(err)
	}
	defer code.Close()
	data, err := Reserve(16)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	binary.LittleEndian.PutUint64(data.Bytes(), 1000)
	want := uint64(1000)
	for n := range 100 {
		if err := Call(code.Addr(), data.Addr(), int64(n), data.Addr()+8); err != nil {
			t.Fatal(err)
		}
		want += uint64(n * (n - 1) / 2)
		if n%20 == 0 {
			runtime.GC()
		}
		if got := binary.LittleEndian.Uint64(data.Bytes()); got != want {
			t.Fatalf("%d tasks: sum %d, expected %d", n, got, want)
		}
	}
	if got := binary.LittleEndian.Uint64(data.Bytes()[8:]); got != want {
		t.Fatalf("scratch memory holds %d, expected %d", got, want)
	}
}

func TestMemory(t *testing.T) {
	for _, n := range []int64{0, 1, 4095, 4096, 4097, 1 << 20} {
		m, err := Reserve(n)
		if err != nil {
			t.Fatal(err)
		}
		if m.Len() != int(n) || int64(len(m.Bytes())) != n || m.Addr()%uintptr(pageBytes) != 0 {
			t.Errorf("%d bytes: got %d at %#x", n, m.Len(), m.Addr())
		}
		for i := range m.Bytes() {
			if m.Bytes()[i] != 0 {
				t.Fatalf("byte %d is not zero", i)
			}
			m.Bytes()[i] = 1
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	// It grows wherever there is room: what was there stays, the rest is zero, and only what is touched counts.
	for _, n := range []int64{0, 10, 4096, 1 << 20} {
		m, err := Reserve(n)
		if err != nil {
			t.Fatal(err)
		}
		for i := range m.Bytes() {
			m.Bytes()[i] = byte(i%251 + 1)
		}
		for _, more := range []int64{1, 4095, 1 << 22, 1 << 36} {
			if err := m.Grow(n + more); err != nil {
				t.Fatal(err)
			}
			if m.Len() != int(n+more) || m.Addr()%uintptr(pageBytes) != 0 {
				t.Fatalf("%d bytes that grow by %d: got %d at %#x", n, more, m.Len(), m.Addr())
			}
			for i, v := range m.Bytes()[:min(n+more, n+1<<22)] {
				if want := byte(i%251 + 1); i < int(n) && v != want || i >= int(n) && v != 0 {
					t.Fatalf("byte %d of %d is %d after growing by %d", i, n, v, more)
				}
			}
		}
		if err := m.Grow(1); err != nil || int64(m.Len()) != n+1<<36 {
			t.Errorf("grown to less than it is: %d bytes, %v", m.Len(), err)
		}
		m.Bytes()[n+1<<36-1] = 1
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	// Far more than there is: only what is touched counts.
	m, err := Reserve(1 << 38)
	if err != nil {
		t.Skipf("no room for so many addresses: %v", err)
	}
	m.Bytes()[1<<37] = 1
	m.Close()
	for _, n := range []int64{-1, 1 << 60} {
		if _, err := Reserve(n); err == nil {
			t.Errorf("%d bytes can be reserved", n)
		}
	}
}

func TestStartErrors(t *testing.T) {
	code, err := LoadCode(doubling)
	if err != nil {
		t.Fatal(err)
	}
	defer code.Close()
	for _, c := range []struct {
		entry   int64
		threads int
		scratch int64
		want    string
	}{
		{0, 0, 0, "cannot use 0 threads, expected 1 to 1024"},
		{0, 1025, 0, "cannot use 1025 threads"},
		{int64(len(doubling)), 1, 0, fmt.Sprintf("worker loop at %d in %d bytes of code", len(doubling), len(doubling))},
		{-1, 1, 0, "worker loop at -1"},
		{0, 1, -1, "-1 bytes of scratch memory"},
		{0, 4, 1 << 60, "cannot reserve"},
	} {
		if _, err := Start(code.Bytes(), c.entry, c.threads, c.scratch); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, expected %q", err, c.want)
		}
	}
}

// TestSignalMask checks that starting a thread, or failing to, leaves the caller's signals as they were.
func TestSignalMask(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	mask := func() (m uint64) {
		if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, 0, 0, uintptr(unsafe.Pointer(&m)), 8, 0, 0); errno != 0 {
			t.Fatal(errno)
		}
		return m
	}
	code, err := LoadCode(doubling[len(doubling)-map[string]int{"amd64": 1, "arm64": 4}[runtime.GOARCH]:]) // ret
	if err != nil {
		t.Fatal(err)
	}
	defer code.Close()
	before := mask()
	if err := Call(code.Addr(), 0, 1, 0); err != nil {
		t.Fatal(err)
	}
	if after := mask(); after != before {
		t.Errorf("after a thread was started the mask is %#x, expected %#x", after, before)
	}
	stack, err := Reserve(stackBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer stack.Close()
	// A thread without shared memory does not exist.
	if r := clone(unix.CLONE_THREAD, stack.Addr()+stackBytes, new(int32), code.Addr(), 0, 0, 1, 0); r != -int64(unix.EINVAL) {
		t.Errorf("clone with senseless flags returned %d, expected %d", r, -int64(unix.EINVAL))
	}
	if after := mask(); after != before {
		t.Errorf("after a failure the mask is %#x, expected %#x", after, before)
	}
}

// TestKeepTo binds a thread at work to one processor.
func TestKeepTo(t *testing.T) {
	code, err := LoadCode(doubling)
	if err != nil {
		t.Fatal(err)
	}
	defer code.Close()
	data, err := Reserve(16)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	w, err := start(code.Addr(), data.Addr(), 0, 30_000_000, data.Addr()+8) // tens of milliseconds
	if err != nil {
		t.Fatal(err)
	}
	all := affinity()
	w.keepTo(all[len(all)-1:])
	var set unix.CPUSet
	err = unix.SchedGetaffinity(int(*w.tid), &set)
	w.join()
	if err != nil || set.Count() != 1 || !set.IsSet(all[len(all)-1]) {
		t.Errorf("error %v, %d processors, expected processor %d alone", err, set.Count(), all[len(all)-1])
	}
}
