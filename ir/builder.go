package ir

import "slices"

// NewOp returns an operation on the given operands, with canonical attributes and inferred results, outside of any
// function. The error says what is wrong with the operands or attributes.
func NewOp(def *OpDef, attrs any, in ...*Value) (*Op, error) {
	if def.Canon != nil {
		attrs = def.Canon(attrs)
	}
	types := make([]Type, len(in))
	for i, v := range in {
		types[i] = v.Type
	}
	results, err := def.InferTypes(types, attrs)
	if err != nil {
		return nil, err
	}
	op := &Op{Def: def, In: slices.Clone(in), Attrs: attrs}
	for _, t := range results {
		op.Results = append(op.Results, &Value{Type: t, Def: op})
	}
	return op, nil
}

// Builder adds operations to a function, at its end or before an operation. Its methods panic with an *Error if
// operands do not fit: passes and expansions check before they build, and the frontend recovers and reports.
type Builder struct {
	Func   *Func
	Loc    Loc // given to the operations built
	before *Op // insertion point; nil is the end
}

// NewBuilder returns a builder that appends to f.
func NewBuilder(f *Func) *Builder { return &Builder{Func: f} }

// Before returns a builder that inserts before op and gives operations the source location of op.
func Before(f *Func, op *Op) *Builder { return &Builder{Func: f, Loc: op.Loc, before: op} }

// Op adds an operation with one result and returns the result.
func (b *Builder) Op(def *OpDef, attrs any, in ...*Value) *Value {
	return b.Add(def, attrs, in...).Result()
}

// Add adds an operation.
func (b *Builder) Add(def *OpDef, attrs any, in ...*Value) *Op {
	op, err := NewOp(def, attrs, in...)
	if err == nil && def.Check != nil {
		err = def.Check(b.Func.Module, op)
	}
	if err != nil {
		panic(&Error{Loc: b.Loc, Func: b.Func.Name, Op: def.Name, Msg: err.Error()})
	}
	op.Loc = b.Loc
	b.Func.Insert(b.before, op)
	return op
}

// Const adds a scalar constant.
func (b *Builder) Const(d DType, v float64) *Value {
	return b.Op(OpConstant, ConstantAttrs{DType: d, Values: []float64{v}})
}

// Convert adds a conversion to d, or returns x if it has that type.
func (b *Builder) Convert(x *Value, d DType) *Value {
	if x.Type.DType == d {
		return x
	}
	return b.Op(OpConvert, ConvertAttrs{d}, x)
}

// Broadcast stretches x to shape, or returns it if it has that shape.
func (b *Builder) Broadcast(x *Value, shape []Dim) *Value {
	if slices.Equal(x.Type.Shape, shape) {
		return x
	}
	return b.Op(OpBroadcast, ShapeAttrs{shape}, x)
}

// Concat joins values along an axis. It returns a single value as it is.
func (b *Builder) Concat(axis int, in ...*Value) *Value {
	if len(in) == 1 {
		return in[0]
	}
	return b.Op(OpConcat, AxisAttrs{axis}, in...)
}

// Reshape gives x another shape, or returns it if it has that shape.
func (b *Builder) Reshape(x *Value, shape []Dim) *Value {
	if slices.Equal(x.Type.Shape, shape) {
		return x
	}
	return b.Op(OpReshape, ShapeAttrs{shape}, x)
}

// Expr adds the plain operations of an expression, those of a shared subtree once. leaf returns the values of
// references.
func (b *Builder) Expr(e *Expr, leaf func(*Expr) *Value) *Value {
	done := map[*Expr]*Value{}
	var walk func(*Expr) *Value
	walk = func(e *Expr) *Value {
		if v, ok := done[e]; ok {
			return v
		}
		args := make([]*Value, len(e.Args))
		for i, a := range e.Args {
			args[i] = walk(a)
		}
		var v *Value
		switch e.Kind {
		case ExprConst:
			v = b.Const(e.DType, e.Val)
		case ExprCast:
			v = b.Convert(args[0], e.DType)
		case ExprCall:
			v = b.Op(e.Def, nil, args...)
		default:
			v = leaf(e)
		}
		done[e] = v
		return v
	}
	return walk(e)
}

// readable converts a value in storage format to the type that expressions compute in.
func (b *Builder) readable(x *Value) *Value {
	return b.Convert(x, FromScalar(x.Type.DType.Scalar()))
}
