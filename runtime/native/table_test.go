package native

import (
	"encoding/binary"
	"fmt"
	"testing"

	"pgc/runtime/program"
)

// bindProgram has one launch with every kind of argument.
func bindProgram() *program.Program {
	return &program.Program{
		Symbols: []program.Symbol{{Name: "S", Max: 10}, {Name: "T", Max: 100}},
		States:  []program.State{{Name: "k", Bytes: 1000}, {Name: "v", Bytes: 1000}},
		Kernels: []program.Kernel{{Name: "k0"}, {Name: "k1", CodeOffset: 3}},
		Funcs: []program.Func{{Name: "f",
			Inputs:     []program.Port{{Name: "x", DType: "f32"}},
			Outputs:    []program.Port{{Name: "y", DType: "f32"}, {Name: "z", DType: "f32"}},
			ArenaBytes: 1000,
			Launches: []program.Launch{
				{Kernel: 0, Tasks: program.C(0)},
				{Kernel: 1, Tasks: program.CeilDiv(program.Sym(1), program.C(6)), Args: []program.Arg{
					{Space: program.SpaceWeights, Offset: 0},
					{Space: program.SpaceArena, Offset: 64},
					{Space: program.SpaceState, Index: 1, Offset: 8, Terms: []program.Term{{Sym: 0, Stride: 16}, {Sym: 1, Stride: 1000}}},
					{Space: program.SpaceInput, Index: 0, Terms: []program.Term{{Sym: 1, Stride: -4}}},
					{Space: program.SpaceOutput, Index: 1},
					{Space: program.SpaceSymbol, Index: 1},
					{Space: program.SpaceSymbol, Index: 0, Offset: 5, Terms: []program.Term{{Sym: 1, Stride: 100}}},
					{Space: program.SpaceConst, Offset: -7},
				}},
				{Kernel: 0, Tasks: program.C(1), Args: []program.Arg{{Space: program.SpaceConst, Terms: []program.Term{{Sym: 0, Stride: 3}}}}},
				{Kernel: 0, Tasks: program.CeilDiv(program.C(64), program.Sym(2)), Grains: []int64{8}, Args: []program.Arg{{Space: program.SpaceGrain}}},
				{Kernel: 0, Tasks: program.CeilDiv(program.Sym(1), program.Sym(2)), Grains: []int64{8}, Args: []program.Arg{{Space: program.SpaceGrain}}},
			},
		}},
	}
}

func TestBind(t *testing.T) {
	p := bindProgram()
	code, err := LoadCode(doubling)
	if err != nil {
		t.Fatal(err)
	}
	defer code.Close()
	tab, err := NewTable(p, &p.Funcs[0], code.Bytes(), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer tab.Close()
	p.WeightBytes = 1
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	bases := &Bases{Weights: 1 << 20, Arena: 2 << 20, States: []uintptr{3 << 20, 4 << 20}, Inputs: []uintptr{5 << 20}, Outputs: []uintptr{6 << 20, 7 << 20}}
	syms := []int64{3, 20}
	if err := tab.Bind(bases, syms); err != nil {
		t.Fatal(err)
	}
	args := *tab.i64(1, program.RecArgs) - int64(tab.mem.Addr())
	var got []int64
	for i := range 11 {
		got = append(got, int64(binary.LittleEndian.Uint64(tab.mem.Bytes()[int(args)+8*i:])))
	}
	want := []int64{1 << 20, 2<<20 + 64, 4<<20 + 8 + 48 + 20000, 5<<20 - 80, 7 << 20, 20, 3 + 5 + 2000, -7, 9, 4, 1}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("arguments %v, expected %v", got, want)
	}
	if next := *tab.i64(2, program.RecArgs) - int64(tab.mem.Addr()); next != args+64 {
		t.Errorf("the third launch's arguments lie at %d, expected %d", next, args+64)
	}
	if n := *tab.i64(1, program.RecTasks); n != 4 {
		t.Errorf("%d tasks, expected 4", n)
	}
	if fixed, dependent := *tab.i64(3, program.RecTasks), *tab.i64(4, program.RecTasks); fixed != 16 || dependent != 20 {
		t.Errorf("%d and %d tasks of launches with grains, expected 16 and 20", fixed, dependent)
	}
	if err := tab.Keep(3, 5, 9); err != nil || tab.Tasks(3) != 4 || *tab.i64(3, program.RecFirst) != 5 {
		t.Errorf("%v: %d tasks from %d on, expected 4 from 5 on", err, tab.Tasks(3), *tab.i64(3, program.RecFirst))
	}
	if err := tab.Keep(4, 5, 21); err == nil {
		t.Error("a launch keeps tasks that it does not have")
	}
	if err := tab.Bind(bases, syms); err != nil || tab.Tasks(3) != 16 || *tab.i64(3, program.RecFirst) != 0 {
		t.Errorf("%v: %d tasks from %d on behind another Bind, expected all 16", err, tab.Tasks(3), *tab.i64(3, program.RecFirst))
	}
	if at := *tab.i64(1, program.RecKernel) - int64(code.Addr()); at != 3 {
		t.Errorf("kernel at %d, expected 3", at)
	}
	if n := testing.AllocsPerRun(100, func() { tab.Bind(bases, syms) }); n != 0 {
		t.Errorf("binding takes %g allocations, expected none", n)
	}
	for _, c := range []struct {
		syms []int64
		b    *Bases
		want string
	}{
		{[]int64{3}, bases, "func f: 1 symbols, expected 2"},
		{[]int64{11, 0}, bases, "func f: symbol S is 11, expected 0 to 10"},
		{[]int64{1, -1}, bases, "func f: symbol T is -1, expected 0 to 100"},
		{syms, &Bases{States: bases.States, Inputs: bases.Inputs}, "func f: launch 1: argument 4: output 1 of 0"},
	} {
		if err := tab.Bind(c.b, c.syms); err == nil || err.Error() != c.want {
			t.Errorf("error %v, expected %q", err, c.want)
		}
		if tab.bound {
			t.Error("the table counts as bound after an error")
		}
	}
	p.Kernels[1].CodeOffset = int64(len(doubling))
	if _, err := NewTable(p, &p.Funcs[0], code.Bytes(), 2); err == nil {
		t.Error("a kernel outside the code is accepted")
	}
}

func BenchmarkBind600(b *testing.B) {
	p := bindProgram()
	f := &p.Funcs[0]
	for range 599 {
		f.Launches = append(f.Launches, f.Launches[1])
	}
	code, err := LoadCode(doubling)
	if err != nil {
		b.Fatal(err)
	}
	defer code.Close()
	tab, err := NewTable(p, f, code.Bytes(), 2)
	if err != nil {
		b.Fatal(err)
	}
	defer tab.Close()
	bases := &Bases{States: make([]uintptr, 2), Inputs: make([]uintptr, 1), Outputs: make([]uintptr, 2)}
	b.ReportAllocs()
	for range b.N {
		if err := tab.Bind(bases, []int64{3, 20}); err != nil {
			b.Fatal(err)
		}
	}
}
