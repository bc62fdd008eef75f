// Package ptx emits kernels as PTX 7.0 text for NVIDIA GPUs of compute capability 8.0 and later. It is a second backend
// in miniature: what it shows is that the tile IR fits a warp as well as a SIMD register.
//
// A fragment of 32 lanes is one register in each thread of a warp, and a scalar is a register that holds the same in all
// of them. So the templates Map, Row and Einsum, built for Target, are lowered as they are: a warp takes a task, lane i of a load
// is thread i's address, a tail is a predicate on the lane, a reduction by halves is shuffles. A kernel whose operands lie
// such that it has no vectors gives every thread a task of its own. Warps stride over the tasks, so any grid will do.
//
// The loop of a matrix product is not shared with the CPU: a pipeline of asynchronous copies into swizzled shared memory
// and tensor cores is another algorithm than panels and a microkernel. It leaves the sums in shared memory, and the end is
// the tile kernel kernels.Epilogue, whose expressions are those that the CPU runs. A prologue becomes a row kernel.
//
// Arithmetic is that of the tile interpreter, bit for bit, but for the payload of NaN: every rounding is .rn, nothing is
// contracted or approximated, and transcendental functions are the polynomials of ir/scalar. Only how the tensor cores add
// is their own; emu knows how an H100 does it.
//
// The tests run every kernel in the emulator emu and, where PGC_CUDA is set, on a GPU, too (docs/PTX.md).
//
// Every kernel's last parameter is the number of tasks. The package imports ir/scalar, ir/tile, ir/target and
// codegen/kernels; it never sees a graph.
package ptx

import (
	"fmt"
	"strings"

	"pgc/codegen/kernels"
	"pgc/ir/target"
)

// Target is what kernels are built for: the lanes are a warp's. Tasks are short, as there are thousands of warps.
var Target = target.Target{Name: "sm_80", Level: "sm_80", Lanes: warp, Regs: 255, Task: 1024, L1: 128 << 10, L2: 4 << 20}

const (
	warp    = 32
	threads = 128 // of a block
)

// Kernel is an entry and how it is launched.
type Kernel struct {
	Name  string
	Text  string           // the entry, without the module's head
	Args  []kernels.Arg    // the parameters before the last one, which is the number of tasks
	Tasks []kernels.Factor // their product is the number of tasks
	// A grid of one dimension and of Threads in a block; Blocks of them have a task for everyone.
	Threads int
	perTask int // threads of a task
}

// Build emits the kernels of a spec: one of a map, row or einsum, those of Matmul of a product. Attention is an error.
func Build(name string, s kernels.Spec) ([]*Kernel, error) {
	switch s := s.(type) {
	case *kernels.Map, *kernels.Row, *kernels.Einsum:
		k, err := kernels.Build(name, s, Target)
		if err != nil {
			return nil, err
		}
		e, err := Emit(k)
		return []*Kernel{e}, err
	case *kernels.Matmul:
		return Matmul(name, s)
	}
	return nil, fmt.Errorf("kernel %s: PTX: no template for %s", name, s.Kind())
}

// Module returns the text of a module: the kernels' entries, in order.
func Module(ks []*Kernel) string {
	var out strings.Builder
	out.WriteString(".version 7.0\n.target sm_80\n.address_size 64\n")
	for _, k := range ks {
		out.WriteString("\n" + k.Text)
	}
	return out.String()
}

// entry makes a kernel's text of its body: parameters, registers, instructions.
func (a *asm) entry(name string, params []param, shared int) string {
	var out strings.Builder
	fmt.Fprintf(&out, ".visible .entry %s(\n", name)
	for i, p := range params {
		fmt.Fprintf(&out, "\t.param .%s %s", p.typ, p.name)
		if i < len(params)-1 {
			out.WriteByte(',')
		}
		out.WriteByte('\n')
	}
	fmt.Fprintf(&out, ")\n.reqntid %d, 1, 1\n{\n", threads)
	for c, n := range a.used {
		if n > 0 {
			fmt.Fprintf(&out, "\t.reg .%s %s<%d>;\n", classes[c].typ, classes[c].prefix, n)
		}
	}
	if shared > 0 {
		fmt.Fprintf(&out, "\t.shared .align 128 .b8 %s[%d];\n", sharedName, shared)
	}
	out.WriteString(a.text.String())
	out.WriteString("\tret;\n}\n")
	return out.String()
}

// param is a parameter of an entry.
type param struct{ typ, name string }
