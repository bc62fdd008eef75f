package schedule

// The classes of products, by the names that they have here.
const (
	FMA     Class = "FMA"     // float32 multiply-adds, and what does their work on words: vdpbf16ps, bfdot
	Dequant Class = "Dequant" // the same, with weights in groups that are unpacked as floats
	VNNI2   Class = "VNNI2"   // the same, with pairs of bfloat16 that are split
	Apart   Class = "Apart"   // the same in the order of tiles: 16 pairs of k are summed apart
	VNNI4   Class = "VNNI4"   // vpdpbusd, sdot
	I16     Class = "I16"     // pmaddwd
	U8      Class = "U8"      // pmaddubsw
	MMLA    Class = "MMLA"    // smmla
	Pairs   Class = "Pairs"   // bfmmla
	AMX     Class = "AMX"     // tdpbssd, tdpbsud
	AMX2    Class = "AMX2"    // tdpbf16ps
)

func (c Class) floats() bool   { return c == FMA || c == Dequant }
func (c Class) bf16() bool     { return c == VNNI2 || c == Apart || c == Pairs || c == AMX2 }
func (c Class) integers() bool { return !c.floats() && !c.bf16() }

// Default is the table that executables are compiled with.
//
// The microkernel fills the register file: 6×16 of 16 ymm, 12×32 of 32 zmm, 6×16 of 32 registers of NEON. KC×NR floats
// of B, and what they are widened from, take 8–24 KiB of L1; MC×KC floats of A, 144 KiB, stay in L2 while the columns
// of a task pass by. 288 rows are a small image and its prompt, whose weights are then read once. Measured with
// BenchmarkMatmul on Zen 5, 266 rows of bfloat16: KC 128 and MC 288 are 1–3 % (AVX2) and 5–8 % (AVX-512) ahead of 256
// and 192, NC 256 another 2 % on AVX-512.
//
// A single row reads so many panels that multiply-adds do not wait for the ones before; integers have other sums to do
// and read one stream, which is fastest from memory. Unpacking wants registers, too; so do the words of x on NEON, the
// halves of I16's sums, and U8's sum in 16 bits.
var Default = &Table{
	Products: []Row{
		//  class, family, lanes          MR, Vecs, KC, NC, MC, Pack      Side, Chains, Ahead MR, Vecs, Side, Ahead
		{FMA, "", 4, Product{Many{6, 4, 128, 128, 288, false}, One{4, 1, 32}, Few{6, 4, 1, 8 << 10}}},
		{FMA, "", 8, Product{Many{6, 2, 128, 128, 288, false}, One{4, 1, 32}, Few{6, 2, 1, 8 << 10}}},
		{FMA, "", 16, Product{Many{12, 2, 128, 256, 288, false}, One{4, 1, 32}, Few{12, 2, 2, 8 << 10}}},
		{Dequant, "", 4, Product{Many{6, 4, 128, 128, 288, false}, One{1, 1, 0}, Few{6, 4, 1, 8 << 10}}},
		{Dequant, "", 8, Product{Many{6, 2, 128, 128, 288, false}, One{2, 1, 0}, Few{6, 2, 1, 8 << 10}}},
		{Dequant, "", 16, Product{Many{12, 2, 128, 256, 288, false}, One{4, 1, 0}, Few{12, 2, 2, 8 << 10}}},
		{VNNI2, "", 4, Product{Many{6, 4, 64, 128, 288, false}, One{4, 1, 32}, Few{6, 4, 1, 8 << 10}}},
		{VNNI2, "", 8, Product{Many{6, 2, 64, 128, 288, false}, One{4, 1, 32}, Few{6, 2, 1, 8 << 10}}},
		{VNNI2, "", 16, Product{Many{12, 2, 64, 256, 288, false}, One{4, 1, 32}, Few{12, 2, 2, 8 << 10}}},
		// bfloat16 by bfloat16, one row: 68 → 74 % of 26.8 GB/s (memory); one thread of AMD EPYC.
		{VNNI2, "znver3", 8, Product{Many{6, 2, 64, 128, 288, false}, One{4, 1, 0}, Few{6, 2, 1, 8 << 10}}},
		{VNNI4, "", 4, Product{Many{4, 4, 512, 128, 288, false}, One{1, 2, 0}, Few{4, 4, 1, 8 << 10}}},
		{VNNI4, "", 8, Product{Many{6, 2, 512, 128, 288, false}, One{1, 4, 0}, Few{6, 2, 1, 8 << 10}}},
		{VNNI4, "", 16, Product{Many{12, 2, 512, 128, 288, false}, One{1, 4, 0}, Few{12, 2, 1, 8 << 10}}},
		{I16, "", 8, Product{Many{6, 1, 256, 128, 288, false}, One{1, 1, 0}, Few{6, 1, 1, 8 << 10}}},
		{I16, "", 16, Product{Many{12, 1, 256, 128, 288, false}, One{1, 1, 0}, Few{12, 1, 1, 8 << 10}}},
		{U8, "", 8, Product{Many{8, 1, 512, 128, 288, false}, One{1, 1, 0}, Few{8, 1, 1, 8 << 10}}},
		{U8, "", 16, Product{Many{8, 1, 512, 128, 288, false}, One{1, 1, 0}, Few{8, 1, 1, 8 << 10}}},
		// int4, 266 rows: 81 → 91 % of 239 GOP/s (int4 by int8 products); one row: 58 → 74 % of 25.3 GB/s (memory), beside
		// another process that reads as much; one thread of AMD EPYC.
		{U8, "znver3", 8, Product{Many{7, 2, 256, 128, 288, false}, One{4, 1, 128}, Few{8, 1, 1, 8 << 10}}},
		// int8, 266 rows: 84 → 89 % of 150 GOP/s (int8 products); one row: 61 → 78 % of 25.3 GB/s (memory), beside another
		// process that reads as much; one thread of AMD EPYC.
		{I16, "znver3", 8, Product{Many{1, 4, 256, 256, 288, false}, One{4, 1, 0}, Few{6, 1, 1, 8 << 10}}},
		{MMLA, "", 4, Product{Many{6, 4, 512, 128, 288, false}, One{1, 1, 0}, Few{6, 4, 1, 8 << 10}}},
		{Pairs, "", 4, Product{Many{6, 4, 256, 128, 288, false}, One{1, 1, 0}, Few{6, 4, 1, 8 << 10}}},
		{AMX, "", 8, Product{Many: Many{32, 4, 512, 128, 288, false}}},
		{AMX, "", 16, Product{Many: Many{32, 2, 512, 128, 288, false}}},
		{AMX2, "", 8, Product{Many: Many{32, 4, 256, 256, 288, false}}},
		{AMX2, "", 16, Product{Many: Many{32, 2, 256, 256, 288, false}}},
		{Apart, "", 8, Product{Many{2, 2, 16, 128, 288, false}, One{2, 1, 32}, Few{2, 2, 1, 8 << 10}}},
		{Apart, "", 16, Product{Many{4, 2, 16, 256, 288, false}, One{4, 1, 32}, Few{4, 2, 2, 8 << 10}}},
	},
	Attentions: []Attention{
		{"", 4, 8, 2, 8},
		{"", 8, 6, 2, 8},
		{"", 16, 12, 2, 8},
	},
}
