// Package program is the format of a compiled executable: everything that the compiler, which writes it, and the
// runtime, which runs it, must agree on.
//
// An executable is the prebuilt runtime with sections behind it: weights, tokenizer, machine code, and for each
// instruction set the Program that says which kernels to launch over which memory. abi.go holds the layout of what
// native code and the Go runtime share while running.
package program

import "fmt"

// Program is a model compiled for an instruction set, without its bulk data. The programs of a file share the functions'
// names and ports, symbols and weights, which are there once.
type Program struct {
	Generator string // the compiler and its version
	Target    Target
	Symbols   []Symbol
	States    []State // as a kind of target stores them
	Slots     int     // batch slots: sequences that can be worked on at the same time; 0 if no state has any
	Kernels   []Kernel
	Funcs     []Func
	Weights   []Weight

	WeightBytes int64 // length of the weights section
	// Of kind PTX: how the weights come into the device's memory, and how much of it they take.
	Loads        []Load
	DeviceBytes  int64
	Parts        []Part // the code that it needs
	WorkerOffset int64  // offset in the code of the worker loop (see abi.go)
	Text         Span   // of kind PTX: the module in the code
	ScratchBytes int64  // scratch memory each thread needs, the most any kernel asks for
	// MinBatch is the smallest number of sequences for which a step for all batch slots takes less time than a step for
	// each sequence: a property of the processor that the code is for, since a step for all slots computes all of them.
	MinBatch int
	// Model is what the application around the kernels needs to know (image size, token ids, generation defaults …)
	// as JSON. This package does not look into it.
	Model []byte

	// Until complete reads the functions' launches: those of the file's programs, and the numbers of this one's.
	pool *pool
	set  int // the program's number there
}

// TargetKind is a kind of machine: what code is, and how kernels are launched.
type TargetKind uint8

// The kinds.
const (
	CPU TargetKind = iota // machine code in the section "code", run by threads (see abi.go)
	PTX                   // the text of a module for NVIDIA GPUs, in the section "ptx"
	targetKinds
)

// String is the kind's name.
func (k TargetKind) String() string {
	if k >= targetKinds {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return [...]string{"cpu", "ptx"}[k]
}

// Target is the machine the code was compiled for.
type Target struct {
	Kind     TargetKind
	Arch     string   // of a CPU, as Go's GOARCH: "amd64"
	CPU      string   // LLVM's -mcpu name, or the architecture of a GPU: "sm_80"
	Features []string // what a CPU must have, as runtime/cpufeature names it: "avx2", "fma", …
}

// Symbol is a number known only when a func runs, such as a count of tokens.
type Symbol struct {
	Name string
	Max  int64 // its largest value; the smallest is 0
}

// State is memory that outlives a run of a func: a key or value cache, or what one func hands on to another.
type State struct {
	Name    string
	Bytes   int64 // of one slot
	PerSlot bool  // whether every batch slot has its own, as of a cache, one behind the other; otherwise one serves all
}

// StateBytes is the size of a state with all its slots.
func (p *Program) StateBytes(s State) int64 {
	if s.PerSlot {
		return s.Bytes * int64(p.Slots)
	}
	return s.Bytes
}

// SlotBytes returns the size of the states of one batch slot: the KV cache of a sequence.
func (p *Program) SlotBytes() (n int64) {
	for _, s := range p.States {
		if s.PerSlot {
			n += s.Bytes
		}
	}
	return n
}

// Kernel is a piece of code: on a CPU with the ABI void(i64* args, i64 task, i8* scratch), on a GPU an entry whose
// parameters are the arguments and then the number of tasks. LHS and RHS are the types of what it multiplies,
// activations and weights, for the limits that bound it: f32, bf16, int8 and so on. Both are empty where it is no
// product of matrices.
type Kernel struct {
	Name       string
	CodeOffset int64 // in the code of the target's kind
	LHS, RHS   DType
	// On a GPU, else 0: the threads of a block, how many of them share a task, and the shared memory of a block, which
	// the code asks for itself unless DynamicShared says that the launch does. Blocks stride over the tasks, so that any
	// grid will do.
	Threads, TaskThreads int
	SharedBytes          int64
	DynamicShared        bool
}

// Load brings a part of the weights section, Bytes from Offset on, to the place To in the device's memory for weights,
// where it takes DeviceBytes. It is copied as it is, or, where there are launches, to a staging buffer (SpaceStaging),
// from which they write it (SpaceWeights) as the kernels read it.
type Load struct {
	Offset, Bytes   int64
	To, DeviceBytes int64
	Launches        []Launch
}

// Span is a part of a section.
type Span struct{ Offset, Bytes int64 }

// DType is the name of a storage format: "f32", "i32", "bf16", "f16", "bool" or that of a packed one.
type DType string

// Bytes is the size of an element in memory, where a boolean is an i32, or 0 if the format has no fixed size.
func (d DType) Bytes() int64 {
	switch d {
	case "f32", "i32", "bool":
		return 4
	case "bf16", "f16":
		return 2
	}
	return 0
}

// Port is an input or output of a func, dense and row-major.
type Port struct {
	Name  string
	DType DType
	Shape []Expr
}

// Bytes is the size of the port's tensor for the given values of the symbols.
func (p *Port) Bytes(syms []int64) int64 {
	n := p.DType.Bytes()
	for i := range p.Shape {
		n *= p.Shape[i].Eval(syms)
	}
	return n
}

// Func is a list of launches, run one after the other.
type Func struct {
	Name       string
	Inputs     []Port
	Outputs    []Port
	Launches   []Launch
	ArenaBytes int64 // memory for its intermediate values
}

// Launch calls one kernel for the tasks 0 … Tasks-1, in any order and on any threads.
type Launch struct {
	Kernel int
	Tasks  Expr // over the symbols and, behind them, the grains
	Args   []Arg
	Grains []int64 // the most of each: numbers from 1 on that say how much a task takes (see Divide)
	Value  string  // the graph value it computes, for people
	Flops  Expr    // floating-point operations, for benchmarks
	Bytes  Expr    // bytes it must at least read and write, for benchmarks
}

// Space says what an Arg counts from.
type Space uint8

// The spaces. Symbol, const and grain make the argument a number; the others are memory and make it a pointer.
const (
	SpaceWeights Space = iota // the weights section; for GPUs, the device's memory that Loads fill
	SpaceArena                // the func's intermediate values
	SpaceState                // state number Index
	SpaceInput                // input number Index
	SpaceOutput               // output number Index
	SpaceSymbol               // the value of symbol number Index
	SpaceConst                // zero
	SpaceStaging              // of a load: the weight as it is in the file
	SpaceGrain                // the value of the launch's grain number Index
	spaces
)

// String is the space's name in error messages and dumps.
func (s Space) String() string {
	if s >= spaces {
		return fmt.Sprintf("space %d", uint8(s))
	}
	return [...]string{"weights", "arena", "state", "input", "output", "symbol", "const", "staging", "grain"}[s]
}

// Arg is one argument of a launch: base of its space + Offset + the terms, in bytes for memory.
type Arg struct {
	Space  Space
	Index  int // of the state, input, output or symbol; 0 in the other spaces
	Offset int64
	Terms  []Term
}

// Term is a part of an Arg that depends on a symbol: the value of symbol number Sym times Stride.
type Term struct {
	Sym    int
	Stride int64
}

// Weight is a tensor in the weights section, packed as Layout says.
type Weight struct {
	Name   string // in the checkpoint
	DType  DType  // as stored here
	Shape  []int64
	Layout Layout
	Offset int64 // in the weights section
	Bytes  int64
	Sum    uint32 // CRC-32C of its bytes, filled in by Write
}

// Func returns the func with the given name, or nil.
func (p *Program) Func(name string) *Func {
	for i := range p.Funcs {
		if p.Funcs[i].Name == name {
			return &p.Funcs[i]
		}
	}
	return nil
}

// SymbolIndex returns the number of the symbol with the given name, or -1.
func (p *Program) SymbolIndex(name string) int {
	for i, s := range p.Symbols {
		if s.Name == name {
			return i
		}
	}
	return -1
}

// Maxima returns the largest value of every symbol.
func (p *Program) Maxima() []int64 {
	syms := make([]int64, len(p.Symbols))
	for i, s := range p.Symbols {
		syms[i] = s.Max
	}
	return syms
}

// MoveCode says that a program's code begins so many bytes further in that of its kind.
func (p *Program) MoveCode(by int64) {
	for i := range p.Kernels {
		p.Kernels[i].CodeOffset += by
	}
	for i := range p.Parts {
		p.Parts[i].At += by
	}
	if p.Target.Kind == PTX {
		p.Text.Offset += by
	} else {
		p.WorkerOffset += by
	}
}
