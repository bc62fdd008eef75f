package tile

import "fmt"

// Verify checks every instruction against the table of operations, that parameters are declared, that operands are
// defined before their use and inside the blocks that see them, and that nothing is defined twice.
func Verify(k *Kernel) error {
	v := &verifier{kernel: k, visible: map[*Value]bool{}, defined: map[*Value]bool{}}
	err := v.block(k.Body)
	switch {
	case err != nil:
	case !symbol.MatchString(k.Name):
		err = fmt.Errorf("the name is not letters, digits and underscores")
	case len(k.Body.Args) > 0 || len(k.Body.Yield) > 0:
		err = fmt.Errorf("the body takes or yields values")
	}
	if err != nil {
		return fmt.Errorf("kernel %s: %w", k.Name, err)
	}
	return nil
}

type verifier struct {
	kernel           *Kernel
	visible, defined map[*Value]bool
}

func (v *verifier) block(b *Block) error {
	var local []*Value
	define := func(vs []*Value) error {
		for _, x := range vs {
			if x == nil || v.defined[x] || x.ID < 0 || x.ID >= v.kernel.values {
				return fmt.Errorf("a value is missing or defined twice")
			}
			v.visible[x], v.defined[x] = true, true
			local = append(local, x)
		}
		return nil
	}
	if err := define(b.Args); err != nil {
		return err
	}
	for _, in := range b.Insts {
		if err := check(in); err != nil {
			return err
		}
		for i, a := range in.Args {
			if !v.visible[a] {
				return fmt.Errorf("operand %d of %s is used before it is defined or outside its block", i, in.Op)
			}
		}
		if err := v.param(in); err != nil {
			return err
		}
		for _, blk := range in.Blocks {
			if err := v.block(blk); err != nil {
				return err
			}
		}
		if err := define(in.Out); err != nil {
			return fmt.Errorf("%s: %w", in.Op, err)
		}
	}
	for _, y := range b.Yield {
		if !v.visible[y] {
			return fmt.Errorf("a block yields a value it does not see")
		}
	}
	for _, x := range local {
		delete(v.visible, x)
	}
	return nil
}

func (v *verifier) param(in *Inst) error {
	if in.Op != Param {
		return nil
	}
	if in.Imm < 0 || in.Imm >= int64(len(v.kernel.Params)) || in.Out[0].Type != v.kernel.Params[in.Imm].Type {
		return fmt.Errorf("param %d is not one of the kernel's %d or has another type", in.Imm, len(v.kernel.Params))
	}
	return nil
}
