package bench

import (
	"bytes"
	"strings"
	"testing"

	"pgc/frontend/text"
	"pgc/ir/target/targettest"
	"pgc/passes"
)

// model has the functions of a model and little in them.
const model = `symbol S <= 16
symbol F <= 16

func @encode_image(%pixels: input f32[3,4,4], %p: weight "p" bf16[5,16]) {
  %0 = reshape %pixels {shape=[3,16]} : f32[3,16]
  %1 = convert %p {dtype=f32} : f32[5,16]
  %2 = einsum %0, %1 {spec="ab,cb->ac"} : f32[3,5]
  %3 = gelu_tanh %2 : f32[3,5]
  return features=%3 : f32[3,5]
}

func @prefill(%ids: input i32[S], %slots: input i32[S], %features: input f32[F,5], %e: weight "e" bf16[11,5]) {
  %0 = gather %e, %ids : bf16[S,5]
  %1 = convert %0 {dtype=f32} : f32[S,5]
  %2 = mul %1, %1 : f32[S,5]
  %3 = reduce_sum %2 : f32[S,1]
  %4 = div %1, %3 : f32[S,5]
  %5 = convert %e {dtype=f32} : f32[11,5]
  %6 = einsum %4, %5 {spec="ab,cb->ac"} : f32[S,11]
  return logits=%6 : f32[S,11]
}

func @step(%next: state i32[1], %e: weight "e" bf16[11,5], %h: weight "h" bf16[13,11]) {
  %0 = gather %e, %next : bf16[1,5]
  %1 = convert %0 {dtype=f32} : f32[1,5]
  %2 = convert %e {dtype=f32} : f32[11,5]
  %3 = einsum %1, %2 {spec="ab,cb->ac"} : f32[1,11]
  %4 = tanh %3 : f32[1,11]
  %5 = convert %h {dtype=f32} : f32[13,11]
  %6 = einsum %4, %5 {spec="ab,cb->ac"} : f32[1,13]
  %7 = argmax %6 : i32[1,1]
  %8 = reshape %7 {shape=[1]} : i32[1]
  %9 = constant {dtype=i32, shape=[], values=[0]} : i32[]
  %10 = dynamic_update_slice %next, %8, %9 : i32[1]
  return update %next=%10
}

func @greedy(%last: input f32[1,11], %h: weight "h" bf16[13,11]) {
  %0 = convert %h {dtype=f32} : f32[13,11]
  %1 = einsum %last, %0 {spec="ab,cb->ac"} : f32[1,13]
  %2 = argmax %1 : i32[1,1]
  return next=%2 : i32[1,1]
}
`

func TestAblate(t *testing.T) {
	m, err := text.Parse("model.pgir", model)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a, err := Ablated{Module: m, Name: "small", ImageTokens: 3, Text: 4}.Time(t.Context(), targettest.Runnable(t)[0], 2, func(a *Ablation) { a.PrintRow(&out) })
	if err != nil {
		t.Fatal(err)
	}
	optional := 0
	for _, p := range passes.Pipeline {
		if !p.Required && !p.Asked {
			optional++
		}
	}
	if len(a.Rows) != optional+3 || strings.Count(out.String(), "\n") != optional+3+4 {
		t.Errorf("%d rows, want %d:\n%s", len(a.Rows), optional+3, &out)
	}
	kernels := func(without, name string) int {
		for _, r := range a.Rows {
			if r.Without == without {
				return r.Funcs[name].Kernels
			}
		}
		t.Fatalf("no row without %s", without)
		return 0
	}
	// A lookup, a norm and a product; without the fusions an operation each. The head is two kernels either way.
	for _, c := range []struct {
		without, name string
		want          int
	}{{"nothing", "encode_image", 1}, {"nothing", "prefill", 5}, {"fuse-row", "prefill", 7}, {"fuse-matmul", "encode_image", 2}, {"fuse-matmul", "decode", 5},
		{"every optional pass", "prefill", 7}} {
		if got := kernels(c.without, c.name); got != c.want {
			t.Errorf("without %s, %s launches %d kernels, want %d\n%s", c.without, c.name, got, c.want, &out)
		}
	}
}
