package weights

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"pgc/ir"
	"pgc/ir/quant"
	"pgc/runtime/program"
)

// TestGroups packs a matrix in every type of groups and unpacks it: the values are those that the evaluator rounds to,
// also of a short last group and of rows that are padded. What has no finite scale is refused.
func TestGroups(t *testing.T) {
	const rows = 19
	rng := rand.New(rand.NewPCG(6, 4))
	for _, d := range ir.Groups.List() {
		for _, cols := range []int{1, 37, 128, 201} {
			var data, want []byte
			f, group := d.Group()
			for range rows {
				row := make([]float64, cols)
				for i := range row {
					v := float32(rng.NormFloat64())
					row[i] = float64(v)
					data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
				}
				quant.Round(row, f, group)
				for _, v := range row {
					want = binary.LittleEndian.AppendUint32(want, math.Float32bits(float32(v)))
				}
			}
			plan, shape := &Plan{}, []int{rows, cols}
			plan.Matrix(Matrix{Layout: program.Layout{Kind: program.LayoutPanels, KPack: 1, Split: 1, Run: rows, Cols: int64(cols)},
				Blocks: 1, W: &ir.Value{Key: "w", Type: ir.T(d, ir.Dims(shape...)...)}})
			var section bytes.Buffer
			if err := plan.Write(&section, counting{Tensor{DType: ir.F32, Shape: shape, Data: data}}, Writing{}); err != nil {
				t.Fatal(err)
			}
			back, err := Unpack(plan.Weights()[0], section.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(back.Data, want) {
				t.Errorf("%s of %d columns: unpacking gives other values than rounding", d, cols)
			}
			binary.LittleEndian.PutUint32(data[4*(rows*cols/2):], math.Float32bits(float32(math.Inf(-1))))
			if err := plan.Write(&section, counting{Tensor{DType: ir.F32, Shape: shape, Data: data}}, Writing{}); err == nil {
				t.Errorf("%s of %d columns: an infinite value was accepted", d, cols)
			}
		}
	}
}
