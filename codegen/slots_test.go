package codegen_test

import (
	"slices"
	"testing"

	"pgc/frontend/text"
	"pgc/ir/target/targettest"
)

// TestSlots works on batch slots one by one and all at once. A slot that memory was not reserved for is an error, and
// what slots hold stays when others get memory.
func TestSlots(t *testing.T) {
	m, err := text.Parse("f.pgir", `symbol slot <= 2
symbol past <= 4

func @one(%row: input f32[1,1,2], %cache: slots f32[3,5,2]) {
  %0 = exp %row : f32[1,1,2]
  %1 = symbol {name=slot} : i32[]
  %2 = symbol {name=past} : i32[]
  %3 = dynamic_update_slice %cache, %0, %1, %2 : f32[3,5,2]
  %4 = dynamic_slice %3, %1 {axis=0, size=1} : f32[1,5,2]
  %5 = reshape %4 {shape=[5,2]} : f32[5,2]
  %6 = add %5, %5 : f32[5,2]
  return update %cache=%3, y=%6 : f32[5,2]
}

func @all(%rows: input f32[3,2,2], %positions: input i32[3], %cache: slots f32[3,5,2]) {
  %0 = scatter %cache, %rows, %positions : f32[3,5,2]
  return update %cache=%0
}
`)
	if err != nil {
		t.Fatal(err)
	}
	e := compiled(t, m, weights{}, targettest.Runnable(t)[0], 2)
	fails := func(function, want string, slot int) {
		t.Helper()
		f, err := e.Func(function)
		if err != nil {
			t.Fatal(err)
		}
		f.Set("slot", slot)
		if err := f.Run(t.Context()); err == nil || err.Error() != want {
			t.Errorf("@%s on slot %d: error %v, expected %s", function, slot, err, want)
		}
	}
	fails("one", "batch slot 1 is none of the 1 that memory is reserved for", 1)
	fails("all", "function all works on 3 batch slots, memory is reserved for 1", 0)
	put[float32](t, e, "one", "row", 0, 0)
	call(t, e, "one", map[string]int{"slot": 0, "past": 4})
	if err := e.Slots(4); err == nil || err.Error() != "4 batch slots, the program has 3" {
		t.Errorf("four slots: error %v", err)
	}
	if err := e.Slots(3); err != nil {
		t.Fatal(err)
	}
	call(t, e, "one", map[string]int{"slot": 2, "past": 0})
	if y := get[float32](t, e, "one", "y", 10); !slices.Equal(y, []float32{2, 2, 0, 0, 0, 0, 0, 0, 0, 0}) {
		t.Errorf("slot 2 holds the halves of %v, expected 1 and 1 and zeros", y)
	}
	// The first sequence is not there, the second ends with its slot, the third begins before it.
	put[float32](t, e, "all", "rows", 10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33)
	put[int32](t, e, "all", "positions", -2, 4, -1)
	call(t, e, "all", nil)
	want := []float32{0, 0, 0, 0, 0, 0, 0, 0, 1, 1 /**/, 0, 0, 0, 0, 0, 0, 0, 0, 20, 21 /**/, 32, 33, 0, 0, 0, 0, 0, 0, 0, 0}
	if got := get[float32](t, e, "all", "cache", 30); !slices.Equal(got, want) {
		t.Errorf("the slots hold %v, expected %v", got, want)
	}
}
