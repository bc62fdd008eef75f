package ptx

import (
	"fmt"

	"pgc/codegen/kernels"
	"pgc/codegen/packing"
	"pgc/ir/quant"
	"pgc/ir/tile"
	"pgc/runtime/program"
)

// form is how weights of a storage format become operand A of mma.m16n8k16. Another instruction, such as wgmma with A
// from registers, takes the same fragments.
type form struct {
	bits, group int64 // of a code, and the length of its groups; 0 of floats
	// A warp that streams weights for few rows loads so many tiles in a step and has so many steps on their way. A step
	// has whole groups, so many steps pairs of groups.
	tiles, steps int64
	// unpack makes the 16 bytes that a thread has of a tile the four registers of each 16 values of k.
	unpack func(p *product, words []string) [][]string
}

// forms are the formats that products read.
var forms = []form{
	{16, 0, 4, 2, whole},
	{8, 32, 2, 4, fromBytes},
	{8, 64, 2, 4, fromBytes},
	{8, 128, 4, 2, fromBytes},
	{4, 32, 1, 2, fromNibbles},
	{4, 64, 1, 4, fromNibbles},
	{4, 128, 2, 2, fromNibbles},
}

// formOf returns the form of a part's weights; others are errors.
func formOf(p *kernels.Part) form {
	f := packing.Fragments{Group: p.Group}
	if p.Group.Len == 0 && p.Elem != tile.BF16 {
		fail("weights are %s, expected bf16, int8 or int4", p.Elem)
	}
	if !f.Exact() {
		fail("weights are %s, whose levels bfloat16 does not hold, expected bf16, int8 or int4", p.Group.Format)
	}
	for _, row := range forms {
		if row.bits == f.Bits() && row.group == p.Group.Len {
			return row
		}
	}
	fail("weights of %d bits in groups of %d, which no form has", f.Bits(), p.Group.Len)
	return form{}
}

// whole takes bfloat16 as it is.
func whole(_ *product, words []string) [][]string { return [][]string{words} }

const (
	andOr   = "0xea"       // lop3: (a & b) | c
	pair128 = "0x43004300" // 128 twice, in bfloat16; its last seven bits are integers
)

// pairs are pairs of bfloat16 numbers in registers.
type pairs struct{ ones, minusOne, less128 string }

// setPairs fills the registers.
func (p *product) setPairs() {
	set := func(bits string) string { return p.to(word, "mov.b32", bits) }
	p.pairs = pairs{set("0x3f803f80"), set("0xbf80bf80"), set("0xc300c300")}
}

// fromBytes makes signed bytes bfloat16, exactly: the low seven bits with 128, less 128, or 256 where the sign is set.
// The even bytes of a word are two of a row, the odd ones two of the row eight below.
func fromBytes(p *product, words []string) [][]string {
	pair := func(w string) string {
		low := p.to(word, "lop3.b32", w, "0x007f007f", pair128, andOr)
		high := p.to(word, "lop3.b32", w, "0x00800080", pair128, andOr)
		return p.to(word, "fma.rn.bf16x2", high, p.minusOne, low)
	}
	var out [][]string
	for j := 0; j < len(words); j += 2 {
		var f []string
		for _, w := range words[j : j+2] {
			f = append(f, pair(w), pair(p.to(word, "shr.u32", w, "8")))
		}
		out = append(out, f)
	}
	return out
}

// fromNibbles makes codes of four bits from 0 on bfloat16, exactly. A word has those of 16 values of k.
func fromNibbles(p *product, words []string) [][]string {
	var out [][]string
	for _, w := range words {
		var f []string
		for i := range int64(4) {
			v := w
			if i > 0 {
				v = p.to(word, "shr.u32", w, num(4*i))
			}
			v = p.to(word, "lop3.b32", v, "0x000f000f", pair128, andOr)
			f = append(f, p.to(word, "fma.rn.bf16x2", v, p.ones, p.less128))
		}
		out = append(out, f)
	}
	return out
}

// multiplied is the type of a part's weights as program.Kernel names it.
func multiplied(p *kernels.Part) program.DType {
	if p.Group.Format != quant.None {
		return program.DType(p.Group.Format.String())
	}
	return program.DType(fmt.Sprint(p.Elem))
}
