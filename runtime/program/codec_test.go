package program

import (
	"bytes"
	"cmp"
	"math/rand"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// whole reads programs with their launches.
func whole(data []byte) ([]*Program, error) {
	sets, err := decode(data)
	for _, p := range sets {
		err = cmp.Or(err, p.complete())
	}
	return sets, err
}

func TestRoundTrip(t *testing.T) {
	var lengths []int
	for _, deflated := range []bool{false, true} {
		p := samples()
		data := encode(p, deflated)
		q, err := whole(data)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(p, q) {
			t.Fatalf("decoded %+v, expected %+v", q, p)
		}
		if !bytes.Equal(encode(q, deflated), data) {
			t.Fatal("encoding again gives other bytes")
		}
		lengths = append(lengths, len(data))
	}
	if lengths[1] >= lengths[0] {
		t.Errorf("%d bytes deflated, %d as they are", lengths[1], lengths[0])
	}
}

// TestEveryField encodes random values of every field: one that codec forgets comes back zero.
func TestEveryField(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 2000 {
		p := &Program{}
		random(r, reflect.ValueOf(p).Elem(), 0)
		data := encode([]*Program{p}, r.Intn(2) == 0)
		var sets []*Program
		c := &codec{buf: data}
		c.file(&sets)
		q := append(sets, &Program{})[0]
		if err := q.readLaunches(); err != nil {
			t.Fatal(err)
		}
		if c.err != nil || len(c.buf) != 0 || !reflect.DeepEqual(p, q) {
			t.Fatalf("error %v, %d bytes left; decoded %+v, expected %+v", c.err, len(c.buf), q, p)
		}
	}
}

// TestLaunchesOnce: a launch that several functions and instruction sets have is in the file once, and takes a byte or two
// more wherever else it is.
func TestLaunchesOnce(t *testing.T) {
	sets := samples()
	before := len(encode(sets, true))
	for _, p := range sets {
		again := p.Funcs[0]
		again.Name = "again"
		for range 100 {
			again.Launches = append(again.Launches, p.Funcs[0].Launches[0])
		}
		p.Funcs = append(p.Funcs, again)
	}
	data := encode(sets, true)
	if more := len(data) - before; more > 300 {
		t.Errorf("two functions of 100 known launches take %d bytes more, expected at most 300", more)
	}
	again, err := whole(data)
	if err != nil || !reflect.DeepEqual(again, sets) {
		t.Errorf("decoded (%v) %+v, expected %+v", err, again, sets)
	}
}

// TestNames: names that begin alike, are empty or long.
func TestNames(t *testing.T) {
	long := strings.Repeat("layers.", 60)
	names := []string{"layers.0.q.weight", "layers.0.q.weight", "layers.0.k.weight", "", "l", long + "0", long + "1", "layers"}
	w := &codec{writing: true}
	for _, n := range names {
		w.name(&n)
	}
	r := &codec{buf: w.buf}
	for _, want := range names {
		got := ""
		if r.name(&got); got != want {
			t.Fatalf("read %q, expected %q", got, want)
		}
	}
	if err := r.finish(len(w.buf)); err != nil {
		t.Fatal(err)
	}
	r = &codec{buf: []byte{0, 2, 'a', 4, 0}} // "a", then two bytes of it
	for range 2 {
		got := ""
		r.name(&got)
	}
	if r.err == nil || r.err.Error() != "a name begins as the first 2 bytes of one of 1" {
		t.Errorf("error %v", r.err)
	}
}

// TestPortsOfKinds: a GPU's program may take and give more than a CPU's, but those of a kind are alike.
func TestPortsOfKinds(t *testing.T) {
	sets := append(samples(), sample())
	gpu := sets[2]
	gpu.Target, gpu.WorkerOffset, gpu.ScratchBytes = Target{PTX, "nvptx64", "sm_80", nil}, 0, 0
	gpu.Text = Span{0, 1 << 20}
	for i := range gpu.Kernels {
		gpu.Kernels[i].Threads, gpu.Kernels[i].TaskThreads = 32, 32
	}
	for i := range gpu.Funcs {
		gpu.Funcs[i].Launches = nil
	}
	gpu.Funcs[0].Outputs = append(gpu.Funcs[0].Outputs, gpu.Funcs[0].Outputs[0])
	gpu.Funcs[0].Outputs[len(gpu.Funcs[0].Outputs)-1].Name = "more"
	if err := validateSets(sets); err != nil {
		t.Fatal(err)
	}
	again, err := whole(encode(sets, true))
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range again {
		if !reflect.DeepEqual(p.Funcs, sets[i].Funcs) {
			t.Errorf("%s: functions %+v, expected %+v", p.Target.CPU, p.Funcs, sets[i].Funcs)
		}
	}
	sets[1].Funcs[0].Outputs = gpu.Funcs[0].Outputs
	if err := validateSets(sets); err == nil || !strings.Contains(err.Error(), "differ in more than their code") {
		t.Errorf("error %v of a CPU's program with ports of its own", err)
	}
}

// TestTruncated decodes every beginning of a program and every change of one byte.
func TestTruncated(t *testing.T) {
	for _, deflated := range []bool{false, true} {
		testTruncated(t, encode(samples(), deflated))
	}
}

func testTruncated(t *testing.T, data []byte) {
	t.Helper()
	for i := range data {
		if _, err := whole(data[:i]); err == nil {
			t.Fatalf("the first %d of %d bytes decode", i, len(data))
		} else if strings.Contains(err.Error(), "\n") {
			t.Fatalf("the error has several lines: %q", err)
		}
		for _, change := range []byte{1, 0x40, 0x80, 0xff} {
			b := bytes.Clone(data)
			b[i] ^= change
			whole(b)
		}
	}
	if _, err := whole(append(data, 0)); err == nil || !strings.Contains(err.Error(), "1 bytes follow its end") {
		t.Fatalf("a byte too many: error %v", err)
	}
}

// TestMemory decodes bytes that announce huge lists.
func TestMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for n := 1; n < 12; n++ {
		for zeros := 3; zeros < 7; zeros++ {
			for deflated := range byte(2) {
				data := append([]byte{deflated}, make([]byte, zeros)...)
				data = append(append(data, bytes.Repeat([]byte{0xfe}, n)...), 0x01)
				data = append(data, make([]byte, 1000)...)
				if _, err := whole(data); err == nil {
					t.Fatalf("%x decodes", data[:n+zeros+2])
				}
			}
		}
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 { // a reader of a deflate stream takes 45 kB
		t.Fatalf("decoding 88 times 1 kB of damaged bytes took %d bytes of memory", used)
	}
}

// TestSets breaks what the programs of a file must have in common.
func TestSets(t *testing.T) {
	for _, c := range []struct {
		damage func(sets []*Program) []*Program
		want   string
	}{
		{func(sets []*Program) []*Program { return nil }, "no instruction set is given"},
		{func(sets []*Program) []*Program { return append(sets, sets[0]) }, "instruction set x86-64-v4 is given twice"},
		{func(sets []*Program) []*Program {
			sets[1].Weights[0].Layout = sets[1].Weights[1].Layout
			sets[1].Weights[0].Layout.Run, sets[1].Weights[0].Layout.Transposed = 257, false
			return sets
		},
			"instruction sets x86-64-v4 and x86-64-v3 differ in more than their code"},
		{func(sets []*Program) []*Program { sets[1].Symbols[0].Max++; return sets }, "differ in more than their code"},
		{func(sets []*Program) []*Program { sets[1].Kernels[1].CodeOffset = -8; return sets }, "code offset -8 is negative"},
	} {
		if err := validateSets(samples()); err != nil {
			t.Fatal(err)
		}
		if err := validateSets(c.damage(samples())); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, expected %q", err, c.want)
		}
	}
	if _, err := whole(encode(nil, true)); err == nil || !strings.Contains(err.Error(), "no instruction set") {
		t.Errorf("no sets: error %v", err)
	}
}

func TestDeepExpr(t *testing.T) {
	p := sample()
	e := Sym(0)
	for range maxDepth + 5 {
		e = Add(e, Sym(1))
	}
	p.Funcs[0].Launches[0].Tasks = e
	if err := p.Validate(); err == nil || !strings.Contains(err.Error(), "nested more than 32 deep") {
		t.Errorf("validate: error %v", err)
	}
	if _, err := whole(encode([]*Program{p}, true)); err == nil || !strings.Contains(err.Error(), "nested more than 32 deep") {
		t.Errorf("decode: error %v", err)
	}
}

// TestValidate breaks one number at a time.
func TestValidate(t *testing.T) {
	for _, c := range []struct {
		damage func(p *Program)
		want   string
	}{
		{func(p *Program) { p.Symbols[1].Max = -1 }, "program: symbol T: maximum -1 is negative"},
		{func(p *Program) { p.Slots = 0 }, "program: state k0: 0 batch slots, expected 1 to 1024"},
		{func(p *Program) { p.Slots = -1 }, "program: -1 batch slots, expected 0 to 1024"},
		{func(p *Program) { p.States[0].Bytes = -1 }, "program: state k0: size -1 is negative"},
		{func(p *Program) { p.Kernels[1].CodeOffset = -8 }, "program: kernel row_2: code offset -8 is negative"},
		{func(p *Program) { p.Kernels[0].RHS = "i32" }, `program: kernel gemm_1: products of "bf16" by "i32", expected types that products have, of both or neither`},
		{func(p *Program) { p.Kernels[1].LHS = "f32" }, `program: kernel row_2: products of "f32" by ""`},
		{func(p *Program) { p.Weights[1].Bytes = 769 }, "program: weight model.layers.0.q.weight: bytes 512+769 lie outside the weights section of 1280 bytes"},
		{func(p *Program) { p.Weights[1].Offset = 1 << 62 }, "lie outside the weights section"},
		{func(p *Program) { p.Weights[0].Layout.Cols = 1 }, "weight model.embed.weight: a plain layout has fields of a packed one"},
		{func(p *Program) { p.Weights[1].Layout.Kind = 9 }, "weight model.layers.0.q.weight: unknown layout 9 transposed of 1x3x64 packed by 2 of k"},
		{func(p *Program) { p.Weights[1].Layout.KPack = 3 }, "K is packed by 3, expected 1 or 2"},
		{func(p *Program) { p.Weights[1].Layout.Run = 5 }, "layout panels of 16 transposed of 1x5x64 packed by 2 of k does not fit the shape [64 3]"},
		{func(p *Program) { p.Weights[1].Layout.Split = 0 }, "does not fit the shape"},
		{func(p *Program) { p.Weights[1].Layout.Cols = 1 << 62 }, "does not fit the shape"},
		{func(p *Program) { p.Weights[1].Shape = []int64{3, 64} }, "of shape [3 64], expected an outermost dimension of 64"},
		{func(p *Program) { p.Funcs[0].ArenaBytes = -1 }, "program: func decode: arena size -1 is negative"},
		{func(p *Program) { p.Funcs[0].Inputs[0].DType = "f33" }, `program: func decode: port ids: unknown dtype "f33"`},
		{func(p *Program) { p.Funcs[0].Outputs[0].Shape[0] = Sym(2) }, "program: func decode: port logits: an expression uses symbol 2 of 2"},
		{func(p *Program) { p.Funcs[0].Launches[1].Kernel = 2 }, "program: func decode: launch 1: kernel 2 of 2"},
		{func(p *Program) { p.Funcs[0].Launches[1].Tasks = Expr{Op: 77} }, "program: func decode: launch 1: kernel row_2: unknown expression 77"},
		{func(p *Program) { p.Funcs[0].Launches[1].Tasks = Expr{Op: OpAdd} }, "an expression has no arguments"},
		{func(p *Program) { p.Funcs[0].Launches[0].Args[0].Offset = 1281 }, "launch 0: kernel gemm_1: argument 0: offset 1281 lies outside the weights of 1280 bytes"},
		{func(p *Program) { p.Funcs[0].Launches[0].Args[2].Index = 2 }, "argument 2: state 2 of 2"},
		{func(p *Program) { p.Funcs[0].Launches[0].Args[2].Terms[0].Sym = 2 }, "argument 2: offset by symbol 2 of 2"},
		{func(p *Program) { p.Funcs[0].Launches[0].Args[3].Index = -1 }, "argument 3: symbol -1 of 2"},
		{func(p *Program) { p.Funcs[0].Launches[1].Args[1].Index = 1 }, "argument 1: output 1 of 1"},
		{func(p *Program) { p.Funcs[0].Launches[1].Args[1].Space = 10 }, "argument 1: unknown space 10"},
		{func(p *Program) { p.Funcs[0].Launches[0].Grains[0] = 0 }, "launch 0: kernel gemm_1: a grain of up to 0, expected 1 or more"},
		{func(p *Program) { p.Funcs[0].Launches[0].Grains = nil }, "launch 0: kernel gemm_1: an expression uses symbol 2 of 2"},
		{func(p *Program) { p.Funcs[0].Launches[0].Flops = Sym(2) }, "launch 0: kernel gemm_1: an expression uses symbol 2 of 2"},
		{func(p *Program) { p.Funcs[0].Launches[0].Args[4].Index = 1 }, "launch 0: kernel gemm_1: argument 4: grain 1 of 1"},
		{func(p *Program) { p.Funcs[0].Launches[0].Args[4].Terms = []Term{{0, 1}} }, "launch 0: kernel gemm_1: argument 4: unknown grain"},
	} {
		p := sample()
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		c.damage(p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, expected %q", err, c.want)
		}
	}
}

// TestValidateGPU breaks a program for GPUs.
func TestValidateGPU(t *testing.T) {
	for _, c := range []struct {
		damage func(p *Program)
		want   string
	}{
		{func(p *Program) { p.Target.Kind = 7 }, "program: a target of unknown kind 7"},
		{func(p *Program) { p.Target.Kind = CPU }, "program: kernel gemm_1: blocks of threads in a program for CPUs"},
		{func(p *Program) { p.Target.Kind, p.Kernels, p.Funcs = CPU, nil, nil }, "program: text for GPUs in a program for CPUs"},
		{func(p *Program) { p.ScratchBytes = 64 }, "program: a worker loop or scratch memory in a program for GPUs"},
		{func(p *Program) { p.Text.Offset = -1 }, "program: text of 900 bytes at -1"},
		{func(p *Program) { p.Kernels[0].Threads = 2048 }, "kernel gemm_1: 2048 threads of a block and 128 of a task, expected up to 1024 and a divisor"},
		{func(p *Program) { p.Kernels[0].TaskThreads = 0 }, "128 threads of a block and 0 of a task"},
		{func(p *Program) { p.Kernels[0].TaskThreads = 48 }, "128 threads of a block and 48 of a task"},
		{func(p *Program) { p.Kernels[0].SharedBytes = 1 << 20 }, "1048576 bytes of shared memory, expected up to 232448"},
		{func(p *Program) { p.Kernels[1].CodeOffset = 900 }, "kernel row_2: its text at 900 lies outside the module of 900 bytes at 0"},
		{func(p *Program) { p.DeviceBytes = -1 }, "weights of -1 bytes on the device"},
		{func(p *Program) { p.Loads[0].Bytes = 1281 }, "load 0: bytes 0+1281 lie outside the weights section of 1280 bytes"},
		{func(p *Program) { p.Loads[1].To = 1025 }, "load 1: bytes 1025+1024 lie outside the 2048 bytes of weights on the device"},
		{func(p *Program) { p.Funcs[0].Launches[0].Grains = []int64{2} }, "a grain of up to 2, expected 1 or more, and none for a GPU"},
		{func(p *Program) { p.Loads[0].Bytes = 499 }, "load 0: 499 bytes are copied to 500"},
		{func(p *Program) { p.Loads[1].Launches[0].Kernel = 2 }, "load 1: launch 0: kernel 2 of 2"},
		{func(p *Program) { p.Loads[1].Launches[0].Args[0].Offset = 769 }, "offset 769 lies outside the staging of 768 bytes"},
		{func(p *Program) { p.Loads[1].Launches[0].Args[1].Offset = 2049 }, "offset 2049 lies outside the weights of 2048 bytes"},
		{func(p *Program) { p.Loads[1].Launches[0].Args[0].Space = SpaceArena }, "argument 0: arena in a load"},
		{func(p *Program) { p.Funcs[0].Launches[0].Args[0].Space = SpaceStaging }, "argument 0: staging in a function"},
		{func(p *Program) { p.Target.Kind, p.Text = CPU, Span{}; p.Kernels, p.Funcs = nil, nil }, "weights for a device's memory in a program for CPUs"},
	} {
		p := sample()
		l := &p.Funcs[0].Launches[0]
		l.Tasks, l.Grains, l.Args = CeilDiv(Sym(0), C(6)), nil, l.Args[:4]
		p.Target, p.WorkerOffset, p.ScratchBytes, p.Text = Target{Kind: PTX, CPU: "sm_80"}, 0, 0, Span{0, 900}
		p.Kernels = []Kernel{{"gemm_1", 40, "bf16", "bf16", 128, 128, 65536, true}, {"row_2", 400, "", "", 128, 32, 0, false}}
		repack := Launch{Kernel: 1, Tasks: C(4), Args: []Arg{{SpaceStaging, 0, 0, nil}, {SpaceWeights, 0, 1024, nil}}}
		p.DeviceBytes, p.Loads = 2048, []Load{{0, 500, 0, 500, nil}, {512, 768, 1024, 1024, []Launch{repack}}}
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		c.damage(p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, expected %q", err, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, deflated := range []bool{false, true} {
		f.Add(encode(samples(), deflated))
		f.Add(encode([]*Program{{}}, deflated))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		sets, err := whole(data)
		if err != nil {
			return
		}
		again, err := whole(encode(sets, data[0] != 0))
		if err != nil || !reflect.DeepEqual(sets, again) {
			t.Fatalf("decoded programs do not survive another round: %v", err)
		}
		p := sets[len(sets)-1]
		for _, fn := range p.Funcs {
			for _, l := range fn.Launches {
				l.Tasks.Eval(p.Maxima())
			}
		}
	})
}

func TestExpr(t *testing.T) {
	s, u := Sym(0), Sym(1)
	for _, c := range []struct {
		e    Expr
		want int64
		text string
	}{
		{C(7), 7, "7"},
		{Add(s, C(2), u), 15, "add(S, 2, T)"},
		{Mul(s, u), 30, "mul(S, T)"},
		{Mul(), 1, "1"},
		{Add(), 0, "0"},
		{Mul(C(3), C(4)), 12, "12"},
		{CeilDiv(s, C(6)), 1, "ceildiv(S, 6)"},
		{CeilDiv(u, C(6)), 2, "ceildiv(T, 6)"},
		{CeilDiv(C(12), C(6)), 2, "2"},
		{CeilDiv(C(13), C(6)), 3, "3"},
		{CeilDiv(C(0), C(6)), 0, "0"},
		{CeilDiv(C(5), C(0)), 0, "0"},
		{Min(s, u, C(4)), 3, "min(S, T, 4)"},
		{Min(s), 3, "S"},
		{Sym(5), 0, "s5"},
	} {
		if got := c.e.Eval([]int64{3, 10}); got != c.want {
			t.Errorf("%v = %d, expected %d", c.e, got, c.want)
		}
		if got := c.e.Format([]Symbol{{"S", 0}, {"T", 0}}); got != c.text {
			t.Errorf("printed %q, expected %q", got, c.text)
		}
	}
	syms := []int64{3, 10}
	e := Add(Mul(s, u), CeilDiv(u, C(4)), Min(s, u))
	if n := testing.AllocsPerRun(100, func() { e.Eval(syms) }); n != 0 {
		t.Errorf("evaluating takes %g allocations", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	p := sample()
	for range 600 {
		p.Funcs[0].Launches = append(p.Funcs[0].Launches, p.Funcs[0].Launches[:2]...)
	}
	data := encode([]*Program{p}, true)
	b.ReportMetric(float64(len(data)), "bytes")
	for range b.N {
		if _, err := whole(data); err != nil {
			b.Fatal(err)
		}
	}
}
