package llvm

import (
	"github.com/llir/llvm/ir"
	"github.com/llir/llvm/ir/value"
)

// sweep removes instructions whose results nothing uses: what the tile IR computes for addresses, where pointers walk or
// hold the sum. llc would remove them, too, after it has read and looked at each.
func sweep(f *ir.Func) {
	// Results are numbered by their ids, which are 0 again at the end: the printer gives each its own.
	var uses []int
	for _, b := range f.Blocks {
		for _, in := range b.Insts {
			if pure(in) {
				in.(numbered).SetID(int64(1 + len(uses)))
				uses = append(uses, 0)
			}
		}
	}
	count := func(in interface{ Operands() []*value.Value }, n int) {
		for _, v := range in.Operands() {
			if in, ok := (*v).(numbered); ok && in.ID() != 0 {
				uses[in.ID()-1] += n
			}
		}
	}
	for _, b := range f.Blocks {
		for _, in := range b.Insts {
			count(in, 1)
		}
		count(b.Term, 1)
	}
	// A use comes behind its definition, but for those of phis, which stay.
	for i := len(f.Blocks) - 1; i >= 0; i-- {
		b := f.Blocks[i]
		kept := len(b.Insts)
		for j := len(b.Insts) - 1; j >= 0; j-- {
			in := b.Insts[j]
			if pure(in) {
				in := in.(numbered)
				unused := uses[in.ID()-1] == 0
				in.SetID(0)
				if unused {
					count(b.Insts[j], -1)
					continue
				}
			}
			kept--
			b.Insts[kept] = in
		}
		b.Insts = b.Insts[kept:]
	}
}

// numbered is an instruction with a result.
type numbered interface {
	ID() int64
	SetID(int64)
}

// pure reports whether an instruction does nothing but compute its result.
func pure(in ir.Instruction) bool {
	switch in.(type) {
	case *ir.InstAdd, *ir.InstSub, *ir.InstMul, *ir.InstGetElementPtr, *ir.InstBitCast:
		return true
	}
	return false
}
