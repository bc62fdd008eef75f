package tile

import (
	"fmt"
	"slices"
	"strings"
)

// rule says what types an operation takes and gives.
type rule struct {
	want string
	ok   func(in *Inst, out Type) bool // out is the result's type if there is one result
}

// check returns an error if in breaks its row of the table.
func check(in *Inst) error {
	def := ops[in.Op]
	if in.Op != For && len(in.Args) != def.args || len(in.Args) < def.args {
		return fmt.Errorf("%s of %d operands, expected %d", in.Op, len(in.Args), def.args)
	}
	for i, a := range in.Args {
		if a == nil {
			return fmt.Errorf("operand %d of %s is nil", i, in.Op)
		}
	}
	var out Type
	if len(in.Out) == 1 {
		out = in.Out[0].Type
	}
	valid := true
	for _, v := range in.Out {
		valid = valid && v.Type.valid()
	}
	if !valid || !def.rule.ok(in, out) {
		return fmt.Errorf("%s of (%s) giving (%s): expected %s", in.Op, types(in.Args), types(in.Out), def.rule.want)
	}
	return nil
}

func types(vs []*Value) string {
	out := make([]string, len(vs))
	for i, v := range vs {
		out[i] = v.Type.String()
	}
	return strings.Join(out, ", ")
}

// elems is a set of element types.
type elems []Elem

var (
	floats   = elems{F32}
	integers = elems{I8, I16, I32, I64}
	numbers  = elems{I8, I16, I32, I64, F32}
	bits     = elems{I1, I8, I16, I32, I64}
)

func (s elems) has(t Type) bool {
	for _, e := range s {
		if !t.Ptr && t.Elem == e {
			return true
		}
	}
	return false
}

func (s elems) String() string {
	parts := make([]string, len(s))
	for i, e := range s {
		parts[i] = e.String()
	}
	return strings.Join(parts, " or ")
}

func pointerTo(e Elem) Type { return Type{Elem: e, Lanes: 1, Ptr: true} }

// all reports whether every operand from i on has type t.
func (in *Inst) all(i int, t Type) bool {
	for _, a := range in.Args[i:] {
		if a.Type != t {
			return false
		}
	}
	return true
}

func gives(t Type) rule {
	return rule{"a result " + t.String(), func(_ *Inst, out Type) bool { return out == t }}
}

func equal(s elems) rule {
	return rule{"fragments of one type with lanes " + s.String(), func(in *Inst, out Type) bool {
		return s.has(out) && in.all(0, out)
	}}
}

func converts(pairs ...Elem) rule {
	var want []string
	for i := 0; i < len(pairs); i += 2 {
		want = append(want, pairs[i].String()+" to "+pairs[i+1].String())
	}
	return rule{strings.Join(want, " or ") + ", lane by lane", func(in *Inst, out Type) bool {
		from := in.Args[0].Type
		for i := 0; i < len(pairs); i += 2 {
			if from == Vec(pairs[i], from.Lanes) && out == Vec(pairs[i+1], from.Lanes) {
				return true
			}
		}
		return false
	}}
}

// at reports whether operands i and i+1 are a pointer and an i64 offset, and those behind the n-th are i64.
func (in *Inst) at(i, n int) bool {
	return in.Args[i].Type.Ptr && in.Args[i+1].Type == Scalar(I64) && in.all(n, Scalar(I64))
}

var (
	anything = rule{"any type", func(*Inst, Type) bool { return true }}
	fragment = rule{"a fragment", func(_ *Inst, out Type) bool { return !out.Ptr }}
	shift    = rule{"integers of one type, the second a constant below their width", func(in *Inst, out Type) bool {
		by, ok := ConstInt(in.Args[1])
		return integers.has(out) && in.all(0, out) && ok && by >= 0 && by < int64(8*out.Elem.Bytes())
	}}
	compared = rule{"numbers of one type, giving i1 lanes", func(in *Inst, out Type) bool {
		t := in.Args[0].Type
		return numbers.has(t) && in.all(0, t) && out == Vec(I1, t.Lanes)
	}}
	selected = rule{"i1 lanes and two fragments of one type", func(in *Inst, out Type) bool {
		return in.Args[0].Type == Vec(I1, out.Lanes) && !out.Ptr && in.all(1, out)
	}}
	splat = rule{"one lane, giving a vector of the element", func(in *Inst, out Type) bool {
		return in.Args[0].Type == Scalar(out.Elem) && out.Lanes > 1
	}}
	lane = rule{"a vector and a lane of it", func(in *Inst, out Type) bool {
		t := in.Args[0].Type
		return !t.Ptr && out == Scalar(t.Elem) && in.Imm >= 0 && in.Imm < int64(t.Lanes)
	}}
	iota32  = rule{"i32 lanes", func(_ *Inst, out Type) bool { return out == Vec(I32, out.Lanes) }}
	shuffle = rule{"vectors of one type and a mask of their lanes", func(in *Inst, out Type) bool {
		t := in.Args[0].Type
		for _, l := range in.Mask {
			if l < 0 || l >= 2*t.Lanes {
				return false
			}
		}
		return !t.Ptr && t.Lanes > 1 && in.all(0, t) && out == Vec(t.Elem, len(in.Mask)) && out.Lanes > 1
	}}
	lookup = rule{"i32 lanes giving f32 lanes and a table as long as a power of two", func(in *Inst, out Type) bool {
		n := len(in.Table)
		return in.Args[0].Type == Vec(I32, out.Lanes) && out == Vec(F32, out.Lanes) && n > 0 && n&(n-1) == 0
	}}
	sameBits = rule{"an integer fragment, giving another of as many bits", func(in *Inst, out Type) bool {
		t := in.Args[0].Type
		return integers.has(t) && integers.has(out) && t.Lanes*t.Elem.Bytes() == out.Lanes*out.Elem.Bytes()
	}}
	reduction = rule{"an f32 vector and an operation of two, giving one lane", func(in *Inst, out Type) bool {
		return in.Args[0].Type.IsFloat() && out == Scalar(F32) && slices.Contains(folds, in.Fold)
	}}
	moved = rule{"a pointer and an i64", func(in *Inst, out Type) bool {
		return in.at(0, 2) && out == in.Args[0].Type
	}}
	recast = rule{"a pointer, giving one", func(in *Inst, out Type) bool { return in.Args[0].Type.Ptr && out.Ptr }}
	loaded = rule{"a pointer and i64 offset and count, giving lanes of the element", func(in *Inst, out Type) bool {
		return in.at(0, 2) && out == Vec(in.Args[0].Type.Elem.Register(), out.Lanes)
	}}
	stored = rule{"a pointer, an i64 offset, lanes of the element and an i64 count", func(in *Inst, _ Type) bool {
		v := in.Args[2].Type
		return in.at(0, 3) && v == Vec(in.Args[0].Type.Elem.Register(), v.Lanes)
	}}
	addressed = rule{"a pointer, an i64 offset and a level of 1 or 2", func(in *Inst, _ Type) bool {
		return in.at(0, 2) && (in.Imm == 1 || in.Imm == 2)
	}}
	tileConfig = rule{"a pointer and an i64 offset", func(in *Inst, _ Type) bool { return in.at(0, 2) && len(in.Tiles) == 0 }}
	switched   = rule{"a pointer, and 1 or 0 for on or off", func(in *Inst, _ Type) bool { return in.Args[0].Type.Ptr && (in.Imm == 0 || in.Imm == 1) }}
	looped     = rule{"i64 bounds, a positive step, and a body that takes and yields the carried values", func(in *Inst, _ Type) bool {
		if step, ok := ConstInt(in.Args[2]); ok && step <= 0 || len(in.Blocks) != 1 || len(in.Out) != len(in.Args)-3 {
			return false
		}
		for i := range 3 {
			if in.Args[i].Type != Scalar(I64) {
				return false
			}
		}
		body := in.Blocks[0]
		return len(body.Args) == len(in.Out)+1 && body.Args[0].Type == Scalar(I64) &&
			sameTypes(in.Args[3:], in.Out) && sameTypes(body.Args[1:], in.Out) && sameTypes(body.Yield, in.Out)
	}}
	branched = rule{"an i1 and two blocks that yield values of the same types", func(in *Inst, _ Type) bool {
		return in.Args[0].Type == Scalar(I1) && len(in.Blocks) == 2 &&
			sameTypes(in.Blocks[0].Yield, in.Out) && sameTypes(in.Blocks[1].Yield, in.Out)
	}}
)

// tiles is the rule of operations on n tile registers: a pointer, an i64 offset and a stride, if there are operands.
func tiles(n int) rule {
	return rule{fmt.Sprintf("%d of %d tile registers, and where they lie: a pointer, an i64 offset and an i64 stride", n, TileRegs), func(in *Inst, _ Type) bool {
		for _, t := range in.Tiles {
			if t < 0 || t >= TileRegs {
				return false
			}
		}
		return len(in.Tiles) == n && len(in.Out) == 0 && (len(in.Args) == 0 || in.at(0, 2))
	}}
}

// dot is the rule of products of neighbors, added.
func dot(from, to Elem) rule {
	return rule{"two vectors of " + from.String() + ", giving half as many " + to.String(), func(in *Inst, out Type) bool {
		return out.Lanes > 1 && out == Vec(to, out.Lanes) && in.all(0, Vec(from, 2*out.Lanes))
	}}
}

// dot4 is the rule of fours of products, added to an accumulator.
var dot4 = rule{"i32 lanes and two vectors of four times as many i8", func(in *Inst, out Type) bool {
	return out == Vec(I32, out.Lanes) && in.Args[0].Type == out && in.all(1, Vec(I8, 4*out.Lanes))
}}

// mmla is the rule of products of 2×8 by 8×2 matrices, added to an accumulator.
var mmla = rule{"fours of i32 lanes and two vectors of four times as many i8", func(in *Inst, out Type) bool {
	return out.Lanes%4 == 0 && dot4.ok(in, out)
}}

// dotBF16 is the rule of pairs of products of bfloat16, added to an accumulator.
var dotBF16 = rule{"f32 lanes and two vectors of twice as many i16", func(in *Inst, out Type) bool {
	return out == Vec(F32, out.Lanes) && in.Args[0].Type == out && in.all(1, Vec(I16, 2*out.Lanes))
}}

// mmlaOdd is the rule of products of 2×4 by 4×2 matrices of bfloat16, added to an accumulator.
var mmlaOdd = rule{"fours of f32 lanes and two vectors of twice as many i16", func(in *Inst, out Type) bool {
	return out.Lanes%4 == 0 && dotBF16.ok(in, out)
}}

func sameTypes(a, b []*Value) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] == nil || a[i].Type != b[i].Type {
			return false
		}
	}
	return true
}
