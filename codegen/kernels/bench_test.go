package kernels

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgc/codegen/internal/link/linktest"
	"pgc/codegen/llvm"
	"pgc/codegen/packing"
	"pgc/ir/quant"
	"pgc/ir/scalar"
	"pgc/ir/target/targettest"
	"pgc/ir/tile"
)

// format is the storage and arithmetic of a product: weights, and groups of x.
type format struct {
	name string
	elem tile.Elem
	w, x Group
	bf16 bool
}

// formats are those that products are measured in.
var formats = []format{
	{"f32", tile.F32, Group{}, Group{}, false},
	{"bf16", tile.BF16, Group{}, Group{}, false},
	{"bf16xbf16", tile.BF16, Group{}, Group{}, true},
	{"i8", tile.I8, Group{Format: quant.Int8, Len: 128}, Group{Format: quant.Int8, Len: 128}, false},
	{"i4", tile.I8, Group{Format: quant.Int4, Len: 128}, Group{Format: quant.Int8, Len: 128}, false},
	{"i4xf32", tile.I8, Group{Format: quant.Int4, Len: 128}, Group{}, false},
	{"nf4xf32", tile.I8, Group{Format: quant.NF4, Len: 64}, Group{}, false},
}

// BenchmarkMatmul measures products at the sizes of a 3B model on one thread, by format and target: rows × K → N.
func BenchmarkMatmul(b *testing.B) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, tgt := range targettest.All(b) {
		for _, f := range formats {
			for _, shape := range [][3]int{{266, 2048, 4096}, {256, 1152, 4304}, {266, 16384, 1024}, {1, 2048, 65536}, {8, 2048, 65536}} {
				m, k, n := shape[0], shape[1], shape[2]
				s := &Matmul{M: Const(int64(m)), K: int64(k), XStride: int64(k), X: f.x, BF16: f.bf16, Parts: []Part{{
					Blocks: 1, N: int64(n), Elem: f.elem, Group: f.w, Accs: 1,
					Exprs: []*scalar.Expr{scalar.X(0, scalar.F32)},
					Outs:  []Out{{Elem: tile.F32, Strides: []int64{int64(n), 0, 1}}}}}}
				b.Run(fmt.Sprintf("%s/%s/%dx%dx%d", tgt.Name, f.name, m, k, n), func(b *testing.B) {
					kern, err := Build("k", s, tgt)
					if err != nil {
						b.Fatal(err)
					}
					source, err := llvm.Emit(tgt, []*tile.Kernel{kern.Tile})
					if err != nil {
						b.Fatal(err)
					}
					obj, err := llvm.Assemble(context.Background(), source, tgt)
					if err != nil {
						b.Fatal(err)
					}
					var x, w any = randoms(rng, m*k), nil
					if f.x.Len > 0 {
						x = make([]int8, int64(m)*quant.RowLayout(int64(k), f.x.Len).Bytes)
					}
					if f.bf16 {
						x = make([]uint16, m*k)
					}
					bytes := int64(n*k) * int64(f.elem.Bytes())
					switch {
					case f.w.Len > 0:
						bytes = f.w.PackedBytes(1, int64(n), int64(k))
						w = make([]int8, bytes)
					case f.elem == tile.F32:
						w = make([]float32, packing.Len(1, int64(n), int64(k)))
					default:
						w = make([]uint16, packing.Len(1, int64(n), packing.PaddedK(int64(k), f.bf16)))
					}
					grains := coarsest(kern)
					args := []any{x, w, make([]float32, m*n)}
					for _, g := range grains { // arguments behind the others
						args = append(args, g)
					}
					linktest.Load(b, obj).Bench(b, linktest.Call{Symbol: "k", Tasks: tasksOf(kern, nil, grains), Args: args, ScratchBytes: kern.Tile.ScratchBytes})
					s := b.Elapsed().Seconds() / float64(b.N)
					b.ReportMetric(2*float64(m*k*n)/s/1e9, "GOP/s")
					b.ReportMetric(float64(bytes)/s/1e9, "GB/s")
					b.ReportMetric(0, "ns/op")
				})
			}
		}
	}
}

// BenchmarkAttention measures attention at the sizes of a 3B model on one thread: the encoder's, and that of a prefix.
func BenchmarkAttention(b *testing.B) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, tgt := range targettest.Runnable(b) {
		for _, s := range []Attention{
			{S: Const(256), T: Const(256), G: 16, R: 1, H: 72, Scale: .1},
			{S: Const(266), T: Const(266), G: 1, R: 8, H: 256, Scale: .1, Causal: true, Prefix: Const(266), Offset: Const(0)},
			{S: Const(266), T: Const(266), G: 4, R: 2, H: 256, Scale: .1, Softcap: 50, Causal: true, Prefix: Const(266), Offset: Const(0)},
			{S: Const(4096), T: Const(4096), G: 16, R: 1, H: 72, Scale: .1},
			{S: Const(4106), T: Const(4106), G: 1, R: 8, H: 256, Scale: .1, Causal: true, Prefix: Const(4106), Offset: Const(0)},
		} {
			heads := s.G * s.R
			s.Q = [4]int64{heads * s.H, s.R * s.H, s.H, 1}
			s.KV, s.Elem = tile.F32, tile.F32
			s.Out, s.K, s.V = s.Q, [3]int64{s.G * s.H, s.H, 1}, [3]int64{s.G * s.H, s.H, 1}
			b.Run(fmt.Sprintf("%s/%dx%dx%d", tgt.Name, s.S.N, heads, s.H), func(b *testing.B) {
				kern, code := build(b, tgt, &s)
				grains := coarsest(kern)
				n, kv := int(s.S.N*heads*s.H), int(s.T.N*s.G*s.H)
				args := []any{randoms(rng, n), randoms(rng, kv), randoms(rng, kv), make([]float32, n)}
				for _, g := range grains { // arguments behind the others
					args = append(args, g)
				}
				code.Bench(b, linktest.Call{Symbol: "k", Tasks: tasksOf(kern, nil, grains), ScratchBytes: kern.Tile.ScratchBytes, Args: args})
				b.ReportMetric(4*float64(s.S.N*s.T.N*heads*s.H)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
