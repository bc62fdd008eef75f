package kernels

import (
	"fmt"
	"slices"

	"pgc/codegen/schedule"
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

	// resume gives sums of floats that go on from C; nil for C's own vectors.
	resume func(s mmaStep, c func(i int) *tile.Value) []*tile.Value
	emit   func(s mmaStep) []*tile.Value
	total  func(s mmaStep, r, v int) *tile.Value // of row r and vector of columns v
	class  schedule.Class                        // of its schedules
}

// forms lists every form. Forms of integers are exact over the whole range, so all give the same sums; those of
// bfloat16, whose products are exact in f32, do where nothing is subnormal, but for arm64's, which have sums of their own.
var forms = []*mma{
	{name: "MMA_1xNx1_F32_F32", lhs: F32, rhs: []DType{F32}, rows: 1, halves: 1, acc: tile.F32, x: tile.F32, words: 1, w: tile.F32,
		unit: 1, body: 4, step: 1, loader: panel16, inPlace: true, emit: fma(1), total: joined, class: schedule.FMA},
	{name: "MMA_1xNx1_F32_CASTF32", lhs: F32, rhs: []DType{BF16, F16}, rows: 1, halves: 1, acc: tile.F32, x: tile.F32, words: 1, w: tile.F32,
		unit: 1, body: 4, step: 1, loader: panel16, emit: fma(1), total: joined, class: schedule.FMA},
	{name: "MMA_1xNx1_F32_CASTI8", lhs: F32, rhs: groupsOfBits(8), rows: 1, halves: 1, acc: tile.F32, x: tile.F32, words: 1, w: tile.F32,
		unit: 1, body: 4, step: 1, loader: dequantized8, emit: fma(1), total: joined, class: schedule.Dequant},
	{name: "MMA_1xNx1_F32_CASTI4", lhs: F32, rhs: groupsOfBits(4), rows: 1, halves: 1, acc: tile.F32, x: tile.F32, words: 1, w: tile.F32,
		unit: 1, body: 4, step: 1, loader: dequantized4, emit: fma(1), total: joined, class: schedule.Dequant},
	{name: "MMA_1xNx1_CASTBF16_CASTI8", lhs: BF16, rhs: groupsOfBits(8), rows: 1, halves: 1, acc: tile.F32, x: tile.F32, words: 1, w: tile.F32,
		unit: 1, body: 4, step: 1, loader: dequantized8, emit: fma(1), total: joined, class: schedule.Dequant},
	{name: "MMA_1xNx1_CASTBF16_CASTI4", lhs: BF16, rhs: groupsOfBits(4), rows: 1, halves: 1, acc: tile.F32, x: tile.F32, words: 1, w: tile.F32,
		unit: 1, body: 4, step: 1, loader: dequantized4, emit: fma(1), total: joined, class: schedule.Dequant},
	{name: "MMA_X86_AMX_16x16x32_F32_BF16", lhs: BF16, rhs: []DType{BF16}, features: []string{"amx-bf16"}, tiles: tile.TileDotBF16,
		rows: 16, halves: 1, acc: tile.F32, x: tile.BF16, words: 2, w: tile.I16,
		unit: 2, body: 16, step: 1, loader: vnni2, inPlace: true, class: schedule.AMX2},
	{name: "MMA_1xNx32_F32_CASTBF16", lhs: BF16, rhs: []DType{BF16}, features: []string{"amx-bf16"}, // the sums of tiles
		rows: 1, halves: 2, acc: tile.F32, x: tile.F32, words: 1, w: tile.F32, apart: 16, flushes: true,
		unit: 2, body: 4, step: 1, loader: vnni2Split, emit: fmaApart, total: joinedHalves, class: schedule.Apart},
	{name: "MMA_X86_AVX512BF16_1x16x2_F32_BF16", lhs: BF16, rhs: []DType{BF16}, features: []string{target.AMD}, // vdpbf16ps
		rows: 1, halves: 1, acc: tile.F32, x: tile.BF16, words: 2, w: tile.I16,
		unit: 2, body: 4, step: 1, loader: vnni2, inPlace: true, emit: dot(1, (*tile.Builder).DotBF16), total: joined, class: schedule.FMA},
	{name: "MMA_ARM_BF16_2x2x4_F32_BF16", lhs: BF16, rhs: []DType{BF16}, features: []string{"bf16"}, whole: 8, // bfmmla, which is bfdot twice
		rows: 2, halves: 2, acc: tile.F32, x: tile.BF16, words: 4, w: tile.I16,
		unit: 2, body: 4, step: 4, loader: zipped(vnni2Chunk, tile.I16), resume: matricesOf, emit: matrices((*tile.Builder).MMLAOdd), total: rowOfMatrix, class: schedule.Pairs},
	{name: "MMA_ARM_BF16_1x4x2_F32_BF16", lhs: BF16, rhs: []DType{BF16}, features: []string{"bf16"}, // bfdot
		rows: 1, halves: 1, acc: tile.F32, x: tile.BF16, words: 2, w: tile.I16,
		unit: 2, body: 4, step: 1, loader: vnni2, inPlace: true, emit: dot(1, (*tile.Builder).DotOdd), total: joined, class: schedule.FMA},
	{name: "MMA_1xNx2_F32_CASTBF16", lhs: BF16, rhs: []DType{BF16}, rows: 1, halves: 1, acc: tile.F32, x: tile.F32, words: 1, w: tile.F32,
		unit: 2, body: 4, step: 1, loader: vnni2Split, emit: fma(2), total: joined, class: schedule.VNNI2},
	{name: "MMA_X86_AMX_16x16x64_I32_I8_I8", lhs: Int8, rhs: []DType{Int8}, features: []string{"amx-int8"}, tiles: tile.TileDotSS, least: 64,
		rows: 16, halves: 1, acc: tile.I32, x: tile.I8, words: 1, w: tile.I8,
		unit: 1, body: chunk, step: chunk, loader: vnni4, inPlace: true, class: schedule.AMX},
	{name: "MMA_X86_AMX_16x16x64_I32_I8_UI4", lhs: Int8, rhs: []DType{Int4}, features: []string{"amx-int8"}, tiles: tile.TileDotSU, least: 64,
		rows: 16, halves: 1, acc: tile.I32, x: tile.I8, words: 1, w: tile.I8,
		unit: 1, body: chunk, step: chunk, loader: vnni4Int4, class: schedule.AMX},
	{name: "MMA_X86_VNNI_1xNx4_I32_UI8_I8", lhs: Int8, rhs: []DType{Int8}, features: target.VNNI,
		rows: 1, halves: 1, acc: tile.I32, x: tile.I8, words: 1, w: tile.I8, unsigned: true,
		unit: 1, body: chunk, step: chunk, loader: vnni4Unsigned, emit: dot(chunk/4, (*tile.Builder).Dot4), total: joined, class: schedule.VNNI4},
	{name: "MMA_X86_VNNI_1xNx4_I32_UI4_I8", lhs: Int8, rhs: []DType{Int4}, features: target.VNNI,
		rows: 1, halves: 1, acc: tile.I32, x: tile.I8, words: 1, w: tile.I8,
		unit: 1, body: chunk, step: chunk, loader: vnni4Int4, emit: dot(chunk/4, (*tile.Builder).Dot4), total: joined, class: schedule.VNNI4},
	{name: "MMA_ARM_I8MM_2x2x8_I32_I8_I8", lhs: Int8, rhs: []DType{Int8}, features: []string{"i8mm"}, // smmla
		rows: 2, halves: 2, acc: tile.I32, x: tile.I8, words: 2, w: tile.I8,
		unit: 1, body: chunk, step: chunk, loader: zipped(vnni4, tile.I8), emit: matrices((*tile.Builder).MMLA), total: rowOfMatrix, class: schedule.MMLA},
	{name: "MMA_ARM_I8MM_2x2x8_I32_I8_UI4", lhs: Int8, rhs: []DType{Int4}, features: []string{"i8mm"},
		rows: 2, halves: 2, acc: tile.I32, x: tile.I8, words: 2, w: tile.I8,
		unit: 1, body: chunk, step: chunk, loader: zipped(vnni4Int4, tile.I8), emit: matrices((*tile.Builder).MMLA), total: rowOfMatrix, class: schedule.MMLA},
	{name: "MMA_ARM_1x4x4_I32_I8_I8", lhs: Int8, rhs: []DType{Int8}, features: []string{"neon"}, // sdot, or smull and pairwise sums
		rows: 1, halves: 1, acc: tile.I32, x: tile.I8, words: 1, w: tile.I8,
		unit: 1, body: chunk, step: chunk, loader: vnni4, emit: dot(chunk/4, (*tile.Builder).DotS4), total: joined, class: schedule.VNNI4},
	{name: "MMA_ARM_1x4x4_I32_I8_UI4", lhs: Int8, rhs: []DType{Int4}, features: []string{"neon"},
		rows: 1, halves: 1, acc: tile.I32, x: tile.I8, words: 1, w: tile.I8,
		unit: 1, body: chunk, step: chunk, loader: vnni4Int4, emit: dot(chunk/4, (*tile.Builder).DotS4), total: joined, class: schedule.VNNI4},
	{name: "MMA_X86_1xNx2_I32_CASTI16", lhs: Int8, rhs: []DType{Int8}, // pmaddwd
		rows: 1, halves: 2, acc: tile.I32, x: tile.I16, words: 1, w: tile.I16,
		unit: 1, body: chunk, step: chunk, loader: vnni4Widened, emit: dot(chunk/4, addDotI16), total: joined, class: schedule.I16},
	{name: "MMA_X86_1xNx8_I32_UI4_I8", lhs: Int8, rhs: []DType{Int4}, // pmaddubs: eight products fit in 16 bits
		rows: 1, halves: 1, acc: tile.I32, x: tile.I8, words: 1, w: tile.I8,
		unit: 1, body: chunk, step: chunk, loader: vnni4Int4, emit: dotU8, total: joined, class: schedule.U8},
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

// half counts the units of a body of half the code, of which products of one row and of many are as fast: they wait for memory,
// or have multiply-adds enough. Few rows are not.
func (f *mma) half() int64 { return max(f.step, f.body/2) }

// grouped reports whether sums belong to a group and are scaled.
func (f *mma) grouped() bool { return f.acc == tile.I32 }

// width counts the elements of a vector of B.
func (f *mma) width(lanes int) int { return 4 * lanes / f.w.Bytes() }

// sums counts the sums of a block of rows and vectors of columns.
func (f *mma) sums(rows, vecs, chains int) int {
	return (rows + f.rows - 1) / f.rows * vecs * chains * f.halves
}

// takes returns an error unless the form can be blocked so.
func (f *mma) takes(s schedule.Product, lanes int) error {
	m, one, few := s.Many, s.One, s.Few
	switch {
	case m.MR < 1 || m.Vecs < 1 || m.MC < int64(m.MR) || m.MR%f.rows != 0:
		return fmt.Errorf("MR %d, Vecs %d, MC %d: expected whole sums of %d rows, and a block of them at least", m.MR, m.Vecs, m.MC, f.rows)
	case m.KC < 1 || m.KC%128 != 0 && f.unit == 1 || f.apart > 0 && m.KC != f.apart:
		return fmt.Errorf("KC %d: expected whole groups, and for sums apart their length", m.KC)
	case m.NC < 1 || m.NC%PanelPad != 0 || PanelPad%(m.Vecs*lanes) != 0:
		return fmt.Errorf("NC %d, Vecs %d: expected whole blocks of %d columns", m.NC, m.Vecs, PanelPad)
	case f.tiles != 0: // whose sets have other forms for one row and for few
		return nil
	case one.Side < 1 || one.Chains < 1 || one.Side%one.Chains != 0 && one.Side > 1 || f.step%int64(one.Chains) != 0 && f.grouped():
		return fmt.Errorf("one row in Side %d, Chains %d: expected some of each, and words of a step for each chain", one.Side, one.Chains)
	case one.Chains > 1 && f.class != schedule.VNNI4 && f.class != schedule.I16:
		return fmt.Errorf("one row in Chains %d: expected 1, for sums that are not of words", one.Chains)
	case few.MR < 1 || few.Vecs < 1 || few.Side < 1 || few.MR%f.rows != 0 || PanelPad%(few.Vecs*lanes) != 0:
		return fmt.Errorf("few rows in MR %d, Vecs %d, Side %d: expected whole sums of %d rows", few.MR, few.Vecs, few.Side, f.rows)
	}
	return nil
}

// Class returns the class of schedules of a matmul's first part on a target.
func (s *Matmul) Class(t target.Target) schedule.Class {
	return s.formOf(&s.Parts[0], t).class
}

// formOf returns the form of a part on a target.
func (s *Matmul) formOf(p *Part, t target.Target) *mma {
	return form(t, s.LHS(), p.RHS(), s.M.N, s.K, p.Group.Len)
}
