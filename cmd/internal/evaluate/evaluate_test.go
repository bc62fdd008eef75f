package evaluate

import (
	"path/filepath"
	"strings"
	"testing"

	"pgc/frontend/text"
	"pgc/runtime/safetensors"
)

const source = `symbol S <= 9
symbol past <= 9

func @f(
    %x: input f32[S,2],
    %w: weight "layer.weight" f32[3,2],
    %k: state f32[9,3]) {
  %0 = einsum %x, %w {spec="ab,cb->ac"} : f32[S,3]
  %1 = symbol {name=past} : i32[]
  %2 = dynamic_update_slice %k, %0, %1 : f32[9,3]
  %3 = neg %0 : f32[S,3]
  return update %k=%2, y=%3 : f32[S,3]
}
`

// tensor is an f32 tensor of a file.
type tensor struct {
	name  string
	shape []int
	data  []float32
}

func file(t *testing.T, tensors ...tensor) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.safetensors")
	var specs []safetensors.Spec
	for _, x := range tensors {
		specs = append(specs, safetensors.Spec{Name: x.name, DType: safetensors.F32, Shape: x.shape})
	}
	w, err := safetensors.Create(path, nil, specs)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range tensors {
		if err := w.WriteFloat32s(x.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

var (
	x = tensor{"x", []int{1, 2}, []float32{1, 2}}
	w = tensor{"layer.weight", []int{3, 2}, []float32{1, 0, 0, 1, 1, 1}}
	k = tensor{"k", []int{9, 3}, make([]float32, 27)}
)

func evaluate(t *testing.T, in string, syms map[string]int) (*safetensors.File, error) {
	t.Helper()
	m, err := text.Parse("test.pgir", source)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out.safetensors")
	if err := Run(m, Request{Syms: syms, In: in, Out: out}); err != nil {
		return nil, err
	}
	f, err := safetensors.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, nil
}

func TestRun(t *testing.T) {
	f, err := evaluate(t, file(t, x, w, k), map[string]int{"past": 4})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]float32{"y": {-1, -2, -3}, "k": append(append(make([]float32, 12), 1, 2, 3), make([]float32, 12)...)} {
		got, ok := f.Tensor(name)
		if !ok {
			t.Fatalf("no result %s", name)
		}
		values, err := got.Float32s()
		if err != nil || len(values) != len(want) {
			t.Fatalf("%s: %v, %v", name, values, err)
		}
		for i, v := range values {
			if v != want[i] {
				t.Errorf("%s[%d] = %g, want %g", name, i, v, want[i])
			}
		}
	}
}

func TestErrors(t *testing.T) {
	long := tensor{"x", []int{10, 2}, make([]float32, 20)}
	flat := tensor{"x", []int{2}, make([]float32, 2)}
	wide := tensor{"x", []int{1, 3}, make([]float32, 3)}
	for name, c := range map[string]struct {
		tensors []tensor
		syms    map[string]int
		want    string
	}{
		"missing":   {[]tensor{x, k}, map[string]int{"past": 0}, "no tensor w, expected the weight f32[3,2] of @f"},
		"rank":      {[]tensor{flat, w, k}, map[string]int{"past": 0}, "expected f32[S,2]"},
		"size":      {[]tensor{wide, w, k}, map[string]int{"past": 0}, "expected f32[S,2]"},
		"bound":     {[]tensor{long, w, k}, map[string]int{"past": 0}, "symbol S is 10, expected 0 to 9"},
		"no symbol": {[]tensor{x, w, k}, nil, "symbols that no dimension gives are set by --sym"},
		"contrary":  {[]tensor{x, w, k}, map[string]int{"past": 0, "S": 3}, "expected f32[S,2] with S = 3"},
		"unknown":   {[]tensor{x, w, k}, map[string]int{"P": 0}, "declares no symbol P"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := evaluate(t, file(t, c.tensors...), c.syms)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want … %s", err, c.want)
			}
		})
	}
}
