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

// Case is a conformance case of an operation, ready to run: a verified function @op of that one operation, random
// inputs x0, x1, … and the reference results. Backends run Func and Check their results.
type Case struct {
	Name   string // the operation and the types of its operands
	Def    *ir.OpDef
	Func   *ir.Func
	Inputs map[string]*Tensor
	Syms   map[string]int
	Want   []*Tensor // of the outputs, which ResultName names
	exact  []*Tensor // Want before it was rounded to the format that it is stored in; Want itself where nothing was
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
	return c, c.Evaluate()
}

// Evaluate computes Want from the inputs. A test that changes inputs calls it again.
func (c *Case) Evaluate() error {
	out, err := Func(c.Func, c.Inputs, c.Syms)
	if err != nil {
		return err
	}
	unrounded, err := c.unrounded()
	if err != nil {
		return err
	}
	c.Want, c.exact = nil, nil
	for _, r := range c.Func.Results {
		want := out[r.Name]
		c.Want = append(c.Want, want)
		if exact := unrounded[r.Name]; exact != nil {
			want = exact
		}
		c.exact = append(c.exact, want)
	}
	return nil
}

// unrounded evaluates the results that end with a conversion to 16 bits, or to groups of 8, without it.
func (c *Case) unrounded() (map[string]*Tensor, error) {
	f := c.Func.Clone(&ir.Module{Symbols: c.Func.Module.Symbols})
	values := f.Ops[0].Results
	if c.Def.Fused() {
		values = c.Def.Expand(ir.NewBuilder(f), f.Ops[0])
	}
	results := f.Results
	f.Results = nil
	for i, v := range values {
		if d := v.Type.DType; v.Def.Def == ir.OpConvert && !d.IsArithmetic() && (!d.IsQuantized() || d.IsActivation()) {
			f.Return(results[i].Name, v.Def.In[0])
		}
	}
	return Func(f, c.Inputs, c.Syms)
}

// Widen converts results in storage formats that the operation only passes on to float32: kernels read such formats but
// do not write them.
func (c *Case) Widen() {
	for i, want := range c.Want {
		if d := want.DType; c.exact[i] != want || !d.IsFloat() || d.IsQuantized() {
			continue
		}
		r := &c.Func.Results[i]
		r.Value = ir.NewBuilder(c.Func).Convert(r.Value, ir.F32)
		want.DType = ir.F32
	}
}

// Check compares results with the reference under the operation's tolerance. A result rounded to a storage format must
// be what some value within the tolerance rounds to. Check returns the greatest error as a fraction of the allowed one,
// and an error if that exceeds 1.
func (c *Case) Check(got ...*Tensor) (worst float64, err error) {
	if len(got) != len(c.Want) {
		return math.Inf(1), fmt.Errorf("%s: %d results, expected %d", c.Name, len(got), len(c.Want))
	}
	var errs []error
	for i, want := range c.Want {
		x, exact := got[i], c.exact[i]
		if exact != want && x.DType == want.DType && slices.Equal(x.Shape, want.Shape) {
			x, want = nearest(x, exact), exact
		}
		e, err := Compare(x, want, c.Def.Tol)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s, %s: %w", c.Name, ResultName(i, len(got)), err))
		}
		worst = max(worst, e)
	}
	return worst, errors.Join(errs...)
}

// nearest returns, for every element in a storage format, the value nearest to that of exact which rounds to it: within
// half a step of the format. The greatest magnitude of a group of 8-bit integers is exact, but for float32 arithmetic:
// it gives their scale.
func nearest(stored, exact *Tensor) *Tensor {
	out := New(exact.DType, exact.Shape...)
	within := func(i int, half float64) {
		out.Data[i] = min(max(exact.Data[i], stored.Data[i]-half), stored.Data[i]+half)
	}
	_, size := stored.DType.Group()
	if size == 0 {
		digits, smallest := 8, 0x1p-133 // of bfloat16: binary digits, least subnormal
		if stored.DType == ir.F16 {
			digits, smallest = 11, 0x1p-24
		}
		for i, v := range stored.Data {
			_, exp := math.Frexp(v)
			within(i, max(math.Ldexp(1, exp-digits), smallest)/2)
		}
		return out
	}
	k := stored.Shape[len(stored.Shape)-1]
	for at := 0; at < len(out.Data); at += min(size, k-at%k) {
		end, greatest := at+min(size, k-at%k), at
		for i := at; i < end; i++ {
			if math.Abs(exact.Data[i]) > math.Abs(exact.Data[greatest]) {
				greatest = i
			}
		}
		top := math.Abs(stored.Data[greatest])
		for i := at; i < end; i++ {
			half := top * 0x1p-22
			if i != greatest {
				half += top / 127 / 2
			}
			within(i, half)
		}
	}
	return out
}

// Compare compares got with want under a tolerance. It returns the greatest error as a fraction of the allowed one, and
// an error that names the worst element if that exceeds 1, or the types or shapes if these differ.
func Compare(got, want *Tensor, tol ir.Tol) (worst float64, err error) {
	if got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) || len(got.Data) != len(want.Data) {
		return math.Inf(1), fmt.Errorf("result is %s%v, expected %s%v", got.DType, got.Shape, want.DType, want.Shape)
	}
	norm := Norm(want)
	at := 0
	for i, w := range want.Data {
		if e := tol.Error(got.Data[i], w, norm); e > worst {
			worst, at = e, i
		}
	}
	if worst > 1 {
		return worst, fmt.Errorf("element %d of %v is %.9g, expected %.9g: %.3g times the error allowed (%g ULP + %g of the largest, %.3g)",
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
