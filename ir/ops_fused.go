package ir

import (
	"errors"
	"fmt"
	"slices"
)

// Gather makes operand Table of a map a lookup: the map reads rows table[index[…]] for operand Index.
type Gather struct{ Table, Index int }

// String prints the pair as [0, 1].
func (g Gather) String() string { return fmt.Sprintf("[%d, %d]", g.Table, g.Index) }

// Scatter makes what is computed rows of a state: the result is operand State with the rows scattered to operand
// Positions. The zero Scatter means none.
type Scatter struct{ State, Positions int }

// String prints the pair as [0, 1].
func (s Scatter) String() string { return fmt.Sprintf("[%d, %d]", s.State, s.Positions) }

// check returns an error unless the operands are two of n, of which expressions read neither.
func (s Scatter) check(n int, refs map[int]bool) error {
	if s.State < 0 || s.State >= n || s.Positions < 0 || s.Positions >= n || s.State == s.Positions || refs[s.State] || refs[s.Positions] {
		return fmt.Errorf("scatter %s names operands that are not there or that expressions read", s)
	}
	return nil
}

// MapAttrs are the attributes of map.
type MapAttrs struct {
	Exprs   []*Expr  `ir:"exprs"`
	Gathers []Gather `ir:"gathers,opt"`
	DType   DType    `ir:"dtype,opt"` // the 16-bit format that an f32 result is stored in, if any
	Scatter Scatter  `ir:"scatter,opt"`
}

// OpMap is a fused chain of elementwise operations: expressions over the elements of the operands, which broadcast to
// one domain. The values of several expressions are concatenated along the last axis, as in a rotary embedding, which
// has two. An operand may be a table that another operand indexes, as in an embedding. Storage formats are read as f32.
// With scatter the values are rows of a state, at a position for each sequence, as in the key cache of a batch.
var OpMap = Define(OpDef{Name: "map", Doc: "expressions over broadcast operands, concatenated along the last axis",
	In: []Operands{{"x", AnyDType}}, Variadic: true, Attrs: MapAttrs{}, Tol: Tol{ULP: 8, Norm: 1e-6},
	Infer: inferMap, Expand: expandMap, Samples: mapSamples(),
})

// MapOperands returns the types of the operands of a map in its expressions. A gathered table has the type of the rows
// read. An operand that is only an index does not belong to the domain and has DType Invalid.
func MapOperands(in []Type, a MapAttrs) ([]Type, error) {
	seen := slices.Clone(in)
	refs := refsOf(a.Exprs...)
	for _, g := range a.Gathers {
		if g.Table < 0 || g.Table >= len(in) || g.Index < 0 || g.Index >= len(in) || g.Table == g.Index {
			return nil, fmt.Errorf("gather %s names operands that are not there", g)
		}
		t, err := OpGather.InferType([]Type{in[g.Table], in[g.Index]}, nil)
		if err != nil {
			return nil, fmt.Errorf("gather %s: %w", g, err)
		}
		seen[g.Table] = t
	}
	for _, g := range a.Gathers {
		if !refs[g.Index] {
			seen[g.Index] = Type{}
		}
	}
	if s := a.Scatter; s != (Scatter{}) {
		if err := s.check(len(in), refs); err != nil {
			return nil, err
		}
		seen[s.State], seen[s.Positions] = Type{}, Type{}
	}
	return seen, nil
}

// refsOf returns the operands that expressions refer to.
func refsOf(exprs ...*Expr) map[int]bool {
	refs := map[int]bool{}
	for _, e := range exprs {
		e.Walk(func(e *Expr) {
			if e.Kind == ExprOperand {
				refs[e.Index] = true
			}
		})
	}
	return refs
}

// MapDomain returns the shape of the domain of a map's expressions.
func MapDomain(in []*Value, a MapAttrs) ([]Dim, error) {
	types, err := MapOperands(typesOf(in), a)
	if err != nil {
		return nil, err
	}
	return domain(types)
}

// domain returns the shape that the operands broadcast to.
func domain(types []Type) ([]Dim, error) {
	var shapes [][]Dim
	for _, t := range types {
		if t.DType != Invalid {
			shapes = append(shapes, t.Shape)
		}
	}
	return Broadcast(shapes...)
}

// operandType returns a leaf function for expressions whose only references are operands.
func operandType(types []Type) func(*Expr) (DType, error) {
	return func(e *Expr) (DType, error) {
		if e.Kind != ExprOperand || e.Index < 0 || e.Index >= len(types) {
			return Invalid, noLeaf(e, "operand", len(types))
		}
		return FromScalar(types[e.Index].DType.Scalar()), nil
	}
}

func inferMap(in []Type, attrs any) (Type, error) {
	a := attrs.(MapAttrs)
	if len(a.Exprs) == 0 || len(in) == 0 {
		return Type{}, errors.New("has no expressions or no operands")
	}
	types, err := MapOperands(in, a)
	if err != nil {
		return Type{}, err
	}
	shape, err := domain(types)
	if err != nil {
		return Type{}, err
	}
	out := Invalid
	for i, e := range a.Exprs {
		d, err := e.scalarType(operandType(types))
		if err != nil {
			return Type{}, err
		}
		if i > 0 && d != out {
			return Type{}, fmt.Errorf("expressions are of types %s and %s, expected one type", out, d)
		}
		out = d
	}
	if n := len(a.Exprs); n > 1 {
		if len(shape) == 0 || !shape[len(shape)-1].IsConst() {
			return Type{}, fmt.Errorf("%d expressions over the domain %s, whose last dimension is not constant", n, FormatDims(shape))
		}
		shape[len(shape)-1].N *= n
	}
	out, err = storedAs(a.DType, out)
	if s := a.Scatter; s != (Scatter{}) && err == nil {
		return OpScatter.InferType([]Type{in[s.State], {out, shape}, in[s.Positions]}, nil)
	}
	return Type{out, shape}, err
}

// storedAs returns the type of a result that is computed in one type and stored in another, or in the same if stored is
// Invalid.
func storedAs(stored, computed DType) (DType, error) {
	if stored == Invalid {
		return computed, nil
	}
	if computed != F32 || stored == F32 || !stored.IsFloat() || !Plain.Has(stored) {
		return Invalid, fmt.Errorf("stores %s as %s, expected f32 as bf16 or f16", computed, stored)
	}
	return stored, nil
}

func expandMap(b *Builder, op *Op) []*Value {
	a := op.Attrs.(MapAttrs)
	shape, _ := MapDomain(op.In, a)
	in := slices.Clone(op.In)
	for _, g := range a.Gathers {
		in[g.Table] = b.Op(OpGather, nil, op.In[g.Table], op.In[g.Index])
	}
	outs := make([]*Value, len(a.Exprs))
	for i, e := range a.Exprs {
		v := b.Expr(e, func(l *Expr) *Value { return b.readable(in[l.Index]) })
		outs[i] = b.Broadcast(v, shape)
	}
	v := b.Concat(len(shape)-1, outs...)
	if a.DType != Invalid {
		v = b.Convert(v, a.DType)
	}
	if s := a.Scatter; s != (Scatter{}) {
		v = b.Op(OpScatter, nil, op.In[s.State], v, op.In[s.Positions])
	}
	return []*Value{v}
}

func typesOf(values []*Value) []Type {
	types := make([]Type, len(values))
	for i, v := range values {
		types[i] = v.Type
	}
	return types
}

// RowAttrs are the attributes of row.
type RowAttrs struct {
	Reduce []Reduction `ir:"reduce"`
	Out    *Expr       `ir:"out"`
	DType  DType       `ir:"dtype,opt"` // the format that the result is stored in, if any: 16 bits, or groups of 8
}

// OpRow is a fused normalization such as RMSNorm, LayerNorm or softmax: reductions of the last axis, each of which may
// use the earlier ones (#0, #1, …), then an elementwise expression.
var OpRow = Define(OpDef{Name: "row", Doc: "staged reductions of the last axis, then an expression over elements and reductions",
	In: []Operands{{"x", AnyDType}}, Variadic: true, Attrs: RowAttrs{}, Tol: Tol{ULP: 8, Norm: 1e-5},
	Infer: inferRow, Expand: expandRow, Samples: rowSamples(),
})

func inferRow(in []Type, attrs any) (Type, error) {
	a := attrs.(RowAttrs)
	shape, err := domain(in)
	if err != nil {
		return Type{}, err
	}
	if len(shape) == 0 {
		return Type{}, errors.New("has no axis to reduce")
	}
	leaf := func(visible int) func(*Expr) (DType, error) {
		return func(e *Expr) (DType, error) {
			if e.Kind != ExprReduce {
				return operandType(in)(e)
			}
			if e.Index < 0 || e.Index >= visible {
				return Invalid, noLeaf(e, "earlier reduction", visible)
			}
			return F32, nil
		}
	}
	for i, r := range a.Reduce {
		d, err := r.Expr.scalarType(leaf(i))
		if err != nil {
			return Type{}, err
		}
		if d != F32 {
			return Type{}, fmt.Errorf("reduction %d is over %s, expected f32", i, d)
		}
	}
	if a.Out == nil {
		return Type{}, errors.New("attribute out is missing")
	}
	d, err := a.Out.scalarType(leaf(len(a.Reduce)))
	if err != nil || a.DType == Invalid {
		return Type{d, shape}, err
	}
	if !a.DType.IsQuantized() {
		d, err = storedAs(a.DType, d)
		return Type{d, shape}, err
	}
	if !a.DType.IsActivation() || d != F32 || !shape[len(shape)-1].IsConst() {
		return Type{}, fmt.Errorf("stores %s as %s, expected f32 rows of constant length as groups of 8 bits", Type{d, shape}, a.DType)
	}
	return Type{a.DType, shape}, nil
}

func expandRow(b *Builder, op *Op) []*Value {
	return []*Value{expandRowOf(b, op.In, op.Attrs.(RowAttrs))}
}

func expandRowOf(b *Builder, in []*Value, a RowAttrs) *Value {
	shape, _ := domain(typesOf(in))
	var reduced []*Value
	leaf := func(e *Expr) *Value {
		if e.Kind == ExprReduce {
			return reduced[e.Index]
		}
		return b.readable(in[e.Index])
	}
	for _, r := range a.Reduce {
		reduced = append(reduced, b.Op(foldOp(r.Kind), nil, b.Broadcast(b.Expr(r.Expr, leaf), shape)))
	}
	v := b.Broadcast(b.Expr(a.Out, leaf), shape)
	if a.DType != Invalid {
		v = b.Convert(v, a.DType)
	}
	return v
}
