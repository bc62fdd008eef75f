package codegen_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"pgc/frontend/text"
	"pgc/ir/target/targettest"
	"pgc/runtime/engine"
	"pgc/runtime/program"
)

// TestExecutor checks what functions share and what not: inputs and outputs are each function's own, states outlive
// runs, and Put and Get stay inside the memory they are given.
func TestExecutor(t *testing.T) {
	m, err := text.Parse("f.pgir", `symbol at <= 3

func @add(%x: input f32[2], %sum: state f32[2]) {
  %0 = add %sum, %x : f32[2]
  return y=%0 : f32[2]
}

func @keep(%x: input f32[1,2], %rows: state f32[4,2]) {
  %0 = mul %x, %x : f32[1,2]
  %1 = symbol {name=at} : i32[]
  %2 = dynamic_update_slice %rows, %0, %1 : f32[4,2]
  return update %rows=%2
}

func @twice(%x: input f32[2]) {
  %0 = add %x, %x : f32[2]
  %1 = reduce_sum %0 : f32[1]
  return y=%0 : f32[2], z=%1 : f32[1]
}
`)
	if err != nil {
		t.Fatal(err)
	}
	e := compiled(t, m, weights{}, targettest.Runnable(t)[0], 2)
	put[float32](t, e, "add", "x", 1, 2)
	put[float32](t, e, "twice", "x", 10, 20)
	put[float32](t, e, "add", "sum", 100, 200)
	call(t, e, "twice", nil)
	call(t, e, "add", nil)
	if got := get[float32](t, e, "add", "y", 2); !slices.Equal(got, []float32{101, 202}) {
		t.Errorf("add: %v, expected 101 and 202", got)
	}
	if got := get[float32](t, e, "twice", "y", 2); !slices.Equal(got, []float32{20, 40}) {
		t.Errorf("twice: %v, expected 20 and 40", got)
	}
	for at := range 4 {
		put(t, e, "keep", "x", float32(at), float32(10*at))
		call(t, e, "keep", map[string]int{"at": at})
	}
	if got := get[float32](t, e, "keep", "rows", 8); !slices.Equal(got, []float32{0, 0, 1, 100, 4, 400, 9, 900}) {
		t.Errorf("rows %v, expected the squares of what was put", got)
	}
	rows, one := tensor(t, e, "keep", "rows"), make([]float32, 1)
	if err := engine.Get(rows, 7, one); err != nil || one[0] != 900 {
		t.Errorf("the last element is %g, error %v, expected 900", one[0], err)
	}
	for at, data := range map[int][]float32{8: make([]float32, 16), -1: one, 1 << 40: one} {
		if err := engine.Put(rows, at, data); err == nil || !strings.Contains(err.Error(), "are outside the") {
			t.Errorf("Put of %d at %d: error %v, expected that it is outside", len(data), at, err)
		}
		if err := engine.Get(rows, at, data); err == nil {
			t.Errorf("Get of %d at %d: no error", len(data), at)
		}
	}
	if err := e.Get(engine.Memory{Space: program.SpaceState, Index: 9}, 0, nil); err == nil {
		t.Error("state 9 of 2 was read")
	}
	if n := len(e.Program.Func("twice").Launches); n < 2 {
		t.Fatalf("twice has %d launches, expected some", n)
	}
	checkLaunches(t, e)
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	f, err := e.Func("add")
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"Run": f.Run(t.Context()), "Get": engine.Get(rows, 0, one), "Put": engine.Put(rows, 0, one)} {
		if err == nil || err.Error() != "the executor is closed" {
			t.Errorf("%s on a closed executor: error %v", what, err)
		}
	}
}

// checkLaunches runs the launches of twice one by one.
func checkLaunches(t *testing.T, e *engine.Engine) {
	t.Helper()
	f, err := e.Func("twice")
	if err != nil {
		t.Fatal(err)
	}
	put[float32](t, e, "twice", "x", 3, 4)
	if err := f.RunLaunch(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	if y, z := get[float32](t, e, "twice", "y", 2), get[float32](t, e, "twice", "z", 1); !slices.Equal(y, []float32{6, 8}) || z[0] != 60 {
		t.Errorf("after the first launch y is %v and z %v, expected 6 and 8, and 60 of the run before", y, z)
	}
	if err := f.RunLaunch(context.Background(), 1); err != nil {
		t.Fatal(err)
	}
	if z := get[float32](t, e, "twice", "z", 1); z[0] != 14 {
		t.Errorf("after the second launch z is %v, expected 14", z)
	}
	if err := f.RunLaunch(context.Background(), len(e.Program.Func("twice").Launches)); err == nil {
		t.Error("a launch behind the last one ran")
	}
	times, err := f.Profile(context.Background())
	if err != nil || len(times) != len(e.Program.Func("twice").Launches) {
		t.Errorf("a profile of %d launches, error %v, expected one of each", len(times), err)
	}
}
