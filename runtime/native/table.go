package native

import (
	"fmt"
	"slices"
	"unsafe"

	"pgc/runtime/program"
)

// Table is the launch list of one func in the form the worker loop reads: launch records and argument tables in native
// memory.
type Table struct {
	name     string
	count    int // launches
	mem      *Memory
	launches []program.Launch
	symbols  []program.Symbol
	threads  int     // that the launches are divided for
	values   []int64 // of the symbols, with room for a launch's grains behind
	fixed    []fixed // by launch
	bound    bool
}

// fixed is how a launch is divided, where that is the same whatever values the symbols have.
type fixed struct {
	tasks  int64 // -1 where it is not
	grains []int64
}

// Bases are the addresses that launch arguments count from. All of it is memory outside Go's heap: a Memory's Addr or
// that of a mapped file.
type Bases struct {
	Weights uintptr
	Arena   uintptr
	States  []uintptr // one per state of the program
	Inputs  []uintptr // one per input of the func
	Outputs []uintptr // one per output of the func
}

// Addr returns the address of the first byte of b, which must lie outside Go's heap.
func Addr(b []byte) uintptr { return addr(b) }

// NewTable lays out the launches of func f of program p, whose kernels are mapped executable at code, for a number of
// threads.
func NewTable(p *program.Program, f *program.Func, code []byte, threads int) (*Table, error) {
	args, grains := 0, 0
	for _, l := range f.Launches {
		if k := l.Kernel; k < 0 || k >= len(p.Kernels) || p.Kernels[k].CodeOffset >= int64(len(code)) {
			return nil, fmt.Errorf("func %s launches kernel %d, which is not in the %d bytes of code", f.Name, k, len(code))
		}
		args, grains = args+len(l.Args), max(grains, len(l.Grains))
	}
	mem, err := Reserve(int64(len(f.Launches)*program.RecordBytes + 8*args))
	if err != nil {
		return nil, err
	}
	t := &Table{name: f.Name, count: len(f.Launches), mem: mem, launches: f.Launches, symbols: p.Symbols, threads: threads,
		values: make([]int64, len(p.Symbols)+grains)}
	next := t.count * program.RecordBytes
	for i, l := range f.Launches {
		*t.i64(i, program.RecKernel) = int64(addr(code)) + p.Kernels[l.Kernel].CodeOffset
		*t.i64(i, program.RecArgs) = int64(mem.Addr()) + int64(next)
		next += 8 * len(l.Args)
		own := fixed{-1, nil}
		if l.Fixed(len(p.Symbols)) {
			values := t.values[:len(p.Symbols)+len(l.Grains)]
			own = fixed{l.Divide(values, threads), slices.Clone(values[len(p.Symbols):])}
		}
		t.fixed = append(t.fixed, own)
	}
	return t, nil
}

// Bind computes the arguments and the number of tasks of every launch for the given addresses and values of the
// program's symbols. It allocates nothing, unless it fails.
func (t *Table) Bind(b *Bases, syms []int64) error {
	t.bound = false
	if len(syms) != len(t.symbols) {
		return fmt.Errorf("func %s: %d symbols, expected %d", t.name, len(syms), len(t.symbols))
	}
	for i, v := range syms {
		if s := &t.symbols[i]; v < 0 || v > s.Max {
			return fmt.Errorf("func %s: symbol %s is %d, expected 0 to %d", t.name, s.Name, v, s.Max)
		}
	}
	n := copy(t.values, syms)
	bytes := t.mem.Bytes()
	table := bytes[t.count*program.RecordBytes:]
	args := unsafe.Slice((*int64)(unsafe.Pointer(unsafe.SliceData(table))), len(table)/8)
	for i := range t.launches {
		l := &t.launches[i]
		values, tasks := t.values[:n+len(l.Grains)], t.fixed[i].tasks
		if tasks < 0 {
			tasks = l.Divide(values, t.threads)
		} else {
			copy(values[n:], t.fixed[i].grains)
		}
		if tasks < 0 || tasks > program.MaxTasks {
			return fmt.Errorf("func %s: launch %d has %d tasks, expected 0 to %d", t.name, i, tasks, program.MaxTasks)
		}
		*t.i64(i, program.RecTasks), *t.i64(i, program.RecFirst) = tasks, 0
		for j := range l.Args {
			v, err := t.resolve(&l.Args[j], b, values)
			if err != nil {
				return fmt.Errorf("func %s: launch %d: argument %d: %w", t.name, i, j, err)
			}
			args[j] = v
		}
		args = args[len(l.Args):]
	}
	t.bound = true
	return nil
}

// resolve computes base + offset + the terms; behind the values of the symbols are those of the grains.
func (t *Table) resolve(a *program.Arg, b *Bases, values []int64) (int64, error) {
	var base int64
	var list []uintptr
	switch a.Space {
	case program.SpaceWeights:
		base = int64(b.Weights)
	case program.SpaceArena:
		base = int64(b.Arena)
	case program.SpaceState:
		list = b.States
	case program.SpaceInput:
		list = b.Inputs
	case program.SpaceOutput:
		list = b.Outputs
	case program.SpaceSymbol:
		base = values[a.Index]
	case program.SpaceGrain:
		return values[len(t.symbols)+a.Index], nil
	}
	switch a.Space {
	case program.SpaceState, program.SpaceInput, program.SpaceOutput:
		if a.Index >= len(list) {
			return 0, fmt.Errorf("%v %d of %d", a.Space, a.Index, len(list))
		}
		base = int64(list[a.Index])
	}
	v := base + a.Offset
	for _, term := range a.Terms {
		v += values[term.Sym] * term.Stride
	}
	return v, nil
}

// Tasks returns the number of tasks of a launch, which is bound.
func (t *Table) Tasks(launch int) int64 { return *t.i64(launch, program.RecTasks) }

// Keep has a launch run its tasks from first to end-1 alone, until it is bound again.
func (t *Table) Keep(launch int, first, end int64) error {
	if n := t.Tasks(launch); first < 0 || end < first || end > n {
		return fmt.Errorf("func %s: launch %d: tasks %d to %d of %d", t.name, launch, first, end, n)
	}
	*t.i64(launch, program.RecTasks), *t.i64(launch, program.RecFirst) = end-first, first
	return nil
}

// Launches returns the number of launches.
func (t *Table) Launches() int { return t.count }

// rewind makes the launches from first to end-1 ready to run again.
func (t *Table) rewind(first, end int) {
	for i := first; i < end; i++ {
		*t.i64(i, program.RecRuns) = 0
		*t.i64(i, program.RecDone) = 0
	}
}

// Close frees the table's memory. No Run may be using it.
func (t *Table) Close() error {
	t.bound = false
	return t.mem.Close()
}

// record returns the address of launch record i.
func (t *Table) record(i int) uintptr { return t.mem.Addr() + uintptr(i*program.RecordBytes) }

// i64 returns a field of launch record i.
func (t *Table) i64(i, offset int) *int64 {
	return (*int64)(t.mem.at(i*program.RecordBytes + offset))
}
