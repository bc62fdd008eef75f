package codegen_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgc/codegen"
	"pgc/codegen/cpu"
	store "pgc/codegen/weights"
	"pgc/frontend/text"
	"pgc/ir/eval"
	"pgc/ir/target/targettest"
	"pgc/passes"
	"pgc/runtime/engine"
	"pgc/runtime/native"
)

// head is one product whose argmax is taken, and whose columns are there as well to compare with.
type head struct {
	dtype   string
	x       string // what x is rounded to
	columns int
	capped  bool
}

const headWidth = 45

func (h head) name() string {
	return fmt.Sprintf("%s.%s.%d.%v", h.dtype, h.x, h.columns, h.capped)
}

// text is two functions: @greedy.… gives the place of the greatest column, @logits.… all columns.
func (h head) text() string {
	k, n := headWidth, h.columns
	var b strings.Builder
	fmt.Fprintf(&b, "  %%w0 = convert %%w {dtype=f32} : f32[%d,%d]\n", n, k)
	x := "%x"
	if h.x != "f32" {
		fmt.Fprintf(&b, "  %%x0 = convert %%x {dtype=%s} : %s[1,%d]\n  %%x1 = convert %%x0 {dtype=f32} : f32[1,%d]\n", h.x, h.x, k, k)
		x = "%x1"
	}
	fmt.Fprintf(&b, "  %%y = einsum %s, %%w0 {spec=\"ab,cb->ac\"} : f32[1,%d]\n", x, n)
	y := "%y"
	if h.capped {
		fmt.Fprintf(&b, "  %%c = constant {dtype=f32, shape=[], values=[3]} : f32[]\n  %%y1 = div %%y, %%c : f32[1,%d]\n"+
			"  %%y2 = tanh %%y1 : f32[1,%d]\n  %%y3 = mul %%y2, %%c : f32[1,%d]\n", n, n, n)
		y = "%y3"
	}
	params := fmt.Sprintf("(%%x: input f32[1,%d], %%w: weight %q %s[%d,%d]) {\n%s", k, h.name(), h.dtype, n, k, b.String())
	return fmt.Sprintf("func @greedy.%s%s  %%i = argmax %s : i32[1,1]\n  return next=%%i : i32[1,1]\n}\n\nfunc @logits.%s%s  return logits=%s : f32[1,%d]\n}\n\n",
		h.name(), params, y, h.name(), params, y, n)
}

// first is the rule: the first of the greatest, -1 where one is NaN.
func first(logits []float32) int32 {
	best := 0
	for i, v := range logits {
		if v != v {
			return -1
		}
		if v > logits[best] {
			best = i
		}
	}
	return int32(best)
}

// Weights that are infinite or NaN are not written, so these stand for them until they are in memory.
const infinite, minusInfinite, notANumber = 16384, 24576, 28672

// spoil replaces what stands for values that are not finite, in floats of every type: bits as they stand there, and what
// is meant. Integers that look like one are others then, for all functions.
func spoil(memory []byte) {
	for _, b := range [][2]uint16{{0x4680, 0x7f80}, {0x46c0, 0xff80}, {0x46e0, 0x7fc0}} { // bfloat16, and the upper half of a float32
		spoilWords(memory, b[0], b[1])
	}
	for _, h := range [][2]uint16{{0x7400, 0x7c00}, {0x7600, 0xfc00}, {0x7700, 0x7e00}} { // float16
		spoilWords(memory, h[0], h[1])
	}
}

func spoilWords(memory []byte, from, to uint16) {
	for i := 0; i+1 < len(memory); i += 2 {
		if binary.LittleEndian.Uint16(memory[i:]) == from {
			binary.LittleEndian.PutUint16(memory[i:], to)
		}
	}
}

// plant is what some rows of a matrix are, or all others.
type plant struct {
	name   string
	floats bool // no integers can be that
	rows   map[int]float64
	others float64 // 0: random
}

// plants are made for rows of x above 0.
var plants = []plant{{"random", false, nil, 0}, {"equal", false, nil, 0.5}, {"equals of a task", false, map[int]float64{3: 2, 4: 2, 20: 2}, 0},
	{"equals of tasks", false, map[int]float64{63: 2, 64: 2, 130: 2, 330: 2}, 0}, {"the last", false, map[int]float64{-1: 2}, 0},
	{"saturated", false, map[int]float64{0: 0.1}, 50}, {"infinite", true, map[int]float64{70: infinite, 200: infinite}, 0},
	{"minus infinity", true, nil, minusInfinite}, {"NaN", true, map[int]float64{31: notANumber}, 0},
	{"NaN after infinity", true, map[int]float64{5: infinite, 319: notANumber}, 0}, {"all NaN", true, nil, notANumber}}

// into returns a matrix with the rows planted.
func (p plant) into(w *eval.Tensor) *eval.Tensor {
	out := &eval.Tensor{DType: w.DType, Shape: w.Shape, Data: slices.Clone(w.Data)}
	n, k := w.Shape[0], w.Shape[1]
	for r := range n {
		v, planted := p.rows[r]
		if last, ok := p.rows[-1]; ok && r == n-1 {
			v, planted = last, true
		}
		if !planted {
			v, planted = p.others, p.others != 0
		}
		for i := range k {
			if planted {
				out.Data[r*k+i] = v
			}
		}
	}
	return out
}

// TestArgmaxOfProducts compares the place that a product keeps with that of the greatest of all its columns, where they
// are random, equal within a task and over the ends of tasks, saturated by a soft cap, infinite, and NaN; on one thread
// and on three.
func TestArgmaxOfProducts(t *testing.T) {
	heads := []head{{"bf16", "f32", 331, true}, {"bf16", "f32", 1031, false}, {"bf16", "bf16", 331, true}, {"f32", "f32", 37, false}, {"f32", "f32", 320, true},
		{"f16", "f32", 1, false}, {"i4g32", "f32", 135, false}, {"i8g32", "i8g32", 331, false}, {"i4g32", "i8g32", 203, true}}
	var source strings.Builder
	for _, h := range heads {
		source.WriteString(h.text())
	}
	m, err := text.Parse("heads.pgir", source.String())
	if err != nil {
		t.Fatal(err)
	}
	w := randomWeights(t, m)
	if err := passes.Optimize(m, passes.Options{Check: true}); err != nil {
		t.Fatal(err)
	}
	for _, h := range heads {
		if f := m.Func("greedy." + h.name()); len(f.Ops) > 2 || !strings.Contains(f.String(), "argmax=true") {
			t.Errorf("not fused:\n%s", f)
		}
	}
	for _, tgt := range targettest.Runnable(t) {
		r, err := codegen.Compile(t.Context(), m, cpu.Backend(tgt))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Program.Funcs { // nothing as long as the columns is written
			var n int
			if _, err := fmt.Sscanf(f.Name[strings.LastIndexByte(f.Name[:strings.LastIndexByte(f.Name, '.')], '.')+1:], "%d", &n); err != nil {
				t.Fatal(err)
			}
			if out := f.Outputs[0].Bytes(nil); strings.HasPrefix(f.Name, "greedy") && (out != 4 || n > 300 && f.ArenaBytes > int64(n)) {
				t.Errorf("@%s writes %d bytes and has an arena of %d", f.Name, out, f.ArenaBytes)
			}
		}
		code, err := native.LoadCode(r.Code.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		defer code.Close()
		counts := map[int32]int{}
		for _, p := range plants {
			planted := weights{}
			for _, h := range heads {
				planted[h.name()] = w[h.name()]
				if !p.floats || !strings.HasPrefix(h.dtype, "i") {
					planted[h.name()] = p.into(w[h.name()])
				}
			}
			var section bytes.Buffer
			if err := r.WriteWeights(&section, planted, store.Writing{}); err != nil {
				t.Fatal(err)
			}
			memory, err := native.Reserve(int64(section.Len()))
			if err != nil {
				t.Fatal(err)
			}
			defer memory.Close()
			copy(memory.Bytes(), section.Bytes())
			if p.floats {
				spoil(memory.Bytes())
			}
			for _, threads := range []int{1, 3} {
				e, err := engine.New(r.Program, code.Bytes(), memory.Bytes(), threads)
				if err != nil {
					t.Fatal(err)
				}
				x := make([]float32, headWidth)
				for i := range x {
					x[i] = float32(1 + i%5)
				}
				for _, h := range heads {
					logits, greedy := "logits."+h.name(), "greedy."+h.name()
					put(t, e, logits, "x", x...)
					call(t, e, logits, nil)
					want := first(get[float32](t, e, logits, "logits", h.columns))
					put(t, e, greedy, "x", x...)
					call(t, e, greedy, nil)
					if got := get[int32](t, e, greedy, "next", 1)[0]; got != want {
						t.Errorf("%s %s %s, %d threads: place %d, the greatest is at %d", tgt.Name, h.name(), p.name, threads, got, want)
					}
					counts[want]++
				}
				e.Close()
			}
		}
		t.Logf("%s: places %v", tgt.Name, counts)
		for _, at := range []int32{-1, 0, 3, 5, 63, 70} {
			if counts[at] == 0 {
				t.Errorf("%s: the greatest was never at %d", tgt.Name, at)
			}
		}
	}
}
