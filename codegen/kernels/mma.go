package kernels

import (
	"fmt"
	"slices"

	"pgc/ir/quant"
	"pgc/ir/target"
	"pgc/ir/tile"
)

// DType names how the numbers of a product's operand are stored.
type DType uint8

const (
	None DType = iota
	F32
	BF16
	F16
	groups // behind it, groups of the formats of package quant, see Group

	Int8 = groups + DType(quant.Int8)
	Int4 = groups + DType(quant.Int4)
)

// groupsOf returns the type of groups of a format.
func groupsOf(f quant.Format) DType { return groups + DType(f) }

// groupsOfBits returns the types of groups whose codes have so many bits.
func groupsOfBits(bits int) (types []DType) {
	for _, f := range quant.Formats() {
		if f.Traits().Bits == bits {
			types = append(types, groupsOf(f))
		}
	}
	return types
}

// String returns the name of t, such as bf16 or int8.
func (t DType) String() string {
	if t > groups {
		return quant.Format(t - groups).String()
	}
	return [...]string{"", "f32", "bf16", "f16"}[t]
}

// mma describes a form of multiply-accumulate, D = C + A·B: an instruction, or a few that do the work of one. A are
// rows of x, B weights, C sums. Its row of the table says all that the schedules ask of it.
//
// They count k in units and take it in loops whose body has `body` units, `step` at a time. Vectors of B, in the order
// in which emit asks for them, come from the loader: straight from the packed matrix, or through scratch, where the
// blocked schedule unpacks them once for all rows of a task. Sums are the form's own: the schedules hand a slice of
// them from start to emit to total, and know neither how many rows one has nor what type it is.
//
// A matrix unit whose sums are in registers of its own has a microkernel of its own, too (matmul_tiles.go): its row
// names the product of tiles instead of emit and total. Panels lie as it reads them.
type mma struct {
	name     string // as in IREE's IREECPUEnums.td: set, M×N×K of the instruction, types of sums and factors; CAST where they are widened
	lhs      DType
	rhs      []DType
	features []string // any of them; nil for every target

	rows, halves int       // rows of x in a sum; sums of a vector of columns
	acc          tile.Elem // I32 for sums of a group, which are scaled when they are added to C
	x, w         tile.Elem // factors: of rows of x in memory, which are copied if they have another type, and of vectors of B
	words        int       // of x that a load takes
	unit         int64     // values of k: those of a word in a VNNI2 panel
	body, step   int64     // units
	tiles        tile.Op   // the product of tile registers that blocks of many rows are made of; 0 for none
	least        int64     // values of k that a group has at least
	apart        int64     // units whose products are summed apart, from zero on, before C gets the sum; 0 for C itself
	flushes      bool      // what is subnormal is 0 in products and sums
	loader       loader
	inPlace      bool  // the blocked schedule, too, reads B where it lies
	whole        int64 // K must be a multiple of it; 0 for any K
	unsigned     bool  // B is offset by 128, and sums begin with what that adds taken off
	ahead        int64 // units before one row's stream needs them that B is asked for; 0 where the processor does it better

	// resume gives sums of floats that go on from C; nil for C's own vectors.
	resume    func(s mmaStep, c func(i int) *tile.Value) []*tile.Value
	emit      func(s mmaStep) []*tile.Value
	total     func(s mmaStep, r, v int) *tile.Value // of row r and vector of columns v
	schedules map[int]schedule                      // by lanes
}

// schedule blocks a part; the names are those of BLIS.
type schedule struct {
	mr, vecs int   // microkernel: rows and vectors of columns
	side     int   // panels that a stream reads side by side, over all matrices
	chains   int   // sums of a vector of columns that a single row keeps, so that no product waits for the one before
	kc       int64 // units of k for which B's panel is kept in the first-level cache; whole groups
	nb       int64 // columns of a task, over all matrices
	mb       int64 // rows of a task
}

// The microkernel fills the register file: 6×16 of 16 ymm, 12×32 of 32 zmm, 6×16 of 32 registers of NEON. kc×nr floats
// of B, and what they are widened from, take 8–24 KiB of L1; mb×kc floats of A, 144 KiB, stay in L2 while the columns
// of a task pass by. 288 rows are a small image and its prompt, whose weights are then read once. Measured with
// BenchmarkMatmul on Zen 5, 266 rows of bfloat16: kc 128 and mb 288 are 1–3 % (AVX2) and 5–8 % (AVX-512) ahead of 256
// and 192, nb 256 another 2 % on AVX-512.
//
// A single row reads so many panels that multiply-adds do not wait for the ones before; integers have other sums to do
// and read one stream, which is fastest from memory. Unpacking wants registers, too; so do the words of x on NEON, the
// halves of DotI16's sums, and DotU8's sum in 16 bits.
var ( // mr, vecs, side, chains, kc, nb, mb
	fmaSchedules     = map[int]schedule{4: {6, 4, 4, 1, 128, 128, 288}, 8: {6, 2, 4, 1, 128, 128, 288}, 16: {12, 2, 4, 1, 128, 256, 288}}
	dequantSchedules = map[int]schedule{4: {6, 4, 1, 1, 128, 128, 288}, 8: {6, 2, 2, 1, 128, 128, 288}, 16: {12, 2, 4, 1, 128, 256, 288}}
	vnni2Schedules   = map[int]schedule{4: {6, 4, 4, 1, 64, 128, 288}, 8: {6, 2, 4, 1, 64, 128, 288}, 16: {12, 2, 4, 1, 64, 256, 288}}
	vnni4Schedules   = map[int]schedule{4: {4, 4, 1, 2, 512, 128, 288}, 8: {6, 2, 1, 4, 512, 128, 288}, 16: {12, 2, 1, 4, 512, 128, 288}}
	i16Schedules     = map[int]schedule{8: {6, 1, 1, 1, 256, 128, 288}, 16: {12, 1, 1, 1, 256, 128, 288}}
	mmlaSchedules    = map[int]schedule{4: {6, 4, 1, 1, 512, 128, 288}}
	pairSchedules    = map[int]schedule{4: {6, 4, 1, 1, 256, 128, 288}}
	amxSchedules     = map[int]schedule{8: {32, 4, 1, 1, 512, 128, 288}, 16: {32, 2, 1, 1, 512, 128, 288}}
	amx2Schedules    = map[int]schedule{8: {32, 4, 1, 1, 256, 256, 288}, 16: {32, 2, 1, 1, 256, 256, 288}}
	apartSchedules   = map[int]schedule{8: {2, 2, 2, 1, 16, 128, 288}, 16: {4, 2, 4, 1, 16, 256, 288}}
	u8Schedules      = map[int]schedule{8: {8, 1, 1, 1, 512, 128, 288}, 16: {8, 1, 1, 1, 512, 128, 288}}
)

// forms lists every form. Forms of integers are exact over the whole range, so all give the same sums; those of
// bfloat16, whose products are exact in f32, do where nothing is subnormal, but for arm64's, which have sums of their own.
var forms = []*mma{
	{name: "MMA_1xNx1_F32_F32", lhs: F32, rhs: []DType{F32}, rows: 1, halves: 1, acc: tile.F32, x: tile.F32, words: 1, w: tile.F32,
		unit: 1, body: 4, step: 1, loader: panel16, inPlace: true, ahead: 32, emit: fma(1), total: joined, schedules: fmaSchedules},
	{name: "MMA_1xNx1_F32_CASTF32", lhs: F32, rhs: []DType{BF16, F16}, rows: 1, halves: 1, acc: tile.F32, x: tile.F32, words: 1, w: tile.F32,
		unit: 1, body: 4, step: 1, loader: panel16, ahead: 32, emit: fma(1), total: joined, schedules: fmaSchedules},
	{name: "MMA_1xNx1_F32_CASTI8", lhs: F32, rhs: groupsOfBits(8), rows: 1, halves: 1, acc: tile.F32, x: tile.F32, words: 1, w: tile.F32,
		unit: 1, body: 4, step: 1, loader: dequantized8, emit: fma(1), total: joined, schedules: dequantSchedules},
	{name: "MMA_1xNx1_F32_CASTI4", lhs: F32, rhs: groupsOfBits(4), rows: 1, halves: 1, acc: tile.F32, x: tile.F32, words: 1, w: tile.F32,
		unit: 1, body: 4, step: 1, loader: dequantized4, emit: fma(1), total: joined, schedules: dequantSchedules},
	{name: "MMA_1xNx1_CASTBF16_CASTI8", lhs: BF16, rhs: groupsOfBits(8), rows: 1, halves: 1, acc: tile.F32, x: tile.F32, words: 1, w: tile.F32,
		unit: 1, body: 4, step: 1, loader: dequantized8, emit: fma(1), total: joined, schedules: dequantSchedules},
	{name: "MMA_1xNx1_CASTBF16_CASTI4", lhs: BF16, rhs: groupsOfBits(4), rows: 1, halves: 1, acc: tile.F32, x: tile.F32, words: 1, w: tile.F32,
		unit: 1, body: 4, step: 1, loader: dequantized4, emit: fma(1), total: joined, schedules: dequantSchedules},
	{name: "MMA_X86_AMX_16x16x32_F32_BF16", lhs: BF16, rhs: []DType{BF16}, features: []string{"amx-bf16"}, tiles: tile.TileDotBF16,
		rows: 16, halves: 1, acc: tile.F32, x: tile.BF16, words: 2, w: tile.I16,
		unit: 2, body: 16, step: 1, loader: vnni2, inPlace: true, schedules: amx2Schedules},
	{name: "MMA_1xNx32_F32_CASTBF16", lhs: BF16, rhs: []DType{BF16}, features: []string{"amx-bf16"}, // the sums of tiles
		rows: 1, halves: 2, acc: tile.F32, x: tile.F32, words: 1, w: tile.F32, apart: 16, flushes: true,
		unit: 2, body: 4, step: 1, loader: vnni2Split, ahead: 32, emit: fmaApart, total: joinedHalves, schedules: apartSchedules},
	{name: "MMA_X86_AVX512BF16_1x16x2_F32_BF16", lhs: BF16, rhs: []DType{BF16}, features: []string{target.Zen}, // vdpbf16ps
		rows: 1, halves: 1, acc: tile.F32, x: tile.BF16, words: 2, w: tile.I16,
		unit: 2, body: 4, step: 1, loader: vnni2, inPlace: true, ahead: 32, emit: dot(1, (*tile.Builder).DotBF16), total: joined, schedules: fmaSchedules},
	{name: "MMA_ARM_BF16_2x2x4_F32_BF16", lhs: BF16, rhs: []DType{BF16}, features: []string{"bf16"}, whole: 8, // bfmmla, which is bfdot twice
		rows: 2, halves: 2, acc: tile.F32, x: tile.BF16, words: 4, w: tile.I16,
		unit: 2, body: 4, step: 4, loader: zipped(vnni2Chunk, tile.I16), resume: matricesOf, emit: matrices((*tile.Builder).MMLAOdd), total: rowOfMatrix, schedules: pairSchedules},
	{name: "MMA_ARM_BF16_1x4x2_F32_BF16", lhs: BF16, rhs: []DType{BF16}, features: []string{"bf16"}, // bfdot
		rows: 1, halves: 1, acc: tile.F32, x: tile.BF16, words: 2, w: tile.I16,
		unit: 2, body: 4, step: 1, loader: vnni2, inPlace: true, ahead: 32, emit: dot(1, (*tile.Builder).DotOdd), total: joined, schedules: fmaSchedules},
	{name: "MMA_1xNx2_F32_CASTBF16", lhs: BF16, rhs: []DType{BF16}, rows: 1, halves: 1, acc: tile.F32, x: tile.F32, words: 1, w: tile.F32,
		unit: 2, body: 4, step: 1, loader: vnni2Split, ahead: 32, emit: fma(2), total: joined, schedules: vnni2Schedules},
	{name: "MMA_X86_AMX_16x16x64_I32_I8_I8", lhs: Int8, rhs: []DType{Int8}, features: []string{"amx-int8"}, tiles: tile.TileDotSS, least: 64,
		rows: 16, halves: 1, acc: tile.I32, x: tile.I8, words: 1, w: tile.I8,
		unit: 1, body: chunk, step: chunk, loader: vnni4, inPlace: true, schedules: amxSchedules},
	{name: "MMA_X86_AMX_16x16x64_I32_I8_UI4", lhs: Int8, rhs: []DType{Int4}, features: []string{"amx-int8"}, tiles: tile.TileDotSU, least: 64,
		rows: 16, halves: 1, acc: tile.I32, x: tile.I8, words: 1, w: tile.I8,
		unit: 1, body: chunk, step: chunk, loader: vnni4Int4, schedules: amxSchedules},
	{name: "MMA_X86_VNNI_1xNx4_I32_UI8_I8", lhs: Int8, rhs: []DType{Int8}, features: target.VNNI,
		rows: 1, halves: 1, acc: tile.I32, x: tile.I8, words: 1, w: tile.I8, unsigned: true,
		unit: 1, body: chunk, step: chunk, loader: vnni4Unsigned, emit: dot(chunk/4, (*tile.Builder).Dot4), total: joined, schedules: vnni4Schedules},
	{name: "MMA_X86_VNNI_1xNx4_I32_UI4_I8", lhs: Int8, rhs: []DType{Int4}, features: target.VNNI,
		rows: 1, halves: 1, acc: tile.I32, x: tile.I8, words: 1, w: tile.I8,
		unit: 1, body: chunk, step: chunk, loader: vnni4Int4, emit: dot(chunk/4, (*tile.Builder).Dot4), total: joined, schedules: vnni4Schedules},
	{name: "MMA_ARM_I8MM_2x2x8_I32_I8_I8", lhs: Int8, rhs: []DType{Int8}, features: []string{"i8mm"}, // smmla
		rows: 2, halves: 2, acc: tile.I32, x: tile.I8, words: 2, w: tile.I8,
		unit: 1, body: chunk, step: chunk, loader: zipped(vnni4, tile.I8), emit: matrices((*tile.Builder).MMLA), total: rowOfMatrix, schedules: mmlaSchedules},
	{name: "MMA_ARM_I8MM_2x2x8_I32_I8_UI4", lhs: Int8, rhs: []DType{Int4}, features: []string{"i8mm"},
		rows: 2, halves: 2, acc: tile.I32, x: tile.I8, words: 2, w: tile.I8,
		unit: 1, body: chunk, step: chunk, loader: zipped(vnni4Int4, tile.I8), emit: matrices((*tile.Builder).MMLA), total: rowOfMatrix, schedules: mmlaSchedules},
	{name: "MMA_ARM_1x4x4_I32_I8_I8", lhs: Int8, rhs: []DType{Int8}, features: []string{"neon"}, // sdot, or smull and pairwise sums
		rows: 1, halves: 1, acc: tile.I32, x: tile.I8, words: 1, w: tile.I8,
		unit: 1, body: chunk, step: chunk, loader: vnni4, emit: dot(chunk/4, (*tile.Builder).DotS4), total: joined, schedules: vnni4Schedules},
	{name: "MMA_ARM_1x4x4_I32_I8_UI4", lhs: Int8, rhs: []DType{Int4}, features: []string{"neon"},
		rows: 1, halves: 1, acc: tile.I32, x: tile.I8, words: 1, w: tile.I8,
		unit: 1, body: chunk, step: chunk, loader: vnni4Int4, emit: dot(chunk/4, (*tile.Builder).DotS4), total: joined, schedules: vnni4Schedules},
	{name: "MMA_X86_1xNx2_I32_CASTI16", lhs: Int8, rhs: []DType{Int8}, // pmaddwd
		rows: 1, halves: 2, acc: tile.I32, x: tile.I16, words: 1, w: tile.I16,
		unit: 1, body: chunk, step: chunk, loader: vnni4Widened, emit: dot(chunk/4, addDotI16), total: joined, schedules: i16Schedules},
	{name: "MMA_X86_1xNx8_I32_UI4_I8", lhs: Int8, rhs: []DType{Int4}, // pmaddubs: eight products fit in 16 bits
		rows: 1, halves: 1, acc: tile.I32, x: tile.I8, words: 1, w: tile.I8,
		unit: 1, body: chunk, step: chunk, loader: vnni4Int4, emit: dotU8, total: joined, schedules: u8Schedules},
}

// form returns the form in which a target multiplies rows of K values of x by weights, in groups of so many values of k or
// 0: the first one that takes all of these, and no more rows than there are. Tile registers are for more rows than streams
// are for.
func form(t target.Target, x, w DType, rows, k, group int64) *mma {
	for _, f := range forms {
		enough := int64(f.rows) <= rows && f.tiles == 0 || f.tiles != 0 && rows > fewRows
		whole := k%max(1, f.whole) == 0 && f.least <= group
		if f.lhs == x && slices.Contains(f.rhs, w) && enough && whole && (f.features == nil || t.Has(f.features...)) {
			return f
		}
	}
	panic(fmt.Sprintf("kernels: no form multiplies %s by %s on %s", x, w, t.Name))
}

// units counts the units of k of a product of K values; loops of integers take whole bodies, which packed rows are
// padded to.
func (f *mma) units(k int64) int64 { return roundUp((k+f.unit-1)/f.unit, f.step) }

// grouped reports whether sums belong to a group and are scaled.
func (f *mma) grouped() bool { return f.acc == tile.I32 }

// width counts the elements of a vector of B.
func (f *mma) width(lanes int) int { return 4 * lanes / f.w.Bytes() }

// sums counts the sums of a block of rows and vectors of columns.
func (f *mma) sums(rows, vecs, chains int) int {
	return (rows + f.rows - 1) / f.rows * vecs * chains * f.halves
}
