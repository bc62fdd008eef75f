package sched

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"

	"pgc/runtime/native"
	"pgc/runtime/program"
)

// TestExecutable writes an executable whose func adds weights to an input and to a state, opens it again and runs it
// from the file's own pages.
func TestExecutable(t *testing.T) {
	image := code(t)
	const n = 1000
	weights := make([]byte, 4*n)
	for i := range n {
		binary.LittleEndian.PutUint32(weights[4*i:], math.Float32bits(float32(i)/4))
	}
	p := &program.Program{
		Symbols: []program.Symbol{{Name: "S", Max: n}},
		States:  []program.State{{Name: "total", Bytes: 4 * n}},
		Kernels: []program.Kernel{{Name: "add", CodeOffset: int64(image.Symbols["add"])}},
		Weights: []program.Weight{{Name: "w", DType: "f32", Shape: []int64{n}, Bytes: 4 * n}},
		Funcs: []program.Func{{
			Name:       "f",
			Inputs:     []program.Port{{Name: "x", DType: "f32", Shape: []program.Expr{program.Sym(0)}}},
			ArenaBytes: 4 * n,
			Launches: []program.Launch{
				{Tasks: program.CeilDiv(program.Sym(0), program.C(64)), Args: []program.Arg{
					{Space: program.SpaceWeights}, {Space: program.SpaceInput},
					{Space: program.SpaceArena}, {Space: program.SpaceSymbol}}},
				{Tasks: program.CeilDiv(program.Sym(0), program.C(64)), Args: []program.Arg{
					{Space: program.SpaceArena}, {Space: program.SpaceState},
					{Space: program.SpaceState}, {Space: program.SpaceSymbol}}},
			},
		}},
		WeightBytes:  4 * n,
		WorkerOffset: int64(image.Symbols[Symbol]),
	}
	path := filepath.Join(t.TempDir(), "model")
	err := program.Write(context.Background(), path, []byte("the runtime"), []*program.Program{p},
		program.Bytes(program.SectionWeights, weights), program.Bytes(program.SectionCode, bytes.Clone(image.Code)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := program.Open(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	code, err := exe.Code(exe.Program)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := native.Start(code, exe.Program.WorkerOffset, 3, exe.Program.ScratchBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	fn := exe.Program.Func("f")
	tab, err := native.NewTable(exe.Program, fn, code, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer tab.Close()
	input, arena, state := memory(t, 4*n), memory(t, fn.ArenaBytes), memory(t, exe.Program.States[0].Bytes)
	for i := range n {
		floats(input)[i] = 1
	}
	bases := &native.Bases{Weights: native.Addr(exe.Weights), Arena: arena.Addr(), States: []uintptr{state.Addr()}, Inputs: []uintptr{input.Addr()}}
	rows := []int64{n, 0, 1, 63, 64, 65, 500}
	for _, s := range rows {
		if err := tab.Bind(bases, []int64{s}); err != nil {
			t.Fatal(err)
		}
		if err := pool.Run(context.Background(), tab, 0, tab.Launches()); err != nil {
			t.Fatal(err)
		}
	}
	for i, got := range floats(state) {
		times := 0
		for _, s := range rows {
			if int64(i) < s {
				times++
			}
		}
		if want := float32(times) * (float32(i)/4 + 1); got != want {
			t.Fatalf("total[%d] = %g, expected %g", i, got, want)
		}
	}
	// A step of a decoder: bind and run without allocations.
	syms := []int64{65}
	if allocs := testing.AllocsPerRun(100, func() {
		if tab.Bind(bases, syms) != nil || pool.Run(context.Background(), tab, 0, tab.Launches()) != nil {
			t.Error("a step failed")
		}
	}); allocs != 0 {
		t.Errorf("a step takes %g allocations, expected none", allocs)
	}
}
