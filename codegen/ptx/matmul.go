package ptx

import (
	"fmt"
	"math/bits"

	"pgc/codegen/kernels"
	"pgc/ir/tile"
)

// The blocking of the product. A block of 128 threads computes blockM rows by blockN columns, the columns shared among the
// accumulators of the part; every warp has 64·32 sums. Four stages of both operands are 48 KiB, as much as every GPU has
// without being asked.
const (
	blockM = 64
	blockN = 128
	blockK = 32
	stages = 4

	warps      = threads / warp
	rowBytes   = blockK * 2 // of an operand in shared memory
	chunk      = 16         // bytes that are copied, and that ldmatrix reads of a row, at a time
	stageBytes = (blockM + blockN) * rowBytes
	slabStride = warp + 8 // floats between rows of the sums: no two threads of a half warp meet in a bank
)

// RowAlign is the number of elements that the rows of a product's bfloat16 operands are padded to, as copies of 16 bytes
// need. Padding is never read.
const RowAlign = 8

// Padded returns the distance of rows of k elements.
func Padded(k int64) int64 { return (k + RowAlign - 1) / RowAlign * RowAlign }

// RowStride returns the distance of the rows of a product's x in bfloat16 elements: the CPU's, padded.
func RowStride(s *kernels.Matmul) int64 { return max(Padded(s.K), Padded(s.XStride)) }

// Matmul emits a product: one kernel per part, on tensor cores, after one per expression of the prologue.
//
// x [M,K] is bfloat16 in memory, its rows RowStride(s) elements apart; where there is a prologue, it is a workspace with
// Padded(K) between rows that the first kernel writes, and has the number Workspace among the operands.
// The weights are bfloat16 [Blocks·N, K], row by row, Padded(K) apart. All of them begin at multiples of 16 bytes, and are
// allocated in such units: of the last one, what lies behind the end is not used, but may be read. The
// other operands and results are as on the CPU. Sums are float32, of exact products, in steps of 16 along K.
func Matmul(name string, s *kernels.Matmul) (out []*Kernel, err error) {
	defer recovered(name, &err)
	x, stride := 0, RowStride(s)
	if p := s.Prologue; p != nil {
		x, stride = Workspace, Padded(s.K)
		for i, row := range prologue(s) {
			k, err := kernels.Build(fmt.Sprintf("%s_prologue%d", name, i), row, Target)
			if err != nil {
				return nil, err
			}
			for j, a := range k.Args { // results of the prologue come behind those of the parts
				switch {
				case a.Kind == kernels.ArgOut && i == 0:
					k.Args[j] = kernels.Arg{Kind: kernels.ArgIn, Index: Workspace}
				case a.Kind == kernels.ArgOut:
					k.Args[j].Index = len(s.Parts) + i - 1
				}
			}
			e, err := Emit(k)
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
	}
	for i := range s.Parts {
		g := &gemm{emitter: &emitter{asm: &asm{}, vals: map[*tile.Value]string{}, shared: map[*tile.Value]bool{}}, Matmul: s,
			part: &s.Parts[i], number: i, x: x, xStride: stride}
		out = append(out, g.build(fmt.Sprintf("%s_part%d", name, i)))
	}
	return out, nil
}

// Workspace is the number of the operand that stands for the result of a prologue.
const Workspace = -1

// prologue returns row kernels that compute a prologue: x as bfloat16, then the further results.
func prologue(s *kernels.Matmul) []*kernels.Row {
	rows := make([]*kernels.Row, len(s.Prologue.Exprs))
	for i, e := range s.Prologue.Exprs {
		rows[i] = &kernels.Row{Outer: []kernels.Size{s.M}, C: kernels.Const(s.K), In: s.Prologue.In, Reduce: s.Prologue.Reduce,
			Expr: e, Out: kernels.Out{Elem: tile.BF16, Strides: []int64{Padded(s.K), 1}}}
		if i > 0 {
			rows[i].Out = s.Prologue.Outs[i-1]
		}
	}
	return rows
}

// gemm is a part of a product being emitted.
type gemm struct {
	*emitter
	*kernels.Matmul
	part    *kernels.Part
	number  int
	x       int // operand
	xStride int64

	base string // of shared memory
	warp string
	// Copies: where this thread's chunk of a stage lies in shared memory, its sources, and how many bytes of each row are left.
	target       string
	source, left []string
	readA, readB [2]string // what ldmatrix reads at the two halves of blockK, within a stage
	sums         [][][]string
}

// cols is the number of columns of a block of threads for each accumulator, warpsN how many warps share them, warpM the rows
// of a warp; a warp has 32 columns.
func (g *gemm) cols() int64   { return blockN / int64(g.part.Accs) }
func (g *gemm) warpsN() int64 { return g.cols() / warp }
func (g *gemm) warpM() int64  { return blockM * g.warpsN() / warps }

// block is how many columns a block of the part has with its padding: a fragment of 32 lies in one block.
func (g *gemm) block() int64   { return (g.part.N + warp - 1) / warp * warp }
func (g *gemm) columns() int64 { return g.part.Blocks * g.block() }

// check refuses what the kernel is not made for.
func (g *gemm) check() {
	p := g.part
	switch {
	case p.Elem != tile.BF16:
		fail("weights are %s, expected bf16", p.Elem)
	case p.Accs != 1 && p.Accs != 2:
		fail("%d accumulators, expected 1 or 2", p.Accs)
	case p.Argmax > 0:
		fail("the columns are reduced to the place of the greatest, expected all of them: leave out the pass fuse-argmax")
	case g.K >= 1<<30:
		fail("K=%d, expected less than %d", g.K, 1<<30)
	}
	for _, o := range p.Extra {
		if o.Kind == kernels.Tensor && o.Strides[2] > 1 {
			fail("an operand's columns are %d elements apart, expected 0 or 1", o.Strides[2])
		}
	}
	for _, o := range p.Outs {
		if o.Strides[2] != 1 {
			fail("the result's columns are %d elements apart, expected 1", o.Strides[2])
		}
	}
}

func (g *gemm) wStride() int64 { return Padded(g.K) }

func (g *gemm) build(name string) *Kernel {
	g.check()
	end, err := kernels.Build(name, &kernels.Epilogue{Matmul: g.Matmul, Part: g.number, Rows: g.warpM(), Stride: slabStride}, Target)
	if err != nil {
		fail("%v", err)
	}
	// Parameters: x, the weights, and then those of the epilogue that are not local.
	out := &Kernel{Name: name, Threads: threads, perTask: threads,
		Tasks: []kernels.Factor{{Size: g.M, Div: blockM}, {Size: kernels.Const(g.columns()), Div: g.cols()}}}
	pointers := []tile.KernelParam{{Name: "x", Type: tile.Type{Elem: tile.BF16, Lanes: 1, Ptr: true}}}
	out.Args = append(out.Args, kernels.Arg{Kind: kernels.ArgIn, Index: g.x})
	for j := range g.part.Accs {
		pointers = append(pointers, tile.KernelParam{Name: fmt.Sprintf("w%d", j), Type: pointers[0].Type})
		out.Args = append(out.Args, kernels.Arg{Kind: kernels.ArgIn, Index: g.FirstOperand(g.number) + j})
	}
	locals := g.part.Accs + 3
	all := append(pointers, end.Tile.Params[locals:]...)
	out.Args = append(out.Args, end.Args[locals:]...)
	params := g.declare(all)
	tasks := g.params[len(all)]
	ws := g.params[:len(pointers)]

	g.setup()
	g.tasks(num(0), 1, tasks, func(task string) {
		m0, n0 := g.origin(task)
		g.startCopies(ws, m0, n0)
		g.zero()
		g.pipeline()
		g.finish(end, len(pointers), locals, m0, n0)
	})
	out.Text = g.entry(name, params, stages*stageBytes)
	return out
}

// setup computes what is the same for all tasks.
func (g *gemm) setup() {
	thread := g.to(word, "mov.u32", "%tid.x")
	g.lanes(g.to(word, "and.b32", thread, num(warp-1)))
	g.warp = g.to(word, "shr.u32", thread, "5")
	g.base = g.to(word, "mov.u32", sharedName)
	// Four threads copy a row of a stage. Chunk c of row r lies at place c ^ (r/2 mod 4), so that the eight rows that
	// ldmatrix reads together lie in different banks.
	row, c := g.to(word, "shr.u32", thread, "2"), g.to(word, "and.b32", thread, "3")
	g.target = g.to(word, "add.s32", g.base, g.place4(row, c))

	// ldmatrix: lane i gives the address of row i%8 of matrix i/8. For A the matrices are rows 0–7 and 8–15 of the first
	// eight k, then of the next; for B, the two halves of k for columns 0–7, and then for columns 8–15.
	m, n := g.warpAt()
	rowA := g.to(word, "and.b32", g.lane, "15")
	rowA = g.to(word, "mad.lo.s32", m, num(g.warpM()), rowA)
	g.readA[0] = g.place4(rowA, g.to(word, "shr.u32", g.lane, "4"))
	rowB := g.to(word, "and.b32", g.lane, "7")
	high := g.to(word, "shl.b32", g.to(word, "shr.u32", g.lane, "4"), "3")
	rowB = g.to(word, "mad.lo.s32", n, num(warp), g.to(word, "add.s32", rowB, high))
	half := g.to(word, "and.b32", g.to(word, "shr.u32", g.lane, "3"), "1")
	g.readB[0] = g.to(word, "add.s32", g.place4(rowB, half), num(blockM*rowBytes))
	for _, read := range []*[2]string{&g.readA, &g.readB} {
		read[1] = g.to(word, "xor.b32", read[0], num(2*chunk))
		for i := range read {
			read[i] = g.to(word, "add.s32", g.base, read[i])
		}
	}
}

// warpAt is the place of the warp among those of the block, by rows and columns.
func (g *gemm) warpAt() (m, n string) {
	n = g.to(word, "and.b32", g.warp, num(g.warpsN()-1))
	return g.to(word, "shr.u32", g.warp, num(int64(bits.TrailingZeros64(uint64(g.warpsN()))))), n
}

// place4 is where chunk c of row r lies in an operand of a stage.
func (g *gemm) place4(r, c string) string {
	swizzle := g.to(word, "and.b32", g.to(word, "shr.u32", r, "1"), "3")
	c = g.to(word, "shl.b32", g.to(word, "xor.b32", c, swizzle), "4")
	return g.to(word, "mad.lo.s32", r, num(rowBytes), c)
}

// groupM is how many blocks of rows are taken before the next columns, so that blocks of threads that run at the same time
// find each other's operands in the cache. With 1, where the weights are read again for every block of rows, products of 266
// to 8192 rows take 1.7 to 2.4 times as long on an H100 (docs/PTX.md).
const groupM = 16

// origin is the first row and column of a task.
func (g *gemm) origin(task string) (m0, n0 string) {
	group := num(groupM * ((g.columns() + g.cols() - 1) / g.cols()))
	first := g.to(long, "mul.lo.s64", g.to(long, "div.s64", task, group), num(groupM))
	left := g.to(long, "sub.s64", g.rowBlocks(), first)
	size, in := g.to(long, "min.s64", left, num(groupM)), g.to(long, "rem.s64", task, group)
	m0 = g.to(long, "mul.lo.s64", g.to(long, "add.s64", first, g.to(long, "rem.s64", in, size)), num(blockM))
	n0 = g.to(long, "mul.lo.s64", g.to(long, "div.s64", in, size), num(g.cols()))
	return m0, n0
}

// rowBlocks is the number of blocks of rows.
func (g *gemm) rowBlocks() string {
	if g.M.Sym == "" {
		return num((g.M.N + blockM - 1) / blockM)
	}
	return g.to(long, "div.s64", g.to(long, "add.s64", g.rows(), num(blockM-1)), num(blockM))
}
