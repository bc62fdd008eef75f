// Package emu executes PTX text: it shows what kernels compute, and what is wrong with them, where there is no GPU.
//
// Parse reads a module, whoever wrote it; Run executes a grid. The instructions of sm_80 are known, as LLVM, NVRTC and
// Triton emit them; an unknown one is a finding with its place. Threads of a warp run in lockstep; those that branch
// apart run by turns, the hindmost first, and join where they meet. Warps of a block run by turns; blocks run on several
// threads, and results do not depend on how many. What the hardware would let pass is a finding:
//   - access outside a buffer, or not aligned to its size;
//   - use of a register or of memory that was not written;
//   - races: two accesses to a byte of shared or global memory, one of them a write, with nothing that orders them;
//   - use of what an asynchronous copy writes, before it was waited for: copies take place at the latest time allowed;
//   - threads that wait for others that never come.
//
// Matrix products of bfloat16 and float16 are summed as the tensor cores of an H100 do it, to the bit. Approximations
// such as ex2.approx give the nearest number, which is within the error that the manual allows.
package emu

import (
	"crypto/sha256"
	"fmt"
	"sync"
)

// Module is parsed PTX.
type Module struct {
	unit    *unit
	entries map[string]*entry
	order   []string
	sum     func() []byte // hash of the text
}

// entry is a kernel, and its program once it is lowered.
type entry struct {
	fn      *function
	lowered func() (*program, error)
}

// Parse reads a module. Errors are a *Finding with line and column.
func Parse(text string) (*Module, error) { return ParseFile("ptx", text) }

// ParseFile is Parse with the name of the file that findings give.
func ParseFile(name, text string) (*Module, error) {
	m, err := open(name, text)
	if err != nil {
		return nil, err
	}
	for _, name := range m.order {
		if _, err := m.entries[name].lowered(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Load is Parse for who runs few of many entries: what is wrong with an entry beyond its syntax, such as a register that is not
// declared, is found when it is first asked for.
func Load(text string) (*Module, error) { return open("ptx", text) }

func open(name, text string) (*Module, error) {
	u, err := parseUnit(name, text)
	if err != nil {
		return nil, err
	}
	m := &Module{unit: u, entries: map[string]*entry{}, sum: sync.OnceValue(func() []byte { s := sha256.Sum256([]byte(text)); return s[:] })}
	for _, f := range u.functions {
		if !f.entry || !f.defined {
			continue
		}
		m.entries[f.name] = &entry{f, sync.OnceValues(func() (*program, error) { return lower(u, f) })}
		m.order = append(m.order, f.name)
	}
	return m, nil
}

// Entries returns the names of the kernels, in the order of the text.
func (m *Module) Entries() []string { return m.order }

// Kernel is what is known of an entry before it runs.
type Kernel struct {
	Params     []Param
	ParamBytes int
	Threads    [3]int // of a block, as the text demands or bounds them; zero where it says nothing
	Exact      bool   // Threads is demanded
	Shared     int    // bytes of static shared memory
	Local      int    // bytes of local memory a thread
}

// Kernel returns what is known of an entry. An entry with an unknown instruction is an error.
func (m *Module) Kernel(name string) (Kernel, error) {
	p, err := m.program(name)
	if err != nil {
		return Kernel{}, err
	}
	return Kernel{Params: p.params, ParamBytes: p.paramBytes, Threads: p.fn.threads, Exact: p.fn.exact, Shared: p.shared, Local: p.local}, nil
}

func (m *Module) program(name string) (*program, error) {
	e := m.entries[name]
	if e == nil {
		return nil, fmt.Errorf("the module has no entry %s", name)
	}
	p, err := e.lowered()
	if err != nil {
		return nil, err
	}
	if p.failed != nil {
		return nil, p.failed
	}
	return p, nil
}

// Pointer is an argument: Offset bytes behind the beginning of a buffer.
type Pointer struct {
	Memory *Memory
	Offset int64
}

// Launch says which entry of a module to run, on how many blocks of how many threads, and its arguments.
type Launch struct {
	Entry  string
	Blocks int64  // of a grid in one dimension
	Grid   [3]int // blocks, where Blocks is zero; zero counts as one
	Block  [3]int // threads; where x is zero, as the entry demands
	Shared int    // bytes of dynamic shared memory
	// Args are a Pointer, an integer, a float or []byte for each parameter; or Params are all bytes of the parameters.
	Args   []any
	Params []byte
	// Device is the address space. Nil is one of Buffers, of which the first begins at Address(0) and so on, and of the
	// arguments' buffers; those that are nil are gone.
	Device  *Device
	Buffers []*Memory
	// Workers is how many blocks run at a time, as many as there are processors if zero.
	Workers int
	Counts  bool // count what every instruction does
	Banks   bool // count the waits for banks of shared memory, as Counts does, too
	NoRaces bool // do not look for races in global memory, which costs time and memory
	// Most is how many instructions a block may execute, all its warps together; zero is no bound.
	Most int64
	// Memo remembers launches, unless it is nil.
	Memo *Memo
	// Progress is called now and then with the number of blocks that have ended.
	Progress func(done, total int)
}

// Stats is what a launch did.
type Stats struct {
	Instructions int64 // of warps
	Conflicts    int64 // accesses to shared memory that banks made wait for others of the same instruction, where they are counted
	Counts       []Count
}
