package ptx

import (
	"bytes"
	"slices"
	"testing"

	"pgc/codegen/kernels"
	"pgc/codegen/ptx/emu"
	"pgc/frontend/text"
	"pgc/ir/eval"
	"pgc/ir/tile"
)

const (
	places    = 5    // rows of the state of a test for every row of x
	untouched = 0xa5 // what its bytes are before
)

// placeOfRow is where row i of x goes: to none where that is -1 or behind the last place.
func placeOfRow(i int) int { return i*3%(places+2) - 1 }

// scattered is a product whose parts scatter their results, but for the first of several.
func scattered(c productCase) *kernels.Matmul {
	s := c.spec()
	for i := range s.Parts {
		if p := &s.Parts[i]; scatters(c, i) {
			n := p.Blocks * p.N
			p.Scatter = kernels.Scatter{Positions: len(p.Extra), Stride: n, Rows: places}
			p.Extra = append(p.Extra, kernels.Operand{Elem: tile.I32, Strides: []int64{1, 0, 0}})
			p.Outs[0].Strides = []int64{places * n, p.N, 1}
		}
	}
	return s
}

func scatters(c productCase, part int) bool { return part > 0 || len(c.parts) == 1 }

// scatteredCases are products of every loop and every end that there is: few rows, of floats, of groups, and of blocks that
// share K; many, with K whole or split, of one part and of several.
func scatteredCases() []productCase {
	few, many := fewCases(), manyCases()
	return []productCase{few[1], few[3], few[8], few[len(few)-4], many[2], many[4], many[6], many[8]}
}

// TestScatteredRows runs products that write rows to places of their own: each has the bits that it has in a dense result,
// and nothing else is written.
func TestScatteredRows(t *testing.T) { recordedScattered.run(t) }

var recordedScattered = &remade{test: func(t *testing.T) {
	kinds := map[string]int{}
	for _, c := range scatteredCases() {
		r := c.run(t)
		r.launch(t)
		dense := r.out
		r.scatter(t, kinds)
		for p, size := range c.parts {
			row := size[0] * size[1] * c.out.Bytes()
			want := dense[p].Memory.Data
			if scatters(c, p) {
				want = bytes.Repeat([]byte{untouched}, c.m*places*row)
				for i := range c.m {
					if at := placeOfRow(i); at >= 0 && at < places {
						copy(want[(i*places+at)*row:], dense[p].Memory.Data[i*row:][:row])
					}
				}
			}
			if !bytes.Equal(r.out[p].Memory.Data, want) {
				t.Errorf("%v: part %d is not that of the dense product, moved", c, p)
			}
		}
	}
	if kinds["_finish"] == 0 || kinds["_finish0"] == 0 {
		t.Errorf("the cases have the kernels %v, expected some that add the sums of one part, and of several", kinds)
	}
}}

// scatter runs the case's product with scattered results, which replace those of r, and counts its kernels by the ends of
// their names.
func (r *productRun) scatter(t *testing.T, kinds map[string]int) {
	t.Helper()
	s := scattered(r.productCase)
	var positions []int32
	for i := range r.m {
		positions = append(positions, int32(placeOfRow(i)))
	}
	in := slices.Clone(r.in[:1])
	r.out = nil
	for i, p := range s.Parts {
		first := r.productCase.spec().FirstOperand(i)
		in = append(in, r.in[first:first+p.Accs+2]...)
		size := r.m * int(p.Blocks*p.N) * r.productCase.out.Bytes()
		if scatters(r.productCase, i) {
			in = append(in, memory(t, positions))
			size *= places
		}
		r.out = append(r.out, emu.Pointer{Memory: &emu.Memory{Data: bytes.Repeat([]byte{untouched}, size)}})
	}
	r.in = in
	l, err := build("scattered", s)
	if err != nil {
		t.Fatal(err)
	}
	r.work = &emu.Memory{Data: bytes.Repeat([]byte{0xff}, int(l.WorkBytes))}
	for _, k := range l.Kernels {
		args, tasks := r.arguments(k)
		launch(t, parsed(t, k), k, tasks, args...)
		kinds[k.Name[len("scattered"):]]++
	}
}

// Products with float32 weights, which have kernels of their own, scatter rows, too.
func TestScatteredFloats(t *testing.T) {
	m, err := text.Parse("f.pgir", `func @f(%x: input f32[5,37], %w: weight "w" f32[12,37], %positions: input i32[5], %s: state f32[5,7,3,4]) {
  %0 = einsum %x, %w {spec="ab,cb->ac"} : f32[5,12]
  %1 = tanh %0 : f32[5,12]
  %2 = reshape %1 {shape=[5,1,3,4]} : f32[5,1,3,4]
  %3 = scatter %s, %2, %positions : f32[5,7,3,4]
  return update %s=%3
}`)
	if err != nil {
		t.Fatal(err)
	}
	plain := m.Clone().Func("f")
	in, w := tensors(t, plain, nil)
	in["positions"] = eval.FromInt32([]int32{0, -1, 6, 7, 3}, 5)
	d := newDevice(t, m, w)
	d.setState("s", in["s"])
	d.call("f", in, nil)
	if worst := difference(d.state("s"), reference(t, plain, in, w, nil)["s"]); !(worst < 1e-5) || d.count["map"] != 1 {
		t.Errorf("error %g of the largest, kernels %v", worst, d.count)
	}
}
