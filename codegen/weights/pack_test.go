package weights

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgc/codegen/packing"
	"pgc/ir"
	"pgc/ir/floats"
	"pgc/ir/quant"
)

// BenchmarkPack packs rows of bfloat16; a byte is one of the checkpoint.
func BenchmarkPack(b *testing.B) {
	const k = 4096
	rng := rand.New(rand.NewPCG(1, 1))
	row := make([]byte, 0, 2*k)
	for range k {
		row = binary.LittleEndian.AppendUint16(row, uint16(math.Float32bits(float32(rng.NormFloat64()))>>16))
	}
	for _, f := range quant.Formats() {
		b.Run(f.String(), func(b *testing.B) {
			q := packing.Group{Format: f, Len: int64(slices.Max(f.Traits().Lengths))}
			z := newQuantizer(q, k, nil)
			panel := make([]byte, q.Blocks(k)*q.BlockBytes())
			b.SetBytes(2 * k)
			for n := range b.N {
				floats.Decode(z.row, row, ir.BF16)
				z.pack(panel, n%packing.PanelWidth)
			}
		})
	}
}
