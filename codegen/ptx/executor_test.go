package ptx

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"pgc/codegen/ptx/emu"
	"pgc/ir/tile"
)

// executor runs an entry of a module on blocks of threads; the arguments' buffers then hold its results. They are
// emu.Pointer and int64.
type executor interface {
	run(m *module, k *Kernel, blocks int64, args []any) (emu.Stats, error)
}

// module is a module as text and parsed.
type module struct {
	*emu.Module
	text string
}

// emulator is the executor that is always there.
type emulator struct{}

func (emulator) run(m *module, k *Kernel, blocks int64, args []any) (emu.Stats, error) {
	var buffers []*emu.Memory
	address := func(p emu.Pointer) (uint64, error) {
		at := slices.Index(buffers, p.Memory)
		if at < 0 {
			at, buffers = len(buffers), append(buffers, p.Memory)
		}
		return emu.Address(at) + uint64(p.Offset), nil
	}
	cells := &emu.Memory{Data: make([]byte, 8*len(args))}
	values, err := parameters(args, cells, address)
	if err != nil {
		return emu.Stats{}, err
	}
	raw := make([]any, len(values))
	for i, v := range values {
		raw[i] = v
	}
	return m.Run(emu.Launch{Entry: k.Name, Blocks: blocks, Args: raw, Buffers: buffers, Shared: dynamicBytes(k), Banks: true})
}

// parameters are the arguments of an entry as its parameters: every other one is a value, the rest are in cells, which it
// fills in. address says where a pointer points.
func parameters(args []any, cells *emu.Memory, address func(emu.Pointer) (uint64, error)) ([]uint64, error) {
	values := make([]uint64, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case int64:
			values[i] = uint64(a)
		case emu.Pointer:
			at, err := address(a)
			if err != nil {
				return nil, err
			}
			values[i] = at
		}
		if i%2 == 1 || i == len(args)-1 {
			binary.LittleEndian.PutUint64(cells.Data[8*i:], values[i])
			at, err := address(emu.Pointer{Memory: cells, Offset: int64(8 * i)})
			if err != nil {
				return nil, err
			}
			values[i] = 1<<cellBit | at
		}
	}
	return values, nil
}

// gpu is the executor on a device. It has no statistics.
type gpu struct {
	*gpuDevice
	loaded map[string]*gpuModule // by text
	tally  tally
}

// onGPU is the device if PGC_CUDA is set. Then every launch of a test takes place twice, in the emulator and on the
// device, what the buffers hold is compared, and the test goes on with the device's results.
var onGPU *gpu

const environment = "PGC_CUDA"

func TestMain(m *testing.M) {
	debug.SetGCPercent(600) // the emulator leaves much garbage
	if os.Getenv(environment) == "" {
		os.Exit(m.Run())
	}
	d, err := openGPU(0)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s is set: %v\n", environment, err)
		os.Exit(1)
	}
	onGPU = &gpu{gpuDevice: d, loaded: map[string]*gpuModule{}}
	fmt.Printf("on %s\n", d)
	code := m.Run()
	if onGPU.tally.launches > 0 {
		fmt.Print(onGPU.tally)
	}
	if err := d.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// needGPU returns the device, or skips what is about nothing else.
func needGPU(t testing.TB) *gpu {
	t.Helper()
	if onGPU == nil {
		t.Skipf("%s is not set", environment)
	}
	return onGPU
}

// function loads a module, once, and finds an entry.
func (g *gpu) function(text, name string) (*gpuFunction, error) {
	if g.loaded[text] == nil {
		m, err := g.Load(text)
		if err != nil {
			return nil, err
		}
		g.loaded[text] = m
	}
	return g.loaded[text].Function(name)
}

func (g *gpu) run(m *module, k *Kernel, blocks int64, args []any) (stats emu.Stats, err error) {
	f, err := g.function(m.text, k.Name)
	if err != nil {
		return stats, err
	}
	f.Shared = int64(dynamicBytes(k))
	buffers := map[*emu.Memory]*gpuMemory{}
	defer func() {
		for _, b := range buffers {
			if e := b.Free(); err == nil {
				err = e
			}
		}
	}()
	address := func(p emu.Pointer) (at uint64, err error) {
		if buffers[p.Memory] == nil {
			if buffers[p.Memory], err = g.Upload(p.Memory.Data); err != nil {
				return 0, err
			}
		}
		return buffers[p.Memory].Address + uint64(p.Offset), nil
	}
	cells := &emu.Memory{Data: make([]byte, 8*len(args))}
	values, err := parameters(args, cells, address)
	if err == nil {
		err = buffers[cells].Write(cells.Data)
	}
	if err != nil {
		return stats, err
	}
	if err := f.Launch(blocks, k.Threads, values...); err != nil {
		return stats, err
	}
	if err := g.Synchronize(); err != nil {
		return stats, fmt.Errorf("entry %s: %w", k.Name, err)
	}
	for to, from := range buffers {
		if err := from.Read(to.Data); err != nil {
			return stats, err
		}
	}
	return stats, nil
}

// both runs an entry in the emulator and on the device, and compares.
func both(t testing.TB, m *module, k *Kernel, blocks int64, args []any) emu.Stats {
	t.Helper()
	copies, memories, before := slices.Clone(args), map[*emu.Memory]*emu.Memory{}, map[*emu.Memory][]byte{}
	for i, a := range args {
		if p, ok := a.(emu.Pointer); ok {
			if memories[p.Memory] == nil {
				memories[p.Memory] = &emu.Memory{Data: slices.Clone(p.Memory.Data)}
				before[p.Memory] = slices.Clone(p.Memory.Data)
			}
			copies[i] = emu.Pointer{Memory: memories[p.Memory], Offset: p.Offset}
		}
	}
	stats := execute(t, emulator{}, m, k, blocks, copies)
	execute(t, onGPU, m, k, blocks, args)
	onGPU.tally.launches++
	for got, want := range memories {
		onGPU.tally.compare(t, k, before[got], got.Data, want.Data)
	}
	return stats
}

// execute runs an entry in one executor.
func execute(t testing.TB, e executor, m *module, k *Kernel, blocks int64, args []any) emu.Stats {
	t.Helper()
	stats, err := e.run(m, k, blocks, args)
	if err != nil {
		t.Fatalf("%v\n%s", err, numbered(k.Text))
	}
	return stats
}

// tally counts how the device's results differ from the emulator's.
type tally struct {
	launches   int
	bits, sums outcome // of kernels whose bits are defined; of those with tensor cores
}

// outcome is of the elements that a launch changed.
type outcome struct {
	elements, payloads, differ int64
	ulps                       int64   // at most
	relative                   float64 // difference at most, to the largest of the buffer
}

func (o outcome) String() string {
	return fmt.Sprintf("%d elements written, %d differ (by %d units in the last place and %.2g of the largest at most), %d more in a NaN's payload",
		o.elements, o.differ, o.ulps, o.relative, o.payloads)
}

func (c tally) String() string {
	return fmt.Sprintf("%d launches on the device and in the emulator:\n  without tensor cores %s\n  with tensor cores %s\n", c.launches, c.bits, c.sums)
}

var stores = regexp.MustCompile(`st\.global\.(\w+)`)

// stored is the type of the elements that a kernel writes; its name in stores is unique to it.
func stored(k *Kernel) tile.Elem {
	elem := tile.I8
	for i, m := range stores.FindAllStringSubmatch(k.Text, -1) {
		for e, name := range memoryType {
			if name == m[1] && (i == 0 || e == elem) {
				elem = e
			} else if name == m[1] {
				return tile.I8 // several: bytes are as good
			}
		}
	}
	return elem
}

// compare compares a buffer after a launch. It must hold the emulator's bits, but where tensor cores of another
// generation than the emulator's were used.
func (c *tally) compare(t testing.TB, k *Kernel, before, got, want []byte) {
	t.Helper()
	e, products, hopper := stored(k), strings.Contains(k.Text, mma), onGPU.Major == 9
	o := &c.bits
	if products {
		o = &c.sums
	}
	size := e.Bytes()
	if len(got)%size != 0 {
		e, size = tile.I8, 1
	}
	worst, top, shown := 0.0, 0.0, false
	for at := 0; at < len(want); at += size {
		b, g, w := before[at:at+size], got[at:at+size], want[at:at+size]
		if string(b) == string(g) && string(b) == string(w) {
			continue
		}
		o.elements++
		if e == tile.F32 || e == tile.BF16 {
			if v := math.Abs(element(e, w, 0)); !math.IsInf(v, 0) {
				top = max(top, v)
			}
		}
		if string(g) == string(w) {
			continue
		}
		gs, ws := canonical(e, g), canonical(e, w)
		if gs == ws {
			o.payloads++
			continue
		}
		o.differ++
		if e == tile.F32 || e == tile.BF16 {
			o.ulps = max(o.ulps, ulps(e, g, w))
			worst = max(worst, math.Abs(element(e, g, 0)-element(e, w, 0)))
		}
		if (!products || hopper) && !shown {
			t.Errorf("%s: element %d of a buffer is %s on the device, %s in the emulator", k.Name, at/size, gs, ws)
			shown = true
		}
	}
	if worst > 0 {
		o.relative = max(o.relative, worst/top)
	}
}

// ulps is how many numbers of the type lie between two.
func ulps(e tile.Elem, a, b []byte) int64 {
	place := func(x []byte) int64 {
		bits := int64(0)
		for i, v := range x {
			bits |= int64(v) << (8 * i)
		}
		if sign := int64(1) << (8*e.Bytes() - 1); bits&sign != 0 {
			return -(bits &^ sign)
		}
		return bits
	}
	return max(place(a)-place(b), place(b)-place(a))
}

// dynamicBytes is the shared memory that a launch gives.
func dynamicBytes(k *Kernel) int {
	if k.DynamicShared {
		return int(k.SharedBytes)
	}
	return 0
}
