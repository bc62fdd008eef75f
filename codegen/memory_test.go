package codegen_test

import (
	"testing"

	"pgc/ir"
	"pgc/ir/eval"
	"pgc/runtime/engine"
)

// tensor is an input or output of a function, or a state, by name.
func tensor(t testing.TB, e *engine.Engine, function, name string) engine.Tensor {
	t.Helper()
	f, err := e.Func(function)
	if err != nil {
		t.Fatal(err)
	}
	for _, look := range []func(string) (engine.Tensor, error){f.Input, f.Output, e.State} {
		if x, err := look(name); err == nil {
			return x
		}
	}
	t.Fatalf("%s has no input, output or state %s", function, name)
	return engine.Tensor{}
}

// put fills an input of a function, or a state.
func put[T engine.Number](t testing.TB, e *engine.Engine, function, name string, data ...T) {
	t.Helper()
	if err := engine.Put(tensor(t, e, function, name), 0, data); err != nil {
		t.Fatal(err)
	}
}

// get is the first n numbers of an output of a function, or a state.
func get[T engine.Number](t testing.TB, e *engine.Engine, function, name string, n int) []T {
	t.Helper()
	data := make([]T, n)
	if err := engine.Get(tensor(t, e, function, name), 0, data); err != nil {
		t.Fatal(err)
	}
	return data
}

// putTensor fills an input of a function, or a state, of type typ.
func putTensor(t testing.TB, e *engine.Engine, m *ir.Module, function, name string, typ ir.Type, x *eval.Tensor) {
	t.Helper()
	data := make([]byte, m.Bytes(typ))
	scatter(m, data, typ, x)
	if err := tensor(t, e, function, name).PutBytes(0, data); err != nil {
		t.Fatal(err)
	}
}

// getTensor reads an output of a function, or a state, of type typ.
func getTensor(t testing.TB, e *engine.Engine, m *ir.Module, function, name string, typ ir.Type, x *eval.Tensor) {
	t.Helper()
	data := make([]byte, m.Bytes(typ))
	if err := tensor(t, e, function, name).GetBytes(0, data); err != nil {
		t.Fatal(err)
	}
	gather(t, m, data, typ, x)
}
