package codegen

import (
	"fmt"

	"pgc/codegen/kernels"
)

// label describes for a kernel's name what it works on: of a matmul its rows, K and columns and its weights, as in
// Sx2048x32768_int4, with _int8 or _bf16 behind if its activations are such, too; three plain parts, whose columns the launch
// says, are 3r. Of an attention it returns its key heads, query heads for each and head size, and of other kernels "".
func label(s kernels.Spec) string {
	switch s := s.(type) {
	case *kernels.Matmul:
		columns, plain := int64(0), 0
		for _, p := range s.Parts {
			if p.Plain != (kernels.Size{}) {
				plain++
			} else {
				columns += int64(p.Accs) * p.Blocks * p.N
			}
		}
		of := fmt.Sprint(columns)
		switch {
		case plain > 0 && columns > 0:
			of = fmt.Sprintf("%dand%dr", columns, plain)
		case plain > 0:
			of = fmt.Sprintf("%dr", plain)
		}
		kind := s.Parts[0].RHS().String()
		if x := s.LHS(); x != kernels.F32 {
			kind += "_" + x.String()
		}
		return fmt.Sprintf("%sx%dx%s_%s", extent(s.M), s.K, of, kind)
	case *kernels.Argmax:
		return label(s.Matmul)
	case *kernels.Attention:
		return fmt.Sprintf("%dx%dx%d", s.G, s.R, s.H)
	}
	return ""
}

func extent(s kernels.Size) string {
	if s.Sym != "" {
		return s.Sym
	}
	return fmt.Sprint(s.N)
}
