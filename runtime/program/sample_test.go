package program

import (
	"math/rand"
	"reflect"
)

// sample is a small program that uses every field.
func sample() *Program {
	return &Program{
		Generator: "pgc test",
		Target:    Target{CPU, "amd64", "x86-64-v3", []string{"avx2", "fma", "f16c"}},
		Symbols:   []Symbol{{"S", 300}, {"T", 1024}},
		States:    []State{{"k0", 4096, true}, {"v0", 4096, false}},
		Slots:     8,
		Kernels:   []Kernel{{Name: "gemm_1", LHS: "bf16", RHS: "int8"}, {Name: "row_2", CodeOffset: 64}},
		Funcs: []Func{{
			Name:    "decode",
			Inputs:  []Port{{"ids", "i32", []Expr{Sym(0)}}},
			Outputs: []Port{{"logits", "f32", []Expr{C(1), C(257)}}},
			Launches: []Launch{
				{0, CeilDiv(Sym(0), Mul(C(6), Sym(2))), []Arg{
					{SpaceWeights, 0, 128, nil}, {SpaceInput, 0, 0, nil}, {SpaceState, 1, 64, []Term{{1, -16}, {0, 8}}},
					{SpaceSymbol, 0, 0, nil}, {SpaceGrain, 0, 0, nil}}, []int64{4}, "%3", Mul(C(2), Sym(0), C(64)), Add(Sym(0), Sym(1), C(3))},
				{1, C(1), []Arg{{SpaceArena, 0, 0, nil}, {SpaceOutput, 0, 4, []Term{{0, 8}}}, {SpaceConst, 0, -5, nil}}, nil, "%4", Add(Sym(0), Min(Sym(1), C(7))), C(0)},
			},
			ArenaBytes: 1 << 20,
		}},
		Weights: []Weight{
			{"model.embed.weight", "bf16", []int64{257, 64}, Layout{}, 0, 500, 0},
			{"model.layers.0.q.weight", "f32", []int64{64, 3}, Layout{LayoutPanels, true, 2, 1, 3, 64}, 512, 768, 0},
		},
		WeightBytes: 1280, WorkerOffset: 100, ScratchBytes: 8192, MinBatch: 2, Model: []byte(`{"image_size":224}`),
	}
}

// samples are the programs of a file for two instruction sets.
func samples() []*Program {
	p, q := sample(), sample()
	p.Target = Target{CPU, "amd64", "x86-64-v4", []string{"avx2", "avx512f"}}
	p.Kernels, p.WorkerOffset, p.ScratchBytes = p.Kernels[:1], 50, 4096
	p.MinBatch = 4
	p.Funcs[0].Launches, p.Funcs[0].ArenaBytes = p.Funcs[0].Launches[:1], 1<<21
	return []*Program{p, q}
}

// random fills v with random values; expressions stay shallow.
func random(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				random(r, v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		n := r.Intn(4)
		if v.Type().Elem() == reflect.TypeFor[Expr]() && depth > 7 {
			n = 0
		}
		if n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
		}
		for i := range n {
			random(r, v.Index(i), depth+1)
		}
	case reflect.String:
		b := make([]byte, r.Intn(12))
		r.Read(b)
		v.SetString(string(b))
	case reflect.Int, reflect.Int64:
		v.SetInt(r.Int63() >> r.Intn(64) * int64(1-2*r.Intn(2)))
	case reflect.Bool:
		v.SetBool(r.Intn(2) == 1)
	case reflect.Uint8, reflect.Uint32:
		n := uint64(r.Uint32()) >> (32 - v.Type().Bits())
		if v.Type() == reflect.TypeFor[Space]() {
			n %= 64 // as many as the format has room for
		}
		v.SetUint(n)
	default:
		panic("no random " + v.Kind().String())
	}
}
