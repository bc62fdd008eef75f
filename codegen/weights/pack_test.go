package weights

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"pgc/codegen/kernels"
	"pgc/ir"
)

// BenchmarkPack packs rows of bfloat16; a byte is one of the checkpoint.
func BenchmarkPack(b *testing.B) {
	const k = 4096
	rng := rand.New(rand.NewPCG(1, 1))
	row := make([]byte, 0, 2*k)
	for range k {
		row = binary.LittleEndian.AppendUint16(row, uint16(math.Float32bits(float32(rng.NormFloat64()))>>16))
	}
	for _, q := range []kernels.Group{{Bits: 4, Len: 128}, {Bits: 8, Len: 128}} {
		b.Run(map[int]string{4: "int4", 8: "int8"}[q.Bits], func(b *testing.B) {
			z := newQuantizer(q, k, nil)
			panel := make([]byte, q.Blocks(k)*q.BlockBytes())
			b.SetBytes(2 * k)
			for n := range b.N {
				floats(z.row, row, ir.BF16)
				z.pack(panel, n%kernels.PanelWidth)
			}
		})
	}
}
