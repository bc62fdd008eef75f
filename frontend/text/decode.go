package text

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/alecthomas/participle/v2"

	"pgc/ir"
	"pgc/ir/scalar"
	"pgc/runtime/plural"
)

// decodeAttrs fills the attribute struct of def from the text, field by field as its schema has them.
func decodeAttrs(def *ir.OpDef, op *operation) (any, error) {
	fields := def.Fields()
	find := func(name string) *ir.Field {
		for i := range fields {
			if fields[i].Name == name {
				return &fields[i]
			}
		}
		return nil
	}
	seen := map[string]bool{}
	var attrs reflect.Value
	if def.Attrs != nil {
		attrs = reflect.New(reflect.TypeOf(def.Attrs)).Elem()
	}
	for _, a := range op.attrs {
		f := find(a.name.Value)
		switch {
		case f == nil:
			return nil, participle.Errorf(a.name.Pos, "%s has no attribute %s%s", def.Name, a.name.Value, namesOf(fields))
		case seen[f.Name]:
			return nil, participle.Errorf(a.name.Pos, "attribute %s is given twice", f.Name)
		}
		seen[f.Name] = true
		if err := decode(a.value, attrs.Field(f.Index)); err != nil {
			return nil, err
		}
	}
	for _, f := range fields {
		if !f.Optional && !seen[f.Name] {
			return nil, participle.Errorf(op.name.Pos, "%s needs the attribute %s", def.Name, f.Name)
		}
	}
	if def.Attrs == nil {
		return nil, nil
	}
	return attrs.Interface(), nil
}

// namesOf lists attributes for a message.
func namesOf(fields []ir.Field) string {
	if len(fields) == 0 {
		return "; it has none"
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return "; it has " + strings.Join(names, ", ")
}

// wrong reports that an attribute has a value of another kind.
func (e *expression) wrong(want string) error {
	return participle.Errorf(e.token.Pos, "unexpected %s, expected %s", describe(e.token), want)
}

// decode stores an attribute's value into a field of its type.
func decode(e *expression, to reflect.Value) (err error) {
	switch p := to.Addr().Interface().(type) {
	case *int:
		*p, err = e.integer()
	case *float64:
		*p, err = e.float()
	case *bool:
		if *p = e.token.Value == "true"; e.token.Type != tokenIdent || e.call || !*p && e.token.Value != "false" {
			return e.wrong("true or false")
		}
	case *string:
		if *p = e.str; e.token.Type != tokenString {
			return e.wrong("a string in quotes")
		}
	case *ir.Ident:
		if *p = ir.Ident(e.token.Value); e.token.Type != tokenIdent || e.call {
			return e.wrong("a name")
		}
	case *ir.DType:
		var ok bool
		if *p, ok = ir.ParseDType(e.token.Value); !ok {
			return e.wrong("a data type: " + ir.AnyDType.String())
		}
	case *ir.Dim:
		*p, err = e.dim()
	case **ir.Expr:
		*p, err = e.expr()
	case *ir.Reduction:
		*p, err = e.reduction()
	case *ir.Gather:
		p.Table, p.Index, err = e.pair("a table and its index")
	case *ir.Scatter:
		p.State, p.Positions, err = e.pair("a state and its positions")
	default:
		return decodeList(e, to)
	}
	return err
}

func decodeList(e *expression, to reflect.Value) error {
	if to.Kind() != reflect.Slice {
		panic(fmt.Sprintf("text: attribute field of type %s", to.Type()))
	}
	if e.token.Value != "[" || e.token.Type != tokenPunct {
		return e.wrong("a list in brackets")
	}
	list := reflect.MakeSlice(to.Type(), len(e.items), len(e.items))
	for i, item := range e.items {
		if err := decode(item, list.Index(i)); err != nil {
			return err
		}
	}
	to.Set(list)
	return nil
}

func (e *expression) integer() (int, error) {
	n, err := strconv.ParseInt(e.token.Value, 10, 64)
	if err != nil || e.token.Type != tokenNumber {
		return 0, e.wrong("an integer")
	}
	return int(n), nil
}

func (e *expression) float() (float64, error) {
	name := e.token.Type == tokenIdent && !e.call && (e.token.Value == "inf" || e.token.Value == "nan")
	if e.token.Type != tokenNumber && !name {
		return 0, e.wrong("a number")
	}
	v, err := strconv.ParseFloat(e.token.Value, 64)
	if err != nil {
		return 0, e.wrong("a number within the range of a float64")
	}
	return v, nil
}

func (e *expression) dim() (ir.Dim, error) {
	if e.token.Type == tokenIdent && !e.call {
		return ir.Sym(e.token.Value), nil
	}
	n, err := e.integer()
	if err != nil {
		return ir.Dim{}, e.wrong("an integer or a symbol")
	}
	return ir.D(n), nil
}

// pair reads the numbers of two operands.
func (e *expression) pair(of string) (x, y int, err error) {
	if e.token.Value != "[" || len(e.items) != 2 {
		return 0, 0, e.wrong("the operand numbers of " + of + ", as [0, 1]")
	}
	if x, err = e.items[0].integer(); err == nil {
		y, err = e.items[1].integer()
	}
	return x, y, err
}

func (e *expression) reduction() (ir.Reduction, error) {
	var names []string
	for _, kind := range scalar.Monoids() {
		if e.call && e.token.Value == kind.Name && len(e.items) == 1 {
			x, err := e.items[0].expr()
			return ir.Reduction{Kind: kind, Expr: x}, err
		}
		names = append(names, kind.Name+"(…)")
	}
	return ir.Reduction{}, e.wrong("a reduction, " + strings.Join(names, " or "))
}

// expr reads the body of a fused operation.
func (e *expression) expr() (*ir.Expr, error) {
	return (&scope{map[int]*ir.Expr{}}).expr(e)
}

// scope holds the named parts of one expression.
type scope struct{ parts map[int]*ir.Expr }

func (s *scope) expr(e *expression) (*ir.Expr, error) {
	switch e.token.Type {
	case tokenRef:
		return s.ref(e)
	case tokenNumber:
		if !strings.ContainsAny(e.token.Value, ".eEi") {
			n, err := e.integer()
			if err != nil || n < math.MinInt32 || n > math.MaxInt32 {
				return nil, e.wrong("an integer of 32 bits; f32 constants have a point or an exponent")
			}
			return ir.ConstExpr(ir.I32, float64(n)), nil
		}
		v, err := e.float()
		return ir.Num(v), err
	case tokenIdent:
		if e.call {
			return s.call(e)
		}
		switch e.token.Value {
		case "true", "false":
			return ir.ConstExpr(ir.Bool, map[string]float64{"true": 1}[e.token.Value]), nil
		case "inf", "nan":
			v, err := e.float()
			return ir.Num(v), err
		}
	}
	return nil, e.wrong("an expression: an operand $0, a number or a call such as mul($0, 2.0)")
}

// ref reads $0, #0, @0, the definition &0=… or the use &0.
func (s *scope) ref(e *expression) (*ir.Expr, error) {
	n, err := strconv.Atoi(e.token.Value[1:])
	if err != nil {
		return nil, e.wrong("a smaller number")
	}
	switch e.token.Value[0] {
	case '$':
		return ir.Operand(n), nil
	case '#':
		return ir.Reduced(n), nil
	case '@':
		return ir.Acc(n), nil
	}
	if e.items == nil {
		if s.parts[n] == nil {
			return nil, participle.Errorf(e.token.Pos, "%s is not defined before it is used", e.token.Value)
		}
		return s.parts[n], nil
	}
	if s.parts[n] != nil {
		return nil, participle.Errorf(e.token.Pos, "%s is defined twice", e.token.Value)
	}
	x, err := s.expr(e.items[0])
	s.parts[n] = x
	return x, err
}

func (s *scope) call(e *expression) (*ir.Expr, error) {
	args := make([]*ir.Expr, len(e.items))
	for i, item := range e.items {
		var err error
		if args[i], err = s.expr(item); err != nil {
			return nil, err
		}
	}
	if d, ok := ir.ParseDType(e.token.Value); ok {
		if !d.IsArithmetic() || len(args) != 1 {
			return nil, e.wrong("a conversion of one value to f32, i32 or bool")
		}
		return ir.Cast(d, args[0]), nil
	}
	def := ir.OpNamed(e.token.Value)
	if def == nil || !def.Elementwise() {
		return nil, e.wrong("the name of an elementwise operation")
	}
	if len(args) != len(def.In) {
		return nil, participle.Errorf(e.token.Pos, "%s of %s, expected %d", def.Name, plural.Of(len(args), "value"), len(def.In))
	}
	return ir.Call(def, args...), nil
}
