package native

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrMemory is in the chain of the errors of CheckMemory.
var ErrMemory = errors.New("too little memory")

// tooLittle is an error of CheckMemory.
type tooLittle struct{ error }

// Is makes it ErrMemory.
func (e tooLittle) Is(target error) bool { return target == ErrMemory }

// CheckMemory says in one line why need bytes of memory for what (a noun phrase) cannot be had, or returns nil. It is
// to be asked before memory is touched: the kernel promises memory freely and ends the process when it cannot keep the
// promise. Where the machine's state cannot be read, it errs on the side of nil.
func CheckMemory(need int64, what string) error {
	if !granted.covers(need) {
		claimed := granted.sum()
		limit := available(machine{}, sysinfo())
		if need+claimed > limit.bytes {
			debug.FreeOSMemory() // what Go has collected, or could, is not in use
			limit = available(machine{}, sysinfo())
		}
		if limit.bytes = max(0, limit.bytes-claimed); need > limit.bytes {
			return tooLittle{fmt.Errorf("%s needs %s of memory, but only %s can be had (%s)", what, size(need), size(limit.bytes), limit.source)}
		}
		granted.read(limit.bytes, need)
	}
	// A trial finds limits on the address space and on promises (ulimit -v, -d).
	trial, err := unix.Mmap(-1, 0, int(max(need, 1)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return tooLittle{fmt.Errorf("%s needs %s of memory, which this process is not allowed (ulimit -v or the like): %w", what, size(need), err)}
	}
	return unix.Munmap(trial)
}

// Claim is CheckMemory for memory that is touched bit by bit: nobody else is granted it until release is called, when all of it
// is in use or given up.
func Claim(need int64, what string) (release func(), err error) {
	granted.turn.Lock()
	defer granted.turn.Unlock()
	if err := CheckMemory(need, what); err != nil {
		return nil, err
	}
	granted.claim(need)
	return sync.OnceFunc(func() { granted.claim(-need) }), nil
}

// Claimed returns how many bytes are claimed.
func Claimed() int64 { return granted.sum() }

// ledger remembers what was available a moment ago, less what was granted since: reading it takes longer than much of the
// work that asks. And it has what is claimed.
type ledger struct {
	turn    sync.Mutex // of who claims
	mu      sync.Mutex
	at      time.Time
	left    int64
	claimed int64
}

var granted ledger

// A reading counts so long, and only for a small part of what it left, as others take memory, too.
const (
	readingLasts = 100 * time.Millisecond
	smallPart    = 16
)

// covers grants what a moment ago would have been a small part of what was left.
func (l *ledger) covers(need int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if need > l.left/smallPart || time.Since(l.at) > readingLasts {
		return false
	}
	l.left -= need
	return true
}

// claim adds to what is claimed.
func (l *ledger) claim(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.claimed += n
}

// sum returns what is claimed.
func (l *ledger) sum() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.claimed
}

// read notes what is available before need bytes of it are taken.
func (l *ledger) read(available, need int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at, l.left = time.Now(), available-need
}

// AvailableMemory estimates how many bytes the process can still use without being ended for it, and says what sets
// this limit.
func AvailableMemory() (bytes int64, source string) {
	l := available(machine{}, sysinfo())
	return l.bytes, l.source
}

// PeakMemory returns the most bytes that the process has had resident, or 0 if that cannot be known. Where /proc is
// missing, as in an empty chroot, the number may be that of the process that started this one, if it was larger.
func PeakMemory() int64 {
	if data, err := os.ReadFile("/proc/self/status"); err == nil {
		if n := fields(data)["VmHWM:"]; n > 0 {
			return n << 10
		}
	}
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Maxrss << 10
}

// limit is a number of bytes and what sets it.
type limit struct {
	bytes  int64
	source string
}

// available returns the least of what the machine and the control groups have left. root is the file system, machine
// what is known without /proc.
func available(root fs.FS, machine limit) limit {
	all, swap := groups(root, "memory"), swapFree(root)
	for _, g := range all { // the swap of a group is limited by those above it, too
		swap = g.swap(root, swap)
	}
	least := machine
	if l, ok := memInfo(root, swap); ok {
		least = l
	}
	for _, g := range all {
		if l, ok := g.memory(root, swap); ok && l.bytes < least.bytes {
			least = l
		}
	}
	return least
}

// sysinfo returns an upper bound: the kernel's call does not tell how much of the memory that is in use could be freed.
func sysinfo() limit {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return limit{math.MaxInt64, "unknown"}
	}
	return limit{int64((info.Totalram + info.Freeswap) * uint64(info.Unit)), "the machine's memory and free swap"}
}

// memInfo reads /proc/meminfo; so much swap may be used.
func memInfo(root fs.FS, swap int64) (limit, bool) {
	data, err := fs.ReadFile(root, "proc/meminfo")
	free, ok := fields(data)["MemAvailable:"]
	if err != nil || !ok {
		return limit{}, false
	}
	return limit{free<<10 + swap, "the machine's available memory and free swap"}, true
}

// swapFree reads how much swap the machine has free.
func swapFree(root fs.FS) int64 {
	data, _ := fs.ReadFile(root, "proc/meminfo")
	return fields(data)["SwapFree:"] << 10
}

// fields reads lines of a name and a number.
func fields(data []byte) map[string]int64 {
	m := map[string]int64{}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) >= 2 {
			if n, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				m[f[0]] = n
			}
		}
	}
	return m
}

// size prints a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d bytes", n)
}
