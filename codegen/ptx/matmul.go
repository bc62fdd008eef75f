package ptx

import (
	"fmt"
	"math/bits"

	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/ir/scalar"
	"pgc/ir/tile"
	"pgc/runtime/program"
)

// The blocking of the product. A block of 128 threads computes blockM rows by blockN columns, the columns shared among
// the accumulators of the part; every warp has 64·32 sums. Four stages of both operands are 48 KiB, as much as every
// GPU has without being asked.
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

// rowAlign is the number of elements that the rows of a product's bfloat16 operands are padded to, as copies of 16
// bytes need. Padding is never read.
const rowAlign = 8

// padded returns the distance of rows of k elements.
func padded(k int64) int64 { return (k + rowAlign - 1) / rowAlign * rowAlign }

// product emits the kernels of a matmul: rows that write its x as bfloat16, a product on tensor cores for each part.
//
// x is a workspace with padded(K) elements between rows, which a map fills from memory, or a row for each result of the
// prologue. So rows begin where copies of 16 bytes may, wherever the operand lies.
func product(name string, s *kernels.Matmul) (*backend.Launches, error) {
	if s.X.Len > 0 {
		return nil, fmt.Errorf("kernel %s: PTX: rows of x are integers, expected floats", name)
	}
	var rows []kernels.Spec
	if s.Prologue != nil {
		rows = prologue(s)
	} else {
		rows = []kernels.Spec{roundedRows(s)}
	}
	out := &backend.Launches{WorkBytes: 2 * s.M.N * padded(s.K)}
	for i, row := range rows {
		k, err := emitSpec(fmt.Sprintf("%s_prologue%d", name, i), row)
		if err != nil {
			return nil, err
		}
		for j, a := range k.Args { // results of the prologue come behind those of the parts
			switch {
			case a.Kind == kernels.ArgOut && i == 0:
				k.Args[j] = kernels.Arg{Kind: kernels.ArgWork}
			case a.Kind == kernels.ArgOut:
				k.Args[j].Index = len(s.Parts) + i - 1
			}
		}
		out.Kernels = append(out.Kernels, k)
	}
	ks, err := parts(name, s, kernels.Arg{Kind: kernels.ArgWork}, padded(s.K))
	out.Kernels = append(out.Kernels, ks...)
	return out, err
}

// argmax emits the kernels of a product, which writes its columns into the workspace, and a row that finds the
// greatest.
func argmax(name string, s *kernels.Argmax) (*backend.Launches, error) {
	m := *s.Matmul
	n := m.Parts[0].N
	m.Parts = []kernels.Part{m.Parts[0]}
	m.Parts[0].Outs = []kernels.Out{{Elem: tile.F32, Strides: []int64{n, n, 1}}}
	out, err := product(name, &m)
	if err != nil {
		return nil, err
	}
	columns := kernels.Arg{Kind: kernels.ArgWork, Index: int(out.WorkBytes)}
	last := out.Kernels[len(out.Kernels)-1]
	for i, a := range last.Args {
		if a.Kind == kernels.ArgOut {
			last.Args[i] = columns
		}
	}
	index := kernels.Operand{Kind: kernels.Index, Dim: 1, Elem: tile.I32, Strides: []int64{0, 0}}
	values := kernels.Operand{Elem: tile.F32, Strides: []int64{n, 1}}
	row, err := emitSpec(name+"_index", kernels.ArgmaxRow(values, index, []kernels.Size{kernels.Const(1)}, kernels.Const(n), []int64{1, 1}))
	if err != nil {
		return nil, err
	}
	for i, a := range row.Args {
		if a.Kind == kernels.ArgIn {
			row.Args[i] = columns
		}
	}
	out.Kernels, out.WorkBytes = append(out.Kernels, row), out.WorkBytes+4*n
	return out, nil
}

// roundedRows is a map that copies the rows of a matmul's x as bfloat16.
func roundedRows(s *kernels.Matmul) *kernels.Map {
	x := kernels.Operand{Elem: tile.F32, Strides: []int64{s.XStride, 1}}
	if s.BF16 {
		x.Elem = tile.BF16
	}
	return &kernels.Map{Dims: []kernels.Size{s.M, kernels.Const(s.K)}, In: []kernels.Operand{x}, Exprs: []*scalar.Expr{scalar.X(0, scalar.F32)},
		Outs: []kernels.Out{{Elem: tile.BF16, Strides: []int64{padded(s.K), 1}}}}
}

// prologue returns row kernels that compute a prologue: x as bfloat16, then the further results.
func prologue(s *kernels.Matmul) []kernels.Spec {
	rows := make([]kernels.Spec, len(s.Prologue.Exprs))
	for i, e := range s.Prologue.Exprs {
		row := &kernels.Row{Outer: []kernels.Size{s.M}, C: kernels.Const(s.K), In: s.Prologue.In, Reduce: s.Prologue.Reduce,
			Expr: e, Out: kernels.Out{Elem: tile.BF16, Strides: []int64{padded(s.K), 1}}}
		if i > 0 {
			row.Out = s.Prologue.Outs[i-1]
		}
		rows[i] = row
	}
	return rows
}

// parts emits a product: one kernel per part, on tensor cores.
//
// x is the argument of bfloat16 rows [M,K], stride elements apart, the weights are bfloat16 [Blocks·N, K], row by row,
// padded(K) apart. All of them begin at multiples of 16 bytes, rows, too, and are allocated in such units: of the last
// one, what lies behind the end is not used, but may be read. The other operands and results are as on the CPU. Sums
// are float32, of exact products, in steps of 16 along K.
func parts(name string, s *kernels.Matmul, x kernels.Arg, stride int64) (out []*backend.Kernel, err error) {
	defer recovered(name, &err)
	for i := range s.Parts {
		g := &gemm{emitter: newEmitter(&asm{}), Matmul: s,
			part: &s.Parts[i], number: i, x: x, xStride: stride}
		out = append(out, g.build(fmt.Sprintf("%s_part%d", name, i)))
	}
	return out, nil
}

// gemm is a part of a product being emitted.
type gemm struct {
	*emitter
	*kernels.Matmul
	part    *kernels.Part
	number  int
	x       kernels.Arg
	xStride int64

	base string // of shared memory
	warp string
	// Copies: where this thread's chunk of a stage lies in shared memory, its sources, and how many bytes of each row
	// are left.
	target       string
	source, left []string
	readA, readB [2]string // what ldmatrix reads at the two halves of blockK, within a stage
	sums         [][][]string
}

// cols is the number of columns of a block of threads for each accumulator, warpsN how many warps share them, warpM the
// rows of a warp; a warp has 32 columns.
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
		fail("the greatest of some columns, expected all of them")
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

func (g *gemm) wStride() int64 { return padded(g.K) }

func (g *gemm) build(name string) *backend.Kernel {
	g.check()
	end, err := kernels.Build(name, &kernels.Epilogue{Matmul: g.Matmul, Part: g.number, Rows: g.warpM(), Stride: slabStride}, sm80)
	if err != nil {
		fail("%v", err)
	}
	// Parameters: x, the weights, and then those of the epilogue that are not local.
	one := *g.Matmul
	one.Prologue, one.BF16, one.Parts = nil, true, one.Parts[g.number:][:1]
	out := &backend.Kernel{Kernel: program.Kernel{Name: name, LHS: "bf16", RHS: "bf16", Threads: threads, TaskThreads: threads, SharedBytes: stages * stageBytes}, Spec: &one,
		Tasks: []kernels.Factor{{Size: g.M, Div: blockM}, {Size: kernels.Const(g.columns()), Div: g.cols()}}}
	pointers := []tile.KernelParam{{Name: "x", Type: tile.Type{Elem: tile.BF16, Lanes: 1, Ptr: true}}}
	out.Args = append(out.Args, g.x)
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

	// ldmatrix: lane i gives the address of row i%8 of matrix i/8. For A the matrices are rows 0–7 and 8–15 of the
	// first eight k, then of the next; for B, the two halves of k for columns 0–7, and then for columns 8–15.
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

// groupM is how many blocks of rows are taken before the next columns, so that blocks of threads that run at the same
// time find each other's operands in the cache. With 1, where the weights are read again for every block of rows,
// products of 266 to 8192 rows take 1.7 to 2.4 times as long on an H100 (docs/PTX.md).
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
