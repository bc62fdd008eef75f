package llvm

import (
	"github.com/llir/llvm/ir"
	"github.com/llir/llvm/ir/value"
)

// sweep removes instructions whose results nothing uses: what the tile IR computes for addresses, where pointers walk or
// hold the sum. llc would remove them, too, after it has read and looked at each.
func sweep(f *ir.Func) {
	uses := map[value.Value]int{}
	count := func(in interface{ Operands() []*value.Value }, n int) {
		for _, v := range in.Operands() {
			uses[*v] += n
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
			if pure(in) && uses[in.(value.Value)] == 0 {
				count(in, -1)
				continue
			}
			kept--
			b.Insts[kept] = in
		}
		b.Insts = b.Insts[kept:]
	}
}

// pure reports whether an instruction does nothing but compute its result.
func pure(in ir.Instruction) bool {
	switch in.(type) {
	case *ir.InstAdd, *ir.InstSub, *ir.InstMul, *ir.InstGetElementPtr, *ir.InstBitCast:
		return true
	}
	return false
}
