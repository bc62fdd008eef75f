package kernels

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"pgc/codegen/packing"
	"pgc/codegen/schedule"
	"pgc/ir/quant"
	"pgc/ir/scalar"
	"pgc/ir/target"
	"pgc/ir/tile"
)

// products are the types of x and of weights that matmuls have.
var products = func() [][2]DType {
	all := [][2]DType{{F32, F32}, {F32, BF16}, {F32, F16}, {BF16, BF16}}
	for _, f := range quant.Formats() {
		all = append(all, [2]DType{F32, groupsOf(f)}, [2]DType{BF16, groupsOf(f)})
		if f.Traits().Integers {
			all = append(all, [2]DType{groupsOf(quant.Activation), groupsOf(f)})
		}
	}
	return all
}()

// TestForms expects for every CPU a form of every product whose row of the table is whole and holds together.
func TestForms(t *testing.T) {
	taken := map[*mma]bool{}
	for _, name := range target.Names() {
		tgt, err := target.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, types := range products {
			for _, rows := range []int64{1, 2, fewRows, 300} {
				f := form(tgt, types[0], types[1], rows, 64, 64)
				taken[f] = true
				if err := f.takes(schedule.Default.Of(f.class, tgt), tgt.Lanes); err != nil {
					t.Errorf("%s on %s: %v", f.name, name, err)
				}
			}
		}
	}
	for _, f := range forms {
		if !taken[f] {
			t.Errorf("%s: no CPU takes it", f.name)
		}
		if f.body%f.step != 0 || f.step%f.loader.units != 0 && f.loader.units%f.step != 0 || f.rows < 1 || f.halves < 1 || f.tiles == 0 && (f.emit == nil || f.total == nil) {
			t.Errorf("%s: %+v does not hold together", f.name, *f)
		}
	}
}

// TestFormOfTarget says which form some CPUs take.
func TestFormOfTarget(t *testing.T) {
	for _, c := range []struct {
		cpu  string
		x, w DType
		rows int64
		want string
	}{
		{"haswell", F32, BF16, 1, "MMA_1xNx1_F32_CASTF32"},
		{"haswell", BF16, BF16, 1, "MMA_1xNx2_F32_CASTBF16"},
		{"znver4", BF16, BF16, 1, "MMA_X86_AVX512BF16_1x16x2_F32_BF16"},
		{"haswell", Int8, Int8, 1, "MMA_X86_1xNx2_I32_CASTI16"},
		{"skylake-avx512", Int8, Int4, 1, "MMA_X86_1xNx8_I32_UI4_I8"},
		{"alderlake", Int8, Int8, 1, "MMA_X86_VNNI_1xNx4_I32_UI8_I8"},
		{"cascadelake", Int8, Int4, 1, "MMA_X86_VNNI_1xNx4_I32_UI4_I8"},
		{"cooperlake", BF16, BF16, 266, "MMA_1xNx2_F32_CASTBF16"},
		{"sapphirerapids", Int8, Int8, 8, "MMA_X86_VNNI_1xNx4_I32_UI8_I8"},
		{"sapphirerapids", Int8, Int8, 9, "MMA_X86_AMX_16x16x64_I32_I8_I8"},
		{"graniterapids", Int8, Int4, 266, "MMA_X86_AMX_16x16x64_I32_I8_UI4"},
		{"sapphirerapids", BF16, BF16, 1, "MMA_1xNx32_F32_CASTBF16"},
		{"emeraldrapids", BF16, BF16, 266, "MMA_X86_AMX_16x16x32_F32_BF16"},
		{"sapphirerapids", F32, BF16, 266, "MMA_1xNx1_F32_CASTF32"},
		{"armv8-a", Int8, Int8, 1, "MMA_ARM_1x4x4_I32_I8_I8"},
		{"neoverse-v1", Int8, Int8, 1, "MMA_ARM_1x4x4_I32_I8_I8"},
		{"neoverse-v1", Int8, Int8, 2, "MMA_ARM_I8MM_2x2x8_I32_I8_I8"},
		{"apple-m2", Int8, Int4, 266, "MMA_ARM_I8MM_2x2x8_I32_I8_UI4"},
		{"neoverse-n1", Int8, Int4, 1, "MMA_ARM_1x4x4_I32_I8_UI4"},
		{"neoverse-n1", BF16, BF16, 8, "MMA_1xNx2_F32_CASTBF16"},
		{"neoverse-n2", BF16, BF16, 1, "MMA_ARM_BF16_1x4x2_F32_BF16"},
		{"grace", BF16, BF16, 2, "MMA_ARM_BF16_2x2x4_F32_BF16"},
	} {
		tgt, err := target.Find(c.cpu)
		if err != nil {
			t.Fatal(err)
		}
		if f := form(tgt, c.x, c.w, c.rows, 64, 64); f.name != c.want {
			t.Errorf("%s, %d rows: %s, expected %s", c.cpu, c.rows, f.name, c.want)
		}
	}
}

// TestFormsAgree runs a product of all types and several numbers of rows in the interpreter, with the code for every
// kind of CPU, and expects the same bits of all, but of sums of bfloat16 that are rounded to odd.
func TestFormsAgree(t *testing.T) {
	const n, k = 37, 75
	cpus := []string{"haswell", "alderlake", "skylake-avx512", "cascadelake", "znver4", "armv8-a", "neoverse-n1", "neoverse-v1"}
	rng := rand.New(rand.NewPCG(8, 2))
	for _, types := range products {
		for _, rows := range []int64{1, 2, 3, 8, 11} {
			s := &Matmul{M: Const(rows), K: k, XStride: k, BF16: types[0] == BF16, Parts: []Part{{Blocks: 1, N: n, Accs: 1,
				Exprs: []*scalar.Expr{scalar.X(0, scalar.F32)}, Outs: []Out{{Elem: tile.F32, Strides: []int64{n, 0, 1}}}}}}
			p := &s.Parts[0]
			p.Elem = map[DType]tile.Elem{F32: tile.F32, BF16: tile.BF16, F16: tile.F16}[types[1]]
			if types[1] > groups {
				p.Elem = tile.I8
			}
			w := floatBytes(rng, p.Elem, packing.Len(1, n, packing.PaddedK(k, s.BF16)))
			if p.Elem == tile.I8 {
				p.Group = Group{Format: quant.Format(types[1] - groups), Len: 32}
				w = groupBytes(rng, p.Group, n, k)
			}
			x := floatBytes(rng, map[bool]tile.Elem{false: tile.F32, true: tile.BF16}[s.BF16], rows*k)
			if types[0] == Int8 {
				s.X = Group{Format: quant.Int8, Len: 32}
				x = rowBytes(rng, rows, k, 32)
			}
			var first tile.Buffer
			for _, cpu := range cpus {
				tgt, err := target.Find(cpu)
				if err != nil {
					t.Fatal(err)
				}
				if types == [2]DType{BF16, BF16} && tgt.Has("bf16") {
					continue // see TestOddSums
				}
				out := make(tile.Buffer, 4*rows*n)
				interpret(t, s, tgt, x, w, out)
				if first == nil {
					first = out
				}
				if !bytes.Equal(out, first) {
					t.Errorf("%s by %s, %d rows: %s (%s) and %s differ", types[0], types[1], rows, cpu, form(tgt, types[0], types[1], rows, k, p.Group.Len).name, cpus[0])
				}
			}
			if bytes.Count(first, []byte{0}) > len(first)/8 {
				t.Errorf("%s by %s, %d rows: results are mostly zero", types[0], types[1], rows)
			}
		}
	}
}

// interpret runs the kernel of a product in the interpreter.
func interpret(t *testing.T, s *Matmul, tgt target.Target, args ...any) {
	t.Helper()
	kern, err := Build("k", s, tgt)
	if err != nil {
		t.Fatal(err)
	}
	grains := coarsest(kern)
	for i, most := range grains {
		grains[i] = 1 + anyGrain.Int64N(most)
		args = append(args, grains[i])
	}
	if err := tile.Run(kern.Tile, args, tasksOf(kern, nil, grains)); err != nil {
		t.Fatalf("%d rows on %s: %v", s.M.N, tgt.Name, err)
	}
}

// TestOddSums compares products of bfloat16 whose sums are rounded to odd with sums by math/big, for all numbers of rows of
// the schedules and more: a row has the same bits alone, among few and among many, by bfdot and by bfmmla.
func TestOddSums(t *testing.T) {
	const n, most = 37, 33
	tgt, err := target.Find("neoverse-n2")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 9))
	value := func(b tile.Buffer, i int64) float32 {
		return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
	}
	for _, k := range []int64{72, 75} {
		x, w := floatBytes(rng, tile.BF16, most*k), floatBytes(rng, tile.BF16, packing.Len(1, n, packing.PaddedK(k, true)))
		for i := range x { // negative and small ones, too
			if i%2 == 1 {
				x[i] = x[i]&0x7f - byte(rng.IntN(3)) | byte(rng.IntN(2)<<7)
			}
		}
		for i := int64(0); k%2 == 1 && i < int64(len(w)/4); i++ { // what pads k is zero
			if i/PanelWidth%((k+1)/2) == k/2 {
				binary.LittleEndian.PutUint16(w[4*i+2:], 0)
			}
		}
		want := make([]float32, most*n)
		for r := range int64(most) {
			for c := range int64(n) {
				at, sum := c/PanelWidth*packing.PaddedK(k, true)*PanelWidth+c%PanelWidth*2, float32(0)
				for i := int64(0); i < k; i += 2 {
					both := [2]float32{value(x, r*k+i) * value(w, at+i*PanelWidth), 0}
					if i+1 < k {
						both[1] = value(x, r*k+i+1) * value(w, at+i*PanelWidth+1)
					}
					sum = toOdd(sum, toOdd(both[0], both[1]))
				}
				want[r*n+c] = sum
			}
		}
		for rows := int64(1); rows <= most; rows++ {
			s := &Matmul{M: Const(rows), K: k, XStride: k, BF16: true, Parts: []Part{{Blocks: 1, N: n, Elem: tile.BF16, Accs: 1,
				Exprs: []*scalar.Expr{scalar.X(0, scalar.F32)}, Outs: []Out{{Elem: tile.F32, Strides: []int64{n, 0, 1}}}}}}
			out := make(tile.Buffer, 4*rows*n)
			interpret(t, s, tgt, x, w, out)
			for i := range rows * n {
				if got := math.Float32frombits(binary.LittleEndian.Uint32(out[4*i:])); got != want[i] {
					t.Fatalf("K %d, %d rows: row %d, column %d is %g, expected %g", k, rows, i/n, i%n, got, want[i])
				}
			}
		}
	}
}

// toOdd adds two floats and rounds to odd.
func toOdd(x, y float32) float32 {
	exact := new(big.Float).SetPrec(600)
	exact.Add(big.NewFloat(float64(x)), big.NewFloat(float64(y)))
	cut := new(big.Float).SetPrec(24).SetMode(big.ToZero).Set(exact)
	v, _ := cut.Float32()
	if cut.Cmp(exact) != 0 {
		v = math.Float32frombits(math.Float32bits(v) | 1)
	}
	return v
}

// floatBytes are n random floats of a type.
func floatBytes(rng *rand.Rand, e tile.Elem, n int64) tile.Buffer {
	var out tile.Buffer
	for range n {
		bits := math.Float32bits(float32(1 + rng.Float64()))
		switch e {
		case tile.F32:
			out = binary.LittleEndian.AppendUint32(out, bits)
		case tile.BF16:
			out = binary.LittleEndian.AppendUint16(out, uint16(bits>>16))
		case tile.F16: // 1 to 2
			out = binary.LittleEndian.AppendUint16(out, 0x3c00|uint16(bits>>13&0x3ff))
		}
	}
	return out
}

// groupBytes is a packed matrix of random groups.
func groupBytes(rng *rand.Rand, q Group, n, k int64) tile.Buffer {
	out := make(tile.Buffer, q.PackedBytes(1, n, k))
	for i := range out {
		out[i] = byte(rng.Uint32())
	}
	e := tile.F32
	if q.Affine() {
		e = tile.BF16
	}
	for at := int64(0); at < int64(len(out)); at += q.BlockBytes() {
		copy(out[at:], floatBytes(rng, e, packing.HeaderBytes/int64(e.Bytes())))
	}
	return out
}

// rowBytes are rows of random groups of 8 bits with their scales, sums and offsets.
func rowBytes(rng *rand.Rand, rows, k, length int64) tile.Buffer {
	lay := quant.RowLayout(k, length)
	out := make(tile.Buffer, rows*lay.Bytes)
	for r := range rows {
		row := out[r*lay.Bytes:][:lay.Bytes]
		sums := make([]int32, (k+length-1)/length)
		for i := range k {
			v := int8(rng.Uint32())
			row[i] = byte(v)
			sums[i/length] += int32(v)
		}
		for g, sum := range sums {
			copy(row[lay.Scales+4*int64(g):], floatBytes(rng, tile.F32, 1))
			copy(row[lay.Sums+4*int64(g):], floatBytes(rng, tile.F32, 1))
			binary.LittleEndian.PutUint32(row[lay.Offsets+4*int64(g):], uint32(-quant.Offset*sum))
		}
	}
	return out
}

// TestKernelOperands expects of a kernel what it multiplies.
func TestKernelOperands(t *testing.T) {
	tgt, err := target.Find("x86-64-v3")
	if err != nil {
		t.Fatal(err)
	}
	x := scalar.X(0, scalar.F32)
	part := Part{Blocks: 1, N: 32, Elem: tile.BF16, Accs: 1, Exprs: []*scalar.Expr{x}, Outs: []Out{{Elem: tile.F32, Strides: []int64{32, 0, 1}}}}
	int4 := part
	int4.Elem, int4.Group = tile.I8, Group{Format: quant.Int4, Len: 32}
	for _, c := range []struct {
		spec     Spec
		lhs, rhs DType
	}{
		{&Matmul{M: Const(2), K: 64, XStride: 64, Parts: []Part{part}}, F32, BF16},
		{&Matmul{M: Const(2), K: 64, XStride: 64, BF16: true, Parts: []Part{part}}, BF16, BF16},
		{&Matmul{M: Const(2), K: 64, XStride: 64, X: Group{Format: quant.Int8, Len: 32}, Parts: []Part{int4}}, Int8, Int4},
		{&Map{Dims: []Size{Const(5)}, Exprs: []*scalar.Expr{scalar.C(1)}, Outs: []Out{{Elem: tile.F32, Strides: []int64{1}}}}, None, None},
	} {
		k, err := Build("k", c.spec, tgt)
		if err != nil {
			t.Fatal(err)
		}
		if k.LHS != c.lhs || k.RHS != c.rhs {
			t.Errorf("%s: products of %q by %q, expected %q by %q", Key(c.spec), k.LHS, k.RHS, c.lhs, c.rhs)
		}
	}
}
