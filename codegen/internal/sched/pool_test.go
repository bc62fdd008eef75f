package sched

import (
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/llir/llvm/ir"
	"github.com/llir/llvm/ir/constant"
	"github.com/llir/llvm/ir/enum"
	"github.com/llir/llvm/ir/types"
	"github.com/llir/llvm/ir/value"

	"pgc/codegen/internal/link"
	"pgc/runtime/native"
	"pgc/runtime/program"
)

// Kernels for the tests, built with llir:
//
//	nothing(…)             returns at once
//	count(p)               adds 1 to the task's word of p, not atomically
//	add(x, y, z, n)        z = x + y over n float32, 64 elements a task
//	sum(x, z, n)           z[task] = x[0] + x[1] + …, so that bits depend on order
//	burn(p, n)             n dependent multiplications, then count
//	touch(p)               writes the scratch address to the task's word of p and fills scratch
func kernels() string {
	m := ir.NewModule()
	arg := func(b *ir.Block, args value.Value, i int64) value.Value {
		return b.NewLoad(types.I64, b.NewGetElementPtr(types.I64, args, i64(i)))
	}
	kernel := func(name string) (*ir.Func, *ir.Block, [3]value.Value) {
		a, t, s := ir.NewParam("args", types.I64Ptr), ir.NewParam("task", types.I64), ir.NewParam("scratch", types.I8Ptr)
		f := m.NewFunc(name, types.Void, a, t, s)
		return f, f.NewBlock("entry"), [3]value.Value{a, t, s}
	}
	word := func(b *ir.Block, p [3]value.Value) value.Value {
		base := b.NewIntToPtr(arg(b, p[0], 0), types.I64Ptr)
		return b.NewGetElementPtr(types.I64, base, p[1])
	}
	increment := func(b *ir.Block, at, by value.Value) {
		b.NewStore(b.NewAdd(b.NewLoad(types.I64, at), by), at)
	}
	// loop runs body for i in [lo, hi) with one carried value and returns its last value.
	loop := func(f *ir.Func, b *ir.Block, lo, hi, init value.Value, body func(b *ir.Block, i, c value.Value) value.Value) (*ir.Block, value.Value) {
		head, in, out := f.NewBlock(""), f.NewBlock(""), f.NewBlock("")
		b.NewBr(head)
		i, c := head.NewPhi(ir.NewIncoming(lo, b)), head.NewPhi(ir.NewIncoming(init, b))
		head.NewCondBr(head.NewICmp(enum.IPredSLT, i, hi), in, out)
		next := body(in, i, c)
		i.Incs = append(i.Incs, ir.NewIncoming(in.NewAdd(i, i64(1)), in))
		c.Incs = append(c.Incs, ir.NewIncoming(next, in))
		in.NewBr(head)
		return out, c
	}
	floats := types.NewPointer(types.Float)

	_, b, _ := kernel("nothing")
	b.NewRet(nil)

	_, b, p := kernel("count")
	increment(b, word(b, p), i64(1))
	b.NewRet(nil)

	f, b, p := kernel("add")
	x, y, z := b.NewIntToPtr(arg(b, p[0], 0), floats), b.NewIntToPtr(arg(b, p[0], 1), floats), b.NewIntToPtr(arg(b, p[0], 2), floats)
	n, lo := arg(b, p[0], 3), b.NewMul(p[1], i64(64))
	end := b.NewAdd(lo, i64(64))
	hi := b.NewSelect(b.NewICmp(enum.IPredSLT, end, n), end, n)
	b, _ = loop(f, b, lo, hi, i64(0), func(b *ir.Block, i, c value.Value) value.Value {
		s := b.NewFAdd(b.NewLoad(types.Float, b.NewGetElementPtr(types.Float, x, i)), b.NewLoad(types.Float, b.NewGetElementPtr(types.Float, y, i)))
		b.NewStore(s, b.NewGetElementPtr(types.Float, z, i))
		return c
	})
	b.NewRet(nil)

	f, b, p = kernel("sum")
	x, z, n = b.NewIntToPtr(arg(b, p[0], 0), floats), b.NewIntToPtr(arg(b, p[0], 1), floats), arg(b, p[0], 2)
	b, c := loop(f, b, i64(0), n, constant.NewFloat(types.Float, 0), func(b *ir.Block, i, c value.Value) value.Value {
		v := b.NewLoad(types.Float, b.NewGetElementPtr(types.Float, x, i))
		return b.NewFAdd(b.NewFMul(c, v), v)
	})
	b.NewStore(c, b.NewGetElementPtr(types.Float, z, p[1]))
	b.NewRet(nil)

	f, b, p = kernel("burn")
	at, n := word(b, p), arg(b, p[0], 1)
	b, c = loop(f, b, i64(0), n, i64(3), func(b *ir.Block, i, c value.Value) value.Value {
		return b.NewXor(b.NewMul(c, i64(6364136223846793005)), i)
	})
	// The parity of the product is that of an odd number times odd numbers xor i: it is used so that the loop stays.
	increment(b, at, b.NewOr(b.NewAnd(c, i64(0)), i64(1)))
	b.NewStore(c, b.NewBitCast(p[2], types.I64Ptr))
	b.NewRet(nil)

	f, b, p = kernel("touch")
	b.NewStore(b.NewPtrToInt(p[2], types.I64), word(b, p))
	b, _ = loop(f, b, i64(0), arg(b, p[0], 1), i64(0), func(b *ir.Block, i, c value.Value) value.Value {
		b.NewStore(constant.NewInt(types.I8, 1), b.NewGetElementPtr(types.I8, p[2], i))
		return c
	})
	b.NewRet(nil)
	return m.String()
}

func assemble(ll string) ([]byte, error) {
	triple := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[runtime.GOARCH]
	cmd := exec.Command("llc", "-O2", "-mtriple="+triple, "-relocation-model=pic", "-filetype=obj", "-o", "-")
	cmd.Stdin = strings.NewReader(ll)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	obj, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("llc: %v\n%s", err, stderr.String())
	}
	return obj, nil
}

// objects are what llc makes of the worker loop and of the test kernels. A child of these tests takes those of its parent.
var objects = sync.OnceValues(func() ([2][]byte, error) {
	var objs [2][]byte
	if text := os.Getenv(objectsVariable); text != "" {
		for i, path := range strings.Split(text, string(os.PathListSeparator)) {
			obj, err := os.ReadFile(path)
			if err != nil {
				return objs, err
			}
			objs[i] = obj
		}
		return objs, nil
	}
	ll, err := Source(runtime.GOARCH)
	if err != nil {
		return objs, err
	}
	for i, s := range []string{ll, kernels()} {
		if objs[i], err = assemble(s); err != nil {
			return objs, err
		}
	}
	return objs, nil
})

// linked is the worker loop with the test kernels, mapped once for all tests.
var linked = sync.OnceValues(func() (*link.Image, error) {
	objs, err := objects()
	if err != nil {
		return nil, err
	}
	image, err := link.Link(objs[:])
	if err != nil {
		return nil, err
	}
	mem, err := native.LoadCode(image.Code)
	if err != nil {
		return nil, err
	}
	image.Code = mem.Bytes() // mapped to the end of the process
	return image, nil
})

func code(t testing.TB) *link.Image {
	t.Helper()
	if _, err := exec.LookPath("llc"); err != nil {
		t.Skip("no llc on the path")
	}
	image, err := linked()
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func startPool(t testing.TB, threads int, scratch int64) *native.Pool {
	t.Helper()
	image := code(t)
	pool, err := native.Start(image.Code, int64(image.Symbols[Symbol]), threads, scratch)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// launch is a launch of a test kernel: args are *native.Memory or integers.
type launch struct {
	kernel string
	tasks  int64
	args   []any
}

// table builds and binds a launch table.
func table(t testing.TB, launches ...launch) *native.Table {
	t.Helper()
	image := code(t)
	p := &program.Program{Funcs: []program.Func{{Name: "test"}}}
	number := map[string]int{}
	for i, name := range slices.Sorted(maps.Keys(image.Symbols)) {
		number[name] = i
		p.Kernels = append(p.Kernels, program.Kernel{Name: name, CodeOffset: int64(image.Symbols[name])})
	}
	f := &p.Funcs[0]
	var bases native.Bases
	for _, l := range launches {
		out := program.Launch{Kernel: number[l.kernel], Tasks: program.C(l.tasks)}
		for _, a := range l.args {
			switch a := a.(type) {
			case *native.Memory:
				out.Args = append(out.Args, program.Arg{Space: program.SpaceInput, Index: len(bases.Inputs)})
				f.Inputs = append(f.Inputs, program.Port{Name: "x", DType: "f32"})
				bases.Inputs = append(bases.Inputs, a.Addr())
			case int:
				out.Args = append(out.Args, program.Arg{Space: program.SpaceConst, Offset: int64(a)})
			}
		}
		f.Launches = append(f.Launches, out)
	}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	tab, err := native.NewTable(p, f, image.Code, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tab.Close() })
	if err := tab.Bind(&bases, nil); err != nil {
		t.Fatal(err)
	}
	return tab
}

func memory(t testing.TB, size int64) *native.Memory {
	t.Helper()
	m, err := native.Reserve(size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func floats(m *native.Memory) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(m.Bytes()))), m.Len()/4)
}

func words(m *native.Memory) []int64 {
	w := make([]int64, m.Len()/8)
	for i := range w {
		w[i] = int64(binary.LittleEndian.Uint64(m.Bytes()[8*i:]))
	}
	return w
}
