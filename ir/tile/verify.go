package tile

import "fmt"

// Verify checks that every operand is defined before its use, that stores and loads go through pointers, and that
// blocks yield what their loops and ifs carry. The Builder guarantees the types of arithmetic.
func Verify(k *Kernel) error {
	v := &verifier{seen: map[*Value]bool{}}
	if err := v.block(k.Body); err != nil {
		return fmt.Errorf("kernel %s: %w", k.Name, err)
	}
	return nil
}

type verifier struct{ seen map[*Value]bool }

func (v *verifier) block(b *Block) error {
	var local []*Value
	define := func(vs ...*Value) {
		for _, x := range vs {
			v.seen[x] = true
			local = append(local, x)
		}
	}
	define(b.Args...)
	for _, in := range b.Insts {
		for i, a := range in.Args {
			if !v.seen[a] {
				return fmt.Errorf("operand %d of %s is used before it is defined", i, in.Op)
			}
		}
		switch in.Op {
		case Load, LoadTail, Store, StoreTail, Prefetch, PtrAdd:
			if !in.Args[0].Type.Ptr || in.Args[1].Type != Scalar(I64) {
				return fmt.Errorf("%s of %s at %s", in.Op, in.Args[0].Type, in.Args[1].Type)
			}
		case For, If:
			for _, blk := range in.Blocks {
				if err := v.block(blk); err != nil {
					return err
				}
				if len(blk.Yield) != len(in.Out) {
					return fmt.Errorf("%s gives %d values, its block yields %d", in.Op, len(in.Out), len(blk.Yield))
				}
				for i, y := range blk.Yield {
					if y.Type != in.Out[i].Type {
						return fmt.Errorf("%s gives %s, its block yields %s", in.Op, in.Out[i].Type, y.Type)
					}
				}
			}
		}
		define(in.Out...)
	}
	for _, y := range b.Yield {
		if !v.seen[y] {
			return fmt.Errorf("a block yields a value it does not see")
		}
	}
	for _, x := range local {
		delete(v.seen, x)
	}
	return nil
}
