package ir

import "fmt"

// Symbol declares a run-time number: a dimension such as the rows of a call, or a scalar such as the length of the
// prefix. Its value lies in 0 … Max.
type Symbol struct {
	Name string
	Max  int
}

// Module is a set of functions over shared symbols, weights and states.
type Module struct {
	Symbols []Symbol
	Funcs   []*Func
}

// Bound returns the upper bound of a symbol, and whether it is declared.
func (m *Module) Bound(name string) (int, bool) {
	for _, s := range m.Symbols {
		if s.Name == name {
			return s.Max, true
		}
	}
	return 0, false
}

// Slots returns the number of batch slots of the states, or 0 if none has any.
func (m *Module) Slots() int {
	for _, f := range m.Funcs {
		for _, p := range f.Params {
			if n := p.slots(); n > 0 {
				return n
			}
		}
	}
	return 0
}

// slots returns the number of batch slots of a state, or 0.
func (v *Value) slots() int {
	if !v.PerSlot || v.Type.Rank() == 0 {
		return 0
	}
	return v.Type.Shape[0].N
}

// MaxDim returns the greatest value of d: the constant, or the bound of its symbol (0 when it is undeclared).
func (m *Module) MaxDim(d Dim) int {
	if d.IsConst() {
		return d.N
	}
	n, _ := m.Bound(d.Sym)
	return n
}

// Func returns the function of that name, or nil.
func (m *Module) Func(name string) *Func {
	for _, f := range m.Funcs {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// NewFunc appends an empty function to m.
func (m *Module) NewFunc(name string) *Func {
	f := &Func{Name: name, Module: m}
	m.Funcs = append(m.Funcs, f)
	return f
}

// Func is a function: parameters, operations in an order in which every value is defined before it is used, and
// results.
type Func struct {
	Name    string
	Module  *Module
	Params  []*Value
	Ops     []*Op
	Results []Result

	nextID int
}

// ParamKind says where a parameter comes from.
type ParamKind uint8

// The kinds of parameters.
const (
	NotParam ParamKind = iota // the value is the result of an operation
	Input                     // given with every call
	Weight                    // a tensor of the checkpoint
	State                     // kept between calls; a result may update it
)

// String returns the keyword of the text form.
func (k ParamKind) String() string { return [...]string{"value", "input", "weight", "state"}[k] }

// Value is a tensor: a parameter of the function or the result of an operation.
type Value struct {
	ID   int    // unique in the function, in order of creation; the printer numbers afresh
	Name string // of a parameter: its name in the function; of another value an optional debugging name
	Type Type
	Def  *Op       // the operation, or nil for a parameter
	Kind ParamKind // of a parameter
	Key  string    // of a weight: its canonical name in the checkpoint
	// PerSlot says that the outermost dimension of a state counts batch slots: each sequence of a batch has its own
	// part.
	PerSlot bool
	Buf     *Buffer // where it lies, once buffers are planned

	// Origin is the ID of the value that this one replaced, or 0. It identifies a value across passes.
	Origin int
}

// Lineage returns the ID of the value that v replaced, through any number of replacements, or v's own ID.
func (v *Value) Lineage() int {
	if v.Origin != 0 {
		return v.Origin
	}
	return v.ID
}

// IsParam reports whether v is a parameter.
func (v *Value) IsParam() bool { return v.Kind != NotParam }

// Op is an operation: an instance of Def with operands, attributes and one or more results. Attrs is a value of the
// struct type of Def.Attrs, or nil if the definition has none, and is never changed in place.
type Op struct {
	Def     *OpDef
	In      []*Value
	Attrs   any
	Results []*Value
	Loc     Loc // where it was written, when known
}

// Result returns the result of an operation that has exactly one.
func (op *Op) Result() *Value {
	if len(op.Results) != 1 {
		panic(fmt.Sprintf("ir: %s has %d results, expected one", op.Def, len(op.Results)))
	}
	return op.Results[0]
}

// Result is a result of a function: a named output, or the new contents of a state.
type Result struct {
	Name  string // of an output; empty for an update
	State *Value // the state parameter that Value updates, or nil
	Value *Value
}

// Loc is a location in a source file: Go for the DSL, .pgir for the text form. The zero Loc is unknown.
type Loc struct {
	File      string
	Line, Col int
}

// String returns file:line:col without the unknown parts.
func (l Loc) String() string {
	switch {
	case l.Line == 0:
		return l.File
	case l.Col == 0:
		return fmt.Sprintf("%s:%d", l.File, l.Line)
	}
	return fmt.Sprintf("%s:%d:%d", l.File, l.Line, l.Col)
}

// Space is the memory a planned value lies in.
type Space uint8

// The memory spaces.
const (
	Folded  Space = iota // nowhere: computed inside its users
	Weights              // the packed weights of the executable
	Arena                // scratch memory of a call
	States               // memory kept between calls
	Inputs               // the caller's input
	Outputs              // the caller's output
)

// String returns the name of the space.
func (s Space) String() string {
	return [...]string{"folded", "weights", "arena", "state", "input", "output"}[s]
}

// Term is a part of an address that depends on a symbol: its value times Stride bytes.
type Term struct {
	Sym    string
	Stride int64
}

// Buffer locates a planned value: in the memory of a parameter or result (Param, Result) or in the arena, Offset bytes
// plus the terms from its start. Element (i0, i1, …) lies Σ ik·Strides[k] elements further. Offsets and strides take
// every symbol at its bound, so they are constants.
type Buffer struct {
	Space   Space
	Owner   bool   // owns memory in the arena; views do not
	Param   *Value // the weight, state or input
	Result  int    // index into Func.Results, for Outputs
	Offset  int64
	Terms   []Term
	Strides []int64
}
