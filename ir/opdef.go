package ir

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"pgc/ir/scalar"
)

// OpDef defines an operation. Every operation is one package variable, from which text syntax, shape inference,
// evaluation, fusion and conformance tests derive. In and Scalar suffice for an elementwise operation.
type OpDef struct {
	Name string
	Doc  string // the mathematics in one sentence

	In       []Operands // operands in order
	Variadic bool       // the last of In stands for any number of operands, including none

	Attrs any           // a zero value of the struct that holds the attributes, or nil
	Canon func(any) any // brings attributes to their canonical form, or nil

	// Infer returns the type of the result. Elementwise operations derive it.
	Infer func(in []Type, attrs any) (Type, error)
	// InferAll returns the types of the results. Operations with several results have it instead of Infer.
	InferAll func(in []Type, attrs any) ([]Type, error)
	// Check tests bounds of symbols, which inference does not see. Optional.
	Check func(m *Module, op *Op) error

	// Scalar defines an elementwise operation on one element of each operand.
	Scalar func(x []*scalar.Expr) *scalar.Expr
	// Folds defines a reduction of the last axis.
	Folds *Folds
	// Expand computes the results of a fused operation by plain ones. Tests compare against it, and the evaluator uses
	// it.
	Expand func(b *Builder, op *Op) []*Value

	Samples []Sample // conformance cases; derived for elementwise operations
	Range   Range    // elementwise: the interval that samples draw operands from
	Tol     Tol      // how far a backend may be from the reference

	index  int
	schema []Field
}

// Operands describes one operand, or the variadic tail: its name in the documentation and its possible data types.
type Operands struct {
	Name  string
	Types DTypes
}

// DTypes is a set of data types.
type DTypes uint32

// Sets of data types.
const (
	Floats   DTypes = 1 << F32
	Ints     DTypes = 1 << I32
	Bools    DTypes = 1 << Bool
	Numbers         = Floats | Ints
	Values          = Numbers | Bools
	Plain           = Floats | 1<<BF16 | 1<<F16
	Groups   DTypes = 1<<32 - 1<<I8G32 // all that are quantized
	Stored          = Plain | Groups
	AnyDType        = Stored | Values
)

// Has reports whether d is in the set.
func (s DTypes) Has(d DType) bool { return d < numDTypes && s>>d&1 == 1 }

// List returns the types of the set.
func (s DTypes) List() (list []DType) {
	for d := range numDTypes {
		if s.Has(d) {
			list = append(list, d)
		}
	}
	return list
}

// String lists the types as "f32 or i32", those of groups together as "groups".
func (s DTypes) String() string {
	var names []string
	for _, d := range (s &^ Groups).List() {
		names = append(names, d.String())
	}
	if s&Groups != 0 {
		names = append(names, "groups")
	}
	return strings.Join(names, " or ")
}

var table struct {
	defs   []*OpDef
	byName map[string]*OpDef
}

// Define adds an operation to the table and returns it. It initializes package variables and panics on a duplicate
// name.
func Define(d OpDef) *OpDef {
	if table.byName[d.Name] != nil {
		panic("ir: operation " + d.Name + " is defined twice")
	}
	if table.byName == nil {
		table.byName = map[string]*OpDef{}
	}
	def := &d
	if def.Scalar != nil && def.Infer == nil {
		def.Infer = def.inferElementwise
	}
	def.schema = def.Fields()
	def.index = len(table.defs)
	table.defs = append(table.defs, def)
	table.byName[d.Name] = def
	return def
}

// Ops returns every operation in the order of definition.
func Ops() []*OpDef { return slices.Clone(table.defs) }

// OpNamed returns the operation of that name, or nil.
func OpNamed(name string) *OpDef { return table.byName[name] }

// Elementwise reports whether the operation is elementwise.
func (def *OpDef) Elementwise() bool { return def.Scalar != nil }

// Reduces reports whether the operation is a reduction of the last axis.
func (def *OpDef) Reduces() bool { return def.Folds != nil }

// Fused reports whether the operation expands into plain ones.
func (def *OpDef) Fused() bool { return def.Expand != nil }

// String returns the name.
func (def *OpDef) String() string { return def.Name }

func (def *OpDef) fields() []Field { return def.schema }

// operand returns the description of operand i, which may belong to the variadic tail.
func (def *OpDef) operand(i int) Operands { return def.In[min(i, len(def.In)-1)] }

// checkArity tests the number of operands.
func (def *OpDef) checkArity(n int) error {
	switch want := len(def.In); {
	case def.Variadic && n < want-1:
		return fmt.Errorf("has %s, expected at least %d", plural(n, "operand"), want-1)
	case !def.Variadic && n != want:
		return fmt.Errorf("has %s, expected %d", plural(n, "operand"), want)
	}
	return nil
}

// plural prints a count: 1 operand, 2 operands.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// checkTypes tests the number and the data types of operands.
func (def *OpDef) checkTypes(in []DType) error {
	if err := def.checkArity(len(in)); err != nil {
		return err
	}
	for i, d := range in {
		if o := def.operand(i); !o.Types.Has(d) {
			return fmt.Errorf("operand %s is %s, expected %s", o.Name, d, o.Types)
		}
	}
	return nil
}

// checkScalars is checkTypes for elementwise operations. Operands with several possible types must all have the same
// one.
func (def *OpDef) checkScalars(in []DType) error {
	if !def.Elementwise() {
		return errors.New("is not elementwise")
	}
	if err := def.checkTypes(in); err != nil {
		return err
	}
	first := -1
	for i, d := range in {
		if t := def.operand(i).Types; t&(t-1) == 0 {
			continue // only one type possible
		}
		if first >= 0 && in[first] != d {
			return fmt.Errorf("operands %s and %s are %s and %s, expected one type",
				def.operand(first).Name, def.operand(i).Name, in[first], d)
		}
		if first < 0 {
			first = i
		}
	}
	return nil
}

// inferElementwise broadcasts the shapes and infers the data type from the scalar body.
func (def *OpDef) inferElementwise(in []Type, _ any) (Type, error) {
	types := make([]DType, len(in))
	shapes := make([][]Dim, len(in))
	args := make([]*scalar.Expr, len(in))
	for i, t := range in {
		types[i], shapes[i] = t.DType, t.Shape
		args[i] = scalar.X(i, t.DType.Scalar())
	}
	if err := def.checkScalars(types); err != nil {
		return Type{}, err
	}
	shape, err := Broadcast(shapes...)
	if err != nil {
		return Type{}, err
	}
	return Type{FromScalar(def.Scalar(args).Type), shape}, nil
}

// InferTypes returns the types of the results of def on operands of the given types.
func (def *OpDef) InferTypes(in []Type, attrs any) ([]Type, error) {
	types := make([]DType, len(in))
	for i, t := range in {
		types[i] = t.DType
	}
	if err := def.checkTypes(types); err != nil {
		return nil, err
	}
	if reflect.TypeOf(attrs) != reflect.TypeOf(def.Attrs) {
		return nil, fmt.Errorf("has attributes of type %T, expected %T", attrs, def.Attrs)
	}
	results, err := def.infer(in, attrs)
	for _, t := range results {
		if err == nil {
			err = checkElements(t.Shape, func(d Dim) int { return d.N })
		}
	}
	return results, err
}

func (def *OpDef) infer(in []Type, attrs any) ([]Type, error) {
	if def.InferAll != nil {
		return def.InferAll(in, attrs)
	}
	t, err := def.Infer(in, attrs)
	return []Type{t}, err
}

// InferType is InferTypes for operations with one result.
func (def *OpDef) InferType(in []Type, attrs any) (Type, error) {
	types, err := def.InferTypes(in, attrs)
	switch {
	case err != nil:
		return Type{}, err
	case len(types) != 1:
		return Type{}, fmt.Errorf("has %s, expected one", plural(len(types), "result"))
	}
	return types[0], nil
}
