package eval

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"pgc/ir"
)

// Case is a conformance case of an operation, ready to run: a verified function @op of that one operation, random inputs x0, x1, … and
// the reference results. The backends run Func their way and Check what came out.
type Case struct {
	Name   string // the operation and the types of its operands
	Def    *ir.OpDef
	Func   *ir.Func
	Inputs map[string]*Tensor
	Syms   map[string]int
	Want   []*Tensor // of the outputs, which ResultName names
}

// Cases returns the conformance cases of an operation. Equal calls give equal cases.
func Cases(def *ir.OpDef) ([]*Case, error) {
	var cases []*Case
	for i, s := range def.Cases() {
		c, err := newCase(def, s)
		if err != nil {
			return nil, fmt.Errorf("%s sample %d: %w", def.Name, i, err)
		}
		cases = append(cases, c)
	}
	return cases, nil
}

func newCase(def *ir.OpDef, s ir.Sample) (*Case, error) {
	m := &ir.Module{}
	for _, name := range slices.Sorted(maps.Keys(s.Syms)) {
		m.Symbols = append(m.Symbols, ir.Symbol{Name: name, Max: s.Syms[name] + 2})
	}
	f := m.NewFunc("op")
	c := &Case{Name: def.Name, Def: def, Func: f, Inputs: map[string]*Tensor{}, Syms: s.Syms}
	h := fnv.New64a()
	h.Write([]byte(def.Name))
	rng := rand.New(rand.NewPCG(h.Sum64(), uint64(len(s.In))))
	in := make([]*ir.Value, len(s.In))
	for i, t := range s.In {
		name := fmt.Sprintf("x%d", i)
		in[i] = f.AddParam(ir.Input, name, "", t)
		x, err := Random(rng, t, s.Syms, s.Range(i))
		if err != nil {
			return nil, err
		}
		c.Inputs[name] = x
		c.Name += " " + t.String()
	}
	op, err := ir.NewOp(def, s.Attrs, in...)
	if err != nil {
		return nil, err
	}
	f.Insert(nil, op)
	for i, v := range op.Results {
		f.Return(ResultName(i, len(op.Results)), v)
	}
	if err := m.Verify(); err != nil {
		return nil, err
	}
	out, err := Func(f, c.Inputs, c.Syms)
	if err != nil {
		return nil, err
	}
	for _, r := range f.Results {
		c.Want = append(c.Want, out[r.Name])
	}
	return c, nil
}

// Check compares results with the reference under the operation's tolerance. It returns the greatest error, in parts of what is
// allowed, and what is wrong when that exceeds 1.
func (c *Case) Check(got ...*Tensor) (worst float64, err error) {
	if len(got) != len(c.Want) {
		return math.Inf(1), fmt.Errorf("%s: %d results, expected %d", c.Name, len(got), len(c.Want))
	}
	var errs []error
	for i, want := range c.Want {
		e, err := Compare(got[i], want, c.Def.Tol)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s, %s: %w", c.Name, ResultName(i, len(got)), err))
		}
		worst = max(worst, e)
	}
	return worst, errors.Join(errs...)
}

// Compare measures got against want under a tolerance: the greatest error in parts of what is allowed (0 when all is exact), and
// an error naming the worst element when that exceeds 1 or the tensors differ in type or shape.
func Compare(got, want *Tensor, tol ir.Tol) (worst float64, err error) {
	if got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) || len(got.Data) != len(want.Data) {
		return math.Inf(1), fmt.Errorf("result is %s%v, wants %s%v", got.DType, got.Shape, want.DType, want.Shape)
	}
	norm := Norm(want)
	at := 0
	for i, w := range want.Data {
		if e := tol.Error(got.Data[i], w, norm); e > worst {
			worst, at = e, i
		}
	}
	if worst > 1 {
		return worst, fmt.Errorf("element %d of %v is %.9g, wants %.9g: %.3g times the error allowed (%g ULP + %g of the largest, %.3g)",
			at, want.Shape, got.Data[at], want.Data[at], worst, tol.ULP, tol.Norm, norm)
	}
	return worst, nil
}

// Norm is the largest finite magnitude in t.
func Norm(t *Tensor) float64 {
	norm := 0.0
	for _, v := range t.Data {
		if a := math.Abs(v); !math.IsInf(a, 0) && a > norm {
			norm = a
		}
	}
	return norm
}
