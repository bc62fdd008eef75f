// Package evaluate runs a function of a module in the reference evaluator on tensors of a safetensors file.
package evaluate

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"pgc/ir"
	"pgc/ir/eval"
	"pgc/runtime/safetensors"
)

// Request is one evaluation.
type Request struct {
	Func string         // the function; empty for the only one
	Syms map[string]int // values of symbols; those of dimensions follow from the tensors
	In   string         // safetensors: inputs, states and weights by parameter name or, for weights, by checkpoint name
	Out  string         // safetensors: outputs by name and updated states by the name of the state
}

// Run evaluates. Errors name the file and the tensor, and what was expected.
func Run(m *ir.Module, r Request) error {
	f, err := function(m, r.Func)
	if err != nil {
		return err
	}
	file, err := safetensors.Open(r.In)
	if err != nil {
		return err
	}
	defer file.Close()
	syms := map[string]int{}
	for name, v := range r.Syms {
		bound, ok := m.Bound(name)
		if !ok {
			return fmt.Errorf("--sym %s=%d: the module declares no symbol %s", name, v, name)
		}
		if v < 0 || v > bound {
			return fmt.Errorf("--sym %s=%d: expected 0 to %d", name, v, bound)
		}
		syms[name] = v
	}
	in := map[string]*eval.Tensor{}
	for _, p := range f.Params {
		t, ok := file.Tensor(p.Name)
		if !ok && p.Kind == ir.Weight {
			t, ok = file.Tensor(p.Key)
		}
		if !ok {
			return fmt.Errorf("%s: no tensor %s, expected the %s %s of @%s", r.In, p.Name, p.Kind, p.Type, f.Name)
		}
		if err := bind(p.Type, t.Shape, syms); err != nil {
			return fmt.Errorf("%s: tensor %s is %s%v: %w", r.In, t.Name, t.DType, t.Shape, err)
		}
		v, err := read(p.Type, t)
		if err != nil {
			return fmt.Errorf("%s: tensor %s: %w", r.In, t.Name, err)
		}
		in[p.Name] = v
		if p.Kind == ir.Weight {
			in[p.Key] = v
		}
	}
	out, err := eval.Func(f, in, syms)
	if err != nil {
		return fmt.Errorf("%w (symbols that no dimension gives are set by --sym NAME=N)", err)
	}
	return write(r.Out, f, out)
}

func function(m *ir.Module, name string) (*ir.Func, error) {
	var names []string
	for _, f := range m.Funcs {
		names = append(names, f.Name)
	}
	switch f := m.Func(name); {
	case f != nil:
		return f, nil
	case name != "":
		return nil, fmt.Errorf("there is no function @%s: expected one of %s", name, strings.Join(names, ", "))
	case len(m.Funcs) != 1:
		return nil, fmt.Errorf("the module has %d functions: choose one of %s with --func", len(names), strings.Join(names, ", "))
	}
	return m.Funcs[0], nil
}

// bind gives symbols the values that a tensor's shape says.
func bind(t ir.Type, shape []int, syms map[string]int) error {
	if len(shape) != t.Rank() {
		return fmt.Errorf("expected %s", t)
	}
	for i, d := range t.Shape {
		switch known, ok := syms[d.Sym]; {
		case d.IsConst() && d.N != shape[i]:
			return fmt.Errorf("expected %s", t)
		case d.IsConst():
		case ok && known != shape[i]:
			return fmt.Errorf("expected %s with %s = %d", t, d.Sym, known)
		default:
			syms[d.Sym] = shape[i]
		}
	}
	return nil
}

// formats are the element types of files.
var formats = map[ir.DType]safetensors.DType{ir.F32: safetensors.F32, ir.BF16: safetensors.BF16, ir.F16: safetensors.F16,
	ir.I32: safetensors.I32, ir.Bool: safetensors.Bool}

// read decodes a tensor; 64-bit integers are taken for i32 where they fit.
func read(t ir.Type, x safetensors.Tensor) (*eval.Tensor, error) {
	if t.DType == ir.I32 && x.DType == safetensors.I64 {
		out := eval.New(ir.I32, x.Shape...)
		for i := range out.Data {
			v := int64(binary.LittleEndian.Uint64(x.Data[8*i:]))
			if v != int64(int32(v)) {
				return nil, fmt.Errorf("element %d is %d, which no i32 holds", i, v)
			}
			out.Data[i] = float64(v)
		}
		return out, nil
	}
	if x.DType != formats[t.DType] {
		return nil, fmt.Errorf("has type %s, expected %s for %s", x.DType, formats[t.DType], t)
	}
	return eval.Decode(t.DType, x.Data, x.Shape...)
}

// write stores the results in the order of the function.
func write(path string, f *ir.Func, out map[string]*eval.Tensor) error {
	var specs []safetensors.Spec
	var data [][]byte
	for _, r := range f.Results {
		name := r.Name
		if r.State != nil {
			name = r.State.Name
		}
		if slices.ContainsFunc(specs, func(s safetensors.Spec) bool { return s.Name == name }) {
			return fmt.Errorf("%s: two results are named %s", path, name)
		}
		t := out[name]
		specs = append(specs, safetensors.Spec{Name: name, DType: formats[t.DType], Shape: t.Shape})
		data = append(data, t.Encode())
	}
	w, err := safetensors.Create(path, nil, specs)
	if err != nil {
		return err
	}
	for _, b := range data {
		if _, err := w.Write(b); err != nil {
			w.Abort()
			return err
		}
	}
	return w.Close()
}
