package ptx

import "pgc/ir/tile"

// anyMultiple is what zero is a multiple of.
const anyMultiple = 1 << 40

// multipleOf is the greatest power of two that n is a multiple of.
func multipleOf(n int64) int64 {
	if n == 0 {
		return anyMultiple
	}
	return n & -n
}

// multiple is a power of two that a number is a multiple of, or a pointer in bytes, as far as it is known.
func (e *emitter) multiple(v *tile.Value) int64 {
	if n, ok := e.known[v]; ok {
		return n
	}
	return 1
}

// note1 notes what the result of an instruction is a multiple of.
func (e *emitter) note1(in *tile.Inst) {
	out := in.Out[0]
	if !out.Type.Ptr && (out.Type.Elem != tile.I64 || out.Type.Lanes != 1) {
		return
	}
	of := func(i int) int64 { return e.multiple(in.Args[i]) }
	switch in.Op {
	case tile.Const:
		e.known[out] = multipleOf(in.Imm)
	case tile.Add, tile.Sub, tile.Min, tile.Max, tile.Rem:
		e.known[out] = min(of(0), of(1))
	case tile.Mul:
		e.known[out] = min(anyMultiple, of(0)*min(of(1), anyMultiple/of(0)))
	case tile.PtrAdd:
		e.known[out] = min(of(0), of(1)*int64(out.Type.Elem.Bytes()))
	case tile.PtrCast:
		e.known[out] = of(0)
	}
}
