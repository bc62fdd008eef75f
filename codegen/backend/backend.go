// Package backend is the record by which the driver of code generation knows a kind of machine. codegen/cpu and
// codegen/ptx make such records; another backend is a package that makes one more.
//
// A backend is asked for the kernels of specs (codegen/kernels); it never sees a graph.
package backend

import (
	"context"

	"pgc/codegen/kernels"
	"pgc/ir/tile"
	"pgc/runtime/program"
)

// Backend is a kind of machine that modules are compiled for.
type Backend struct {
	Target   program.Target
	MinBatch int // as program.Program has it
	// Without lists the optional passes that make what this backend has no kernels for: they are left out.
	Without []string
	// With lists the passes that this backend asks for.
	With []string
	// Layout says how a matrix of a storage format is packed that products read, with rows of bfloat16 (bf16) or of
	// another type: the kind and the packing of k. The driver completes it with which rows of the weight these are.
	Layout func(d program.DType, bf16 bool) program.Layout
	// Rows says that products can read matrices of few rows as they lie in the file, row by row. Otherwise Device packs them.
	Rows bool
	// Device says how a weight lies in the memory of a device. Where it is nil, or returns nil, the weight lies there as in
	// the file. The kernels' names begin with name. Weights of one type, shape and layout share them. Programs for CPUs use
	// the file itself.
	Device func(name string, w program.Weight) (*Device, error)
	// Build makes the kernels that compute a spec, launched one after the other; their names begin with name. Errors
	// name the kernel.
	Build func(name string, s kernels.Spec) (*Launches, error)
	// Assemble makes the code of all kernels of a program.
	Assemble func(ctx context.Context, ks []*Kernel) (*Code, error)
	// Join lays out the code of several programs that share a section of the file together, what is equal once. It
	// returns the section and where the programs' kernels and worker loops begin in it. nil: one lies behind the other.
	Join func(codes []*Code) ([]byte, []*Code, error)
}

// Launches are the kernels of one spec.
type Launches struct {
	Kernels   []*Kernel
	WorkBytes int64 // of the memory that they hand on to each other, which arguments of kind kernels.ArgWork point to
}

// Device is a weight in the memory of a device: its size, of which every selection of its layout has an equal part, and
// the kernels that write it, launched one after the other. Their operand 0 is the weight as it is in the file, their
// result 0 the weight on the device.
type Device struct {
	Bytes   int64
	Kernels []*Kernel
}

// Kernel is a kernel of a program.
type Kernel struct {
	program.Kernel                  // how it is launched
	Spec           kernels.Spec     // what it computes: the spec that was asked for, or a part of it; nil where it only prepares or ends the work of others
	Args           []kernels.Arg    // the parameters; operands and results are numbered as those of the spec that was asked for
	Tasks          []kernels.Factor // their product, with those that the grains make, is the number of tasks
	Grains         []kernels.Grain
	Tile           *tile.Kernel // what it is made of, or nil where the backend writes its own code
	Text           string       // code in text that Assemble puts together, where there is any
}

// Code is the code of a program.
type Code struct {
	Section string // of the file
	Align   int64  // of the code in its section
	Bytes   []byte
	Offsets []int64        // where each kernel begins
	Worker  int64          // where the worker loop begins; 0 for machines that need none
	Objects [][]byte       // what Bytes are linked from, and
	Names   []string       // the symbols of the kernels there, for Join
	Parts   []program.Part // what of joined code this program needs; nil for all
	Text    int64          // length of the code that is the program's own text; 0 where kernels are code of the machine
}
