package kernels

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgc/codegen/internal/link/linktest"
	"pgc/codegen/llvm"
	"pgc/codegen/llvm/amxtest"
	"pgc/codegen/packing"
	"pgc/ir/quant"
	"pgc/ir/scalar"
	"pgc/ir/target"
	"pgc/ir/tile"
)

// tileShape is a product that tile registers take: K values of k and N columns for each of some matrices, whose
// accumulators one expression adds up. Group is that of x and of weights, None for bfloat16.
type tileShape struct {
	k, n  int64
	accs  int
	w     quant.Format
	group int64
}

func (s tileShape) String() string {
	if s.group == 0 {
		return fmt.Sprintf("bf16_%d_%d_%d", s.k, s.n, s.accs)
	}
	return fmt.Sprintf("%v_g%d_%d_%d_%d", s.w, s.group, s.k, s.n, s.accs)
}

// spec is the product for a number of rows that only running tells, or for a constant one.
func (s tileShape) spec(rows Size) *Matmul {
	sum := scalar.X(0, scalar.F32)
	for i := 1; i < s.accs; i++ {
		sum = scalar.Fn(scalar.Add, sum, scalar.X(i, scalar.F32))
	}
	m := &Matmul{M: rows, K: s.k, XStride: s.k, BF16: s.group == 0, Parts: []Part{{Blocks: 1, N: s.n, Elem: tile.BF16, Accs: s.accs,
		Exprs: []*scalar.Expr{sum}, Outs: []Out{{Elem: tile.F32, Strides: []int64{s.n, 0, 1}}}}}}
	if s.group > 0 {
		m.X = Group{Format: quant.Int8, Len: s.group}
		m.Parts[0].Elem, m.Parts[0].Group = tile.I8, Group{Format: s.w, Len: s.group}
	}
	return m
}

// operands are x of so many rows, and the matrices.
func (s tileShape) operands(rng *rand.Rand, rows int64) (x tile.Buffer, w []any) {
	for range s.accs {
		if s.group == 0 {
			w = append(w, pairsOf(rng, s.n, s.k))
		} else {
			w = append(w, wholeGroups(rng, Group{Format: s.w, Len: s.group}, s.n, s.k))
		}
	}
	if s.group == 0 {
		return bfloats(rng, rows*s.k), w
	}
	return rowBytes(rng, rows, s.k, s.group), w
}

// wholeGroups are groupBytes, with zeros where the last group of a panel is padded.
func wholeGroups(rng *rand.Rand, q Group, n, k int64) tile.Buffer {
	out := groupBytes(rng, q, n, k)
	for block := q.Blocks(k) - 1; block*q.BlockBytes() < int64(len(out)); block += q.Blocks(k) {
		for k := k - (q.Blocks(k)-1)*q.Len; k < q.Len; k++ {
			for n := range int64(PanelWidth) {
				at, shift := q.At(n, k)
				out[block*q.BlockBytes()+at] &^= byte((1<<q.Bits() - 1) << shift)
			}
		}
	}
	return out
}

// bfloats are n random bfloat16 of both signs, some of them subnormal, or so small that products are.
func bfloats(rng *rand.Rand, n int64) (out tile.Buffer) {
	for range n {
		bits := uint16(rng.Uint32()&0x807f) | uint16(120+rng.IntN(10))<<7
		switch rng.IntN(40) {
		case 0:
			bits &= 0x807f
		case 1:
			bits = bits&0x807f | uint16(40+rng.IntN(40))<<7
		}
		out = binary.LittleEndian.AppendUint16(out, bits)
	}
	return out
}

// pairsOf is a packed matrix of bfloat16, with zeros where it is padded.
func pairsOf(rng *rand.Rand, n, k int64) tile.Buffer {
	padded := packing.PaddedK(k, true)
	out := bfloats(rng, packing.Len(1, n, padded))
	for i := range int64(len(out)) / 2 {
		if in := i / PanelWidth / 2 * 2 % padded; k%2 == 1 && in == padded-2 && i%2 == 1 {
			out[2*i], out[2*i+1] = 0, 0
		}
	}
	return out
}

// built is a kernel for a target.
type built struct {
	*Kernel
	target target.Target
	name   string
}

func buildTiles(t testing.TB, name string, s Spec, tgt target.Target) built {
	t.Helper()
	k, err := Build(name, s, tgt)
	if err != nil {
		t.Fatal(err)
	}
	return built{k, tgt, name}
}

// loaded compiles kernels for a target, and the emulator with those that use AMX.
func loaded(t testing.TB, ks ...built) *linktest.Code {
	t.Helper()
	var tiles []*tile.Kernel
	args := map[string]int{}
	for _, k := range ks {
		tiles = append(tiles, k.Tile)
		args[k.name] = len(k.Tile.Params)
	}
	source, err := llvm.Emit(ks[0].target, tiles)
	if err != nil {
		t.Fatal(err)
	}
	sources := [][]byte{source}
	if ks[0].target.Has("amx-tile") {
		sources = append(sources, []byte(amxtest.Source(args)))
	}
	var objs [][]byte
	for _, s := range sources {
		obj, err := llvm.Assemble(t.Context(), s, ks[0].target)
		if err != nil {
			t.Fatal(err)
		}
		objs = append(objs, obj)
	}
	return linktest.Load(t, objs...)
}

// run runs a kernel on rows of x, and returns the result and how many tile instructions were executed; wrong ones are an
// error of the test unless it expects some.
func (k built) run(t testing.TB, code *linktest.Code, rows, n int64, x tile.Buffer, w []any) (out tile.Buffer, wrong, executed int64) {
	t.Helper()
	out = make(tile.Buffer, 4*rows*n)
	args, tasks := k.arguments(rows, x, w, out)
	call := linktest.Call{Symbol: k.name, Tasks: tasks, Args: args, ScratchBytes: k.Tile.ScratchBytes, Flush: true}
	if k.target.Has("amx-tile") {
		counts := make([]int64, 2)
		call.Symbol, call.Args = amxtest.Prefix+k.name, append(args, counts)
		code.Run(t, call)
		return out, counts[0], counts[1]
	}
	code.Run(t, call)
	return out, 0, 0
}

// interpret runs a kernel in the interpreter.
func (k built) interpret(t testing.TB, rows, n int64, x tile.Buffer, w []any) tile.Buffer {
	t.Helper()
	out := make(tile.Buffer, 4*rows*n)
	args, tasks := k.arguments(rows, x, w, out)
	if err := tile.Run(k.Tile, args, tasks); err != nil {
		t.Fatal(err)
	}
	return out
}

// arguments are those of a kernel, and the number of its tasks: more of them for an odd number of rows.
func (k built) arguments(rows int64, x tile.Buffer, w []any, out tile.Buffer) (args []any, tasks int64) {
	grains := coarsest(k.Kernel)
	for i, most := range grains {
		grains[i] = max(1, most/(1+rows%2))
	}
	for _, a := range k.Args {
		switch {
		case a.Kind == ArgSym:
			args = append(args, rows)
		case a.Kind == ArgGrain:
			args = append(args, grains[a.Index])
		case a.Kind == ArgOut:
			args = append(args, out)
		case a.Index == 0:
			args = append(args, x)
		default:
			args = append(args, w[a.Index-1])
		}
	}
	return args, tasksOf(k.Kernel, map[string]int64{many.Sym: rows}, grains)
}

var many = Size{N: 300, Sym: "S"}

// TestTilesInterpreted compares what sapphirerapids has, which this CPU may lack: vectors of sixteen lanes around the
// tiles, with AVX2 and the emulator.
func TestTilesInterpreted(t *testing.T) {
	amx := amxtest.Targets(t)[0]
	tgt, err := target.Find("sapphirerapids")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(4, 5))
	for _, s := range []tileShape{{75, 37, 1, quant.Int8, 64}, {140, 33, 2, quant.Int4, 64}, {k: 75, n: 37, accs: 1}} {
		ours, wide := buildTiles(t, s.String(), s.spec(many), amx), buildTiles(t, s.String(), s.spec(many), tgt)
		code := loaded(t, ours)
		for _, r := range []int64{9, 53} {
			x, w := s.operands(rng, r)
			if got, _, _ := ours.run(t, code, r, s.n, x, w); !bytes.Equal(got, wide.interpret(t, r, s.n, x, w)) {
				t.Errorf("%v, %d rows: the interpreter gives other bits for sapphirerapids", s, r)
			}
		}
		x, w := s.operands(rng, 3)
		few := buildTiles(t, "few", s.spec(Const(3)), tgt)
		if got, _, _ := ours.run(t, code, 3, s.n, x, w); !bytes.Equal(got, few.interpret(t, 3, s.n, x, w)) {
			t.Errorf("%v: three rows of sapphirerapids have other bits", s)
		}
	}
}

// TestIntegerTiles compares products of integers in tile registers with those of vectors, bit for bit: every number of
// rows of one block and more, and three blocks and a rest.
func TestIntegerTiles(t *testing.T) {
	v3, err := target.Find("x86-64-v3")
	if err != nil {
		t.Fatal(err)
	}
	for _, amx := range amxtest.Targets(t) {
		t.Run(amx.Name, func(t *testing.T) { integerTiles(t, amx, v3) })
	}
}

func integerTiles(t *testing.T, amx, v3 target.Target) {
	rng := rand.New(rand.NewPCG(5, 5))
	for i, s := range []tileShape{
		{75, 37, 1, quant.Int8, 64}, {330, 96, 2, quant.Int4, 128}, {1030, 33, 1, quant.Int8, 128}, {64, 64, 2, quant.Int8, 64},
		{1, 1, 1, quant.Int4, 64}, {600, 70, 1, quant.Int4, 64}, {200, 40, 1, quant.Int4, 32}, {16, 32, 1, quant.Int8, 32},
	} {
		name := s.String()
		ours, vectors := buildTiles(t, name, s.spec(many), amx), buildTiles(t, name, s.spec(many), v3)
		code, reference := loaded(t, ours), loaded(t, vectors)
		rows := []int64{1, 2, 3, 5, 8, 15, 16, 17, 18, 24, 31, 32, 33, 64, 266}
		if i == 0 {
			rows = nil
			for r := range int64(68) {
				rows = append(rows, r+1)
			}
		}
		for _, r := range rows {
			x, w := s.operands(rng, r)
			got, wrong, executed := ours.run(t, code, r, s.n, x, w)
			want, _, _ := vectors.run(t, reference, r, s.n, x, w)
			if !bytes.Equal(got, want) || wrong > 0 || (executed > 0) != (s.group >= 64) {
				t.Errorf("%s, %d rows: equal %v, %d of %d tile instructions wrong", name, r, bytes.Equal(got, want), wrong, executed)
			}
		}
	}
}

// TestBFloatTiles compares products of bfloat16 in tile registers with TDPBF16PS's order of sums, written out here, and
// with those of one row and of few, which are vectors.
func TestBFloatTiles(t *testing.T) {
	for _, amx := range amxtest.Targets(t) {
		t.Run(amx.Name, func(t *testing.T) { bfloatTiles(t, amx) })
	}
}

func bfloatTiles(t *testing.T, amx target.Target) {
	rng := rand.New(rand.NewPCG(6, 6))
	for _, s := range []tileShape{{k: 75, n: 37, accs: 1}, {k: 1100, n: 33, accs: 2}, {k: 64, n: 64, accs: 1}, {k: 1, n: 1, accs: 1}, {k: 528, n: 96, accs: 1}} {
		blocks := buildTiles(t, s.String(), s.spec(many), amx)
		one, few := buildTiles(t, "one", s.spec(Const(1)), amx), buildTiles(t, "few", s.spec(Const(7)), amx)
		code := loaded(t, blocks, one, few)
		for _, r := range []int64{7, 16, 17, 31, 32, 33, 70} {
			x, w := s.operands(rng, r)
			got, wrong, executed := blocks.run(t, code, r, s.n, x, w)
			if wrong > 0 || executed == 0 {
				t.Errorf("%v, %d rows: %d of %d tile instructions wrong", s, r, wrong, executed)
			}
			if want := inOrder(s, r, x, w); !bytes.Equal(got, want) {
				t.Errorf("%v, %d rows: not the products of the order of tiles", s, r)
			}
			first, _, executed := one.run(t, code, 1, s.n, x[:2*s.k], w)
			seven, _, more := few.run(t, code, 7, s.n, x[:14*s.k], w)
			if !bytes.Equal(first, got[:4*s.n]) || !bytes.Equal(seven, got[:28*s.n]) || executed+more > 0 {
				t.Errorf("%v, %d rows: one row is equal: %v, seven: %v; %d tile instructions", s, r, bytes.Equal(first, got[:4*s.n]),
					bytes.Equal(seven, got[:28*s.n]), executed+more)
			}
		}
	}
}

// inOrder multiplies in the order of docs/NUMERICS.md: of every 32 values of k the even and the odd ones apart, and C
// gets the sum of the two.
func inOrder(s tileShape, rows int64, x tile.Buffer, w []any) (out tile.Buffer) {
	flush := func(f float32) float32 {
		if bits := math.Float32bits(f); bits&0x7f800000 == 0 {
			return math.Float32frombits(bits & 0x80000000)
		}
		return f
	}
	at := func(b tile.Buffer, i int64) float32 {
		return flush(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16))
	}
	panel := packing.PaddedK(s.k, true) * PanelWidth
	for r := range rows {
		for n := range s.n {
			var y float32
			for j, m := range w {
				var c float32
				for k0 := int64(0); k0 < s.k; k0 += 32 {
					var half [2]float32
					for k := k0; k < min(k0+32, s.k); k++ {
						b := at(m.(tile.Buffer), n/PanelWidth*panel+k/2*2*PanelWidth+n%PanelWidth*2+k%2)
						half[k%2] = flush(float32(scalar.FMA32(float64(at(x, r*s.k+k)), float64(b), float64(half[k%2]))))
					}
					c = flush(c + flush(half[0]+half[1]))
				}
				if y += c; j == 0 {
					y = c
				}
			}
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(y))
		}
	}
	return out
}

// TestTileMutations expects that kernels whose tiles are wrong are found: by their results, or by the emulator.
func TestTileMutations(t *testing.T) {
	amx := amxtest.Targets(t)[0]
	rng := rand.New(rand.NewPCG(7, 7))
	const rows = 37
	for _, s := range []tileShape{{200, 40, 1, quant.Int8, 64}, {200, 40, 1, quant.Int4, 128}, {k: 200, n: 40, accs: 1}} {
		x, w := s.operands(rng, rows)
		run := func(change func(in *tile.Inst, zero *tile.Value) bool) (out tile.Buffer, wrong int64, changed int) {
			k := buildTiles(t, s.String(), s.spec(many), amx)
			changed = mutate(k.Tile.Body, zeroOf(k.Tile), change)
			out, wrong, _ = k.run(t, loaded(t, k), rows, s.n, x, w)
			return out, wrong, changed
		}
		want, wrong, _ := run(func(*tile.Inst, *tile.Value) bool { return false })
		if wrong > 0 {
			t.Fatalf("%v: %d tile instructions are wrong", s, wrong)
		}
		stride := func(first, last int) func(in *tile.Inst, zero *tile.Value) bool {
			return func(in *tile.Inst, zero *tile.Value) bool {
				if in.Op != tile.TileLoad || in.Tiles[0] < first || in.Tiles[0] > last {
					return false
				}
				in.Args[2] = zero
				return true
			}
		}
		for name, change := range map[string]func(in *tile.Inst, zero *tile.Value) bool{
			"operands swapped": func(in *tile.Inst, _ *tile.Value) bool {
				if len(in.Tiles) == 3 {
					in.Tiles[1], in.Tiles[2] = in.Tiles[2], in.Tiles[1]
				}
				return len(in.Tiles) == 3
			},
			"not configured": func(in *tile.Inst, _ *tile.Value) bool {
				if in.Op != tile.TileConfig {
					return false
				}
				in.Op, in.Args = tile.TileRelease, nil
				return true
			},
			"stride of weights": stride(6, 7),
			"stride of x":       stride(4, 5),
		} {
			if got, wrong, changed := run(change); changed == 0 || wrong == 0 && bytes.Equal(got, want) {
				t.Errorf("%v: %s: %d changes, not found", s, name, changed)
			}
		}
	}
}

// zeroOf returns the kernel's i64 constant 0.
func zeroOf(k *tile.Kernel) *tile.Value {
	for _, in := range k.Body.Insts {
		if in.Op == tile.Const && in.Imm == 0 && in.Out[0].Type == tile.Scalar(tile.I64) {
			return in.Out[0]
		}
	}
	return nil
}

// mutate changes instructions of a block and of those within, and counts the changes.
func mutate(b *tile.Block, zero *tile.Value, change func(in *tile.Inst, zero *tile.Value) bool) (n int) {
	for _, in := range b.Insts {
		if change(in, zero) {
			n++
		}
		for _, inner := range in.Blocks {
			n += mutate(inner, zero, change)
		}
	}
	return n
}
