package tile

import "math"

// Op is the operation of an instruction.
type Op uint8

// The operations. Operands are fragments of one type unless said.
const (
	Param     Op = iota // parameter Imm of the kernel
	Task                // index of the work item, i64
	Scratch             // the thread's scratch memory as *f32
	Const               // Imm for integers, Num for floats, splat to all lanes
	Add                 // arithmetic, integer or float by type; integers wrap
	Sub                 //
	Mul                 //
	Div                 // integer division truncates; by zero, and the least by -1, it is undefined
	Rem                 // integers
	Min                 // x < y ? x : y, so y if either is NaN
	Max                 // x > y ? x : y
	FMA                 // x*y + z rounded once, floats
	Neg                 //
	Abs                 //
	Sqrt                // floats
	Floor               // floats
	Rint                // floats, ties to even
	And                 // integers and i1
	Or                  //
	Xor                 //
	Shl                 // integers, by a constant below the width
	Shr                 // likewise; zeros come in from the left
	Sar                 // likewise; the sign does
	LT                  // comparisons give i1 lanes; ordered for floats, signed for integers
	LE                  //
	EQ                  //
	Select              // i1 lanes, x, y
	IToF                // i32 to f32
	FToI                // f32 to i32, truncating; what does not fit, and NaN, becomes the least integer
	BitF                // i32 reinterpreted as f32
	BitI                // f32 reinterpreted as i32
	Bits                // an integer fragment reinterpreted as another of as many bits, the first lane lowest
	Widen               // i8 to i16 or i32, i16 to i32, i32 to i64, with the sign
	Narrow              // i64 to i32, i32 to i8, dropping high bits
	Splat               // scalar to all lanes
	Lane                // lane Imm of a vector
	Iota                // 0, 1, 2, … (i32)
	Shuffle             // two vectors of one type: lane i is lane Mask[i] of their concatenation
	Lookup              // i32 to f32: lane i is Table[x[i] mod its length]
	DotI16              // two i16 vectors: i32 lane i is x[2i]·y[2i] + x[2i+1]·y[2i+1], wrapping
	DotU8               // unsigned and signed i8 vectors: i16 lane i is x[2i]·y[2i] + x[2i+1]·y[2i+1], which must fit
	Dot4                // i32 lanes, unsigned and signed i8 vectors: lane i is acc[i] + Σ x[4i+j]·y[4i+j] over j < 4, wrapping
	DotS4               // likewise, both signed
	MMLA                // i32 lanes, signed i8 vectors: of every four lanes 2i+j is acc + Σ x[8i+k]·y[8j+k] over k < 8 of the four's sixteen, wrapping
	DotBF16             // f32 lanes, i16 vectors of bfloat16: lane i is acc[i] + x[2i+1]·y[2i+1], then + x[2i]·y[2i], each rounded once; what is subnormal is 0
	DotOdd              // likewise: lane i is acc[i] + (x[2i]·y[2i] + x[2i+1]·y[2i+1]), both sums rounded to odd; what is subnormal is 0
	MMLAOdd             // f32 lanes, i16 vectors of bfloat16: lane 2i+j of every four is DotOdd of acc, x[4i…], y[4j…] of the four's eight, twice: two of k, then the next two
	Reduce              // lanes joined by the operation Fold by halves: x[0..n/2) with x[n/2..n), until one is left
	PtrAdd              // pointer, i64 elements
	PtrCast             // pointer to another element type
	Load                // pointer, i64 offset in elements
	LoadTail            // pointer, offset, i64 count: lanes from count on are zero and their memory is not touched
	Store               // pointer, offset, value
	StoreTail           // pointer, offset, value, count
	Prefetch            // pointer, offset, to cache level Imm, 1 or 2; any address will do

	// Operations on the state of a thread (see units.go): tile registers, by their numbers Tiles, and how it takes subnormal floats.

	TileConfig  // pointer, i64 offset: shapes of all tiles from 64 bytes; tiles are zero then
	TileRelease // no tile has a shape any more
	TileZero    // tile Tiles[0] is zero
	TileLoad    // pointer, offset, i64 bytes from a row to the next: tile Tiles[0] from memory
	TileStore   // likewise, to memory
	TileDotSS   // tile Tiles[0] of i32 += Tiles[1], rows of signed bytes, by Tiles[2], fours of signed bytes of a column; wrapping
	TileDotSU   // likewise, the bytes of Tiles[2] unsigned
	TileDotBF16 // tile Tiles[0] of f32 += Tiles[1], rows of bfloat16, by Tiles[2], pairs of a column, in an order of its own
	Flush       // pointer to 4 bytes: while Imm is 1, subnormal operands and results of add, sub, mul and fma are 0; Imm 0 ends that

	For // lo, hi, step (i64), carried…; body of (index, carried…) yields the carried values
	If  // i1, then and else blocks that yield values of the same types
	numOps
)

// opDef is a row of the table of operations: all there is to say about one but how backends emit it.
type opDef struct {
	name string
	args int  // operands; For has that many and the carried values
	rule rule // the types it takes and gives
	eval eval // what it computes on one lane; nil for what is not lane by lane
}

var ops = [numOps]opDef{
	Param:     {"param", 0, anything, nil},
	Task:      {"task", 0, gives(Scalar(I64)), nil},
	Scratch:   {"scratch", 0, gives(pointerTo(F32)), nil},
	Const:     {"const", 0, fragment, nil},
	Add:       {"add", 2, equal(numbers), arith(func(x, y float32) float32 { return x + y }, func(x, y int64) int64 { return x + y })},
	Sub:       {"sub", 2, equal(numbers), arith(func(x, y float32) float32 { return x - y }, func(x, y int64) int64 { return x - y })},
	Mul:       {"mul", 2, equal(numbers), arith(func(x, y float32) float32 { return x * y }, func(x, y int64) int64 { return x * y })},
	Div:       {"div", 2, equal(numbers), arith(func(x, y float32) float32 { return x / y }, divide(func(x, y int64) int64 { return x / y }))},
	Rem:       {"rem", 2, equal(integers), arith(nil, divide(func(x, y int64) int64 { return x % y }))},
	Min:       {"min", 2, equal(numbers), arith(func(x, y float32) float32 { return pick(x < y, x, y) }, func(x, y int64) int64 { return min(x, y) })},
	Max:       {"max", 2, equal(numbers), arith(func(x, y float32) float32 { return pick(x > y, x, y) }, func(x, y int64) int64 { return max(x, y) })},
	FMA:       {"fma", 3, equal(floats), fma},
	Neg:       {"neg", 1, equal(numbers), unary(func(x float32) float32 { return -x }, func(x int64) int64 { return -x })},
	Abs:       {"abs", 1, equal(numbers), unary(fromDouble(math.Abs), func(x int64) int64 { return max(x, -x) })},
	Sqrt:      {"sqrt", 1, equal(floats), unary(fromDouble(math.Sqrt), nil)},
	Floor:     {"floor", 1, equal(floats), unary(fromDouble(math.Floor), nil)},
	Rint:      {"rint", 1, equal(floats), unary(fromDouble(math.RoundToEven), nil)},
	And:       {"and", 2, equal(bits), arith(nil, func(x, y int64) int64 { return x & y })},
	Or:        {"or", 2, equal(bits), arith(nil, func(x, y int64) int64 { return x | y })},
	Xor:       {"xor", 2, equal(bits), arith(nil, func(x, y int64) int64 { return x ^ y })},
	Shl:       {"shl", 2, shift, arith(nil, func(x, y int64) int64 { return x << uint(y) })},
	Shr:       {"shr", 2, shift, shiftRight},
	Sar:       {"sar", 2, shift, arith(nil, func(x, y int64) int64 { return x >> uint(y) })},
	LT:        {"lt", 2, compared, comparison(func(x, y float32) bool { return x < y }, func(x, y int64) bool { return x < y })},
	LE:        {"le", 2, compared, comparison(func(x, y float32) bool { return x <= y }, func(x, y int64) bool { return x <= y })},
	EQ:        {"eq", 2, compared, comparison(func(x, y float32) bool { return x == y }, func(x, y int64) bool { return x == y })},
	Select:    {"select", 3, selected, func(_ *Inst, a []word) word { return pick(a[0] != 0, a[1], a[2]) }},
	IToF:      {"itof", 1, converts(I32, F32), func(_ *Inst, a []word) word { return floatWord(float32(a[0])) }},
	FToI:      {"ftoi", 1, converts(F32, I32), func(_ *Inst, a []word) word { return truncated(a[0].float()) }},
	BitF:      {"bitf", 1, converts(I32, F32), func(_ *Inst, a []word) word { return word(uint32(a[0])) }},
	BitI:      {"biti", 1, converts(F32, I32), func(_ *Inst, a []word) word { return word(int32(a[0])) }},
	Widen:     {"widen", 1, converts(I8, I16, I8, I32, I16, I32, I32, I64), func(_ *Inst, a []word) word { return a[0] }},
	Bits:      {"bits", 1, sameBits, nil},
	Narrow:    {"narrow", 1, converts(I32, I8, I64, I32), func(in *Inst, a []word) word { return cut(in.Out[0].Type.Elem, int64(a[0])) }},
	Splat:     {"splat", 1, splat, nil},
	Lane:      {"lane", 1, lane, nil},
	Iota:      {"iota", 0, iota32, nil},
	Shuffle:   {"shuffle", 2, shuffle, nil},
	Lookup:    {"lookup", 1, lookup, func(in *Inst, a []word) word { return floatWord(in.Table[int(a[0])&(len(in.Table)-1)]) }},
	DotI16:    {"dot_i16", 2, dot(I16, I32), nil},
	DotU8:     {"dot_u8", 2, dot(I8, I16), nil},
	Dot4:      {"dot4", 3, dot4, nil},
	DotS4:     {"dot_s4", 3, dot4, nil},
	MMLA:      {"mmla", 3, mmla, nil},
	DotBF16:   {"dot_bf16", 3, dotBF16, nil},
	DotOdd:    {"dot_odd", 3, dotBF16, nil},
	MMLAOdd:   {"mmla_odd", 3, mmlaOdd, nil},
	Reduce:    {"reduce", 1, reduction, nil},
	PtrAdd:    {"ptr_add", 2, moved, nil},
	PtrCast:   {"ptr_cast", 1, recast, nil},
	Load:      {"load", 2, loaded, nil},
	LoadTail:  {"load_tail", 3, loaded, nil},
	Store:     {"store", 3, stored, nil},
	StoreTail: {"store_tail", 4, stored, nil},
	Prefetch:  {"prefetch", 2, addressed, nil},
	For:       {"for", 3, looped, nil},
	If:        {"if", 1, branched, nil},

	TileConfig:  {"tile_config", 2, tileConfig, nil},
	TileRelease: {"tile_release", 0, tiles(0), nil},
	TileZero:    {"tile_zero", 0, tiles(1), nil},
	TileLoad:    {"tile_load", 3, tiles(1), nil},
	TileStore:   {"tile_store", 3, tiles(1), nil},
	TileDotSS:   {"tile_dot_ss", 0, tiles(3), nil},
	TileDotSU:   {"tile_dot_su", 0, tiles(3), nil},
	TileDotBF16: {"tile_dot_bf16", 0, tiles(3), nil},
	Flush:       {"flush", 1, switched, nil},
}

// String returns the name of the operation.
func (op Op) String() string { return ops[op].name }

// Ops returns every operation, in the order of the table.
func Ops() []Op {
	all := make([]Op, numOps)
	for i := range all {
		all[i] = Op(i)
	}
	return all
}
