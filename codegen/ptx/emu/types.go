package emu

// typ is a fundamental type of PTX.
type typ uint8

const (
	noType typ = iota
	pred
	b8
	b16
	b32
	b64
	b128
	u8
	u16
	u32
	u64
	s8
	s16
	s32
	s64
	f16
	f16x2
	bf16
	bf16x2
	tf32
	f32
	f64
	u16x2
	s16x2
	u4
	s4
	b1
	e4m3x2
	e5m2x2
)

// typeInfo is what is known of a type: its name in opcodes, bits, and class.
type typeInfo struct {
	name  string
	bits  int
	class byte // b: bits, u: unsigned, s: signed, f: float, p: predicate
}

// typeTable has a row for every type.
var typeTable = [...]typeInfo{
	pred: {"pred", 1, 'p'},
	b8:   {"b8", 8, 'b'}, b16: {"b16", 16, 'b'}, b32: {"b32", 32, 'b'}, b64: {"b64", 64, 'b'}, b128: {"b128", 128, 'b'},
	u8: {"u8", 8, 'u'}, u16: {"u16", 16, 'u'}, u32: {"u32", 32, 'u'}, u64: {"u64", 64, 'u'},
	s8: {"s8", 8, 's'}, s16: {"s16", 16, 's'}, s32: {"s32", 32, 's'}, s64: {"s64", 64, 's'},
	f16: {"f16", 16, 'f'}, f16x2: {"f16x2", 32, 'f'}, bf16: {"bf16", 16, 'f'}, bf16x2: {"bf16x2", 32, 'f'},
	tf32: {"tf32", 32, 'f'}, f32: {"f32", 32, 'f'}, f64: {"f64", 64, 'f'},
	u16x2: {"u16x2", 32, 'u'}, s16x2: {"s16x2", 32, 's'}, u4: {"u4", 4, 'u'}, s4: {"s4", 4, 's'}, b1: {"b1", 1, 'b'},
	e4m3x2: {"e4m3x2", 16, 'f'}, e5m2x2: {"e5m2x2", 16, 'f'},
}

// typesByName is typeTable by name.
var typesByName = func() map[string]typ {
	m := map[string]typ{}
	for t, info := range typeTable {
		if info.name != "" {
			m[info.name] = typ(t)
		}
	}
	return m
}()

func (t typ) bits() int      { return typeTable[t].bits }
func (t typ) bytes() int     { return (typeTable[t].bits + 7) / 8 }
func (t typ) class() byte    { return typeTable[t].class }
func (t typ) String() string { return typeTable[t].name }
func (t typ) signed() bool   { return typeTable[t].class == 's' }
func (t typ) integer() bool  { c := t.class(); return c == 'u' || c == 's' || c == 'b' }

// mask has the bits of a value of the type.
func (t typ) mask() uint64 {
	if t.bits() >= 64 {
		return ^uint64(0)
	}
	return 1<<t.bits() - 1
}

// space is a state space.
type space uint8

const (
	generic space = iota
	global
	shared
	local
	constant
	paramSpace
	registerSpace
)

// spacesByName is the state spaces as opcodes and directives name them.
var spacesByName = map[string]space{"global": global, "shared": shared, "shared::cta": shared, "shared::cluster": shared, "local": local, "const": constant,
	"param": paramSpace, "param::entry": paramSpace, "param::func": paramSpace, "reg": registerSpace}

func (s space) String() string {
	return [...]string{"generic", "global", "shared", "local", "const", "param", "register"}[s] + " memory"
}

// needed has the bits of a register that an operand of the type takes.
func (t typ) needed() uint64 {
	if t == noType {
		return ^uint64(0)
	}
	return t.mask()
}
