package gpu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgc/runtime/engine"
	"pgc/runtime/program"
)

// fake is a driver with one device, which does nothing, or fails where a test wants it to.
type fake struct {
	infos  []Info
	err    error // of Devices
	device *fakeDevice
}

func (f *fake) Devices() ([]Info, error) { return f.infos, f.err }
func (f *fake) Open(int) (Device, error) { return f.device, nil }
func usable(name string, major, cuda int) Info {
	return Info{Name: name, Major: major, Driver: cuda, Multiprocessors: 2, Compiles: true}
}

// fakeDevice counts what it is asked for. The methods that it lacks are not called.
type fakeDevice struct {
	Device
	free          int64
	allocs, links int
	link, sync    error
	block         chan struct{} // that synchronizing waits for, unless nil
	last          Address
}

func (d *fakeDevice) Info() Info                                   { return usable("a fake GPU", 8, 12000) }
func (d *fakeDevice) MemGetInfo() (int64, int64, error)            { return d.free, 2 << 30, nil }
func (d *fakeDevice) MemFree(Address) error                        { return nil }
func (d *fakeDevice) MemHostAlloc(n int) ([]byte, error)           { return make([]byte, n), nil }
func (d *fakeDevice) MemFreeHost([]byte) error                     { return nil }
func (d *fakeDevice) ModuleUnload(Module) error                    { return nil }
func (d *fakeDevice) StreamCreate() (Stream, error)                { return 1, nil }
func (d *fakeDevice) StreamDestroy(Stream) error                   { return nil }
func (d *fakeDevice) EventCreate() (Event, error)                  { return 1, nil }
func (d *fakeDevice) EventDestroy(Event) error                     { return nil }
func (d *fakeDevice) EventRecord(Event, Stream) error              { return nil }
func (d *fakeDevice) EventSynchronize(Event) error                 { return nil }
func (d *fakeDevice) GraphCreate([]Launch, []Event) (Graph, error) { return 1, nil }
func (d *fakeDevice) GraphLaunch(Graph, Stream) error              { return nil }
func (d *fakeDevice) GraphDestroy(Graph) error                     { return nil }
func (d *fakeDevice) Close() error                                 { return nil }
func (d *fakeDevice) Occupancy(Function, int, int64) (int, error)  { return 1, nil }

func (d *fakeDevice) MemcpyHtoD(Stream, Address, []byte) error           { return nil }
func (d *fakeDevice) MemsetD8(Stream, Address, byte, int64) error        { return nil }
func (d *fakeDevice) ModuleGetFunction(Module, string) (Function, error) { return 1, nil }

func (d *fakeDevice) MemAlloc(n int64) (Address, error) {
	d.allocs++
	d.last += Address(n+255) / 256 * 256
	return d.last, nil
}

func (d *fakeDevice) Link(text []byte) ([]byte, error) {
	d.links++
	return append([]byte("compiled "), text...), d.link
}

func (d *fakeDevice) ModuleLoad(image []byte) (Module, error) {
	if !strings.HasPrefix(string(image), "compiled ") {
		return 0, &Error{Call: "cuModuleLoadData", Code: 200, Text: "invalid image"}
	}
	return 1, nil
}

func (d *fakeDevice) StreamSynchronize(Stream) error {
	if d.block != nil {
		<-d.block
	}
	return d.sync
}

// scaled is a program of one kernel, which a function launches.
func scaled() (*program.Program, []byte) {
	text := []byte("head\n.visible .entry scale(\n)")
	p := &program.Program{Target: program.Target{Kind: program.PTX, CPU: "sm_80"}, Symbols: []program.Symbol{{Name: "S", Max: 9}},
		Kernels: []program.Kernel{{Name: "scale", CodeOffset: 5, Threads: 128, TaskThreads: 32}}, Text: program.Span{Bytes: int64(len(text))},
		WeightBytes: 64, DeviceBytes: 64, Loads: []program.Load{{Bytes: 64, DeviceBytes: 64}}}
	arg := program.Arg{Space: program.SpaceArena, Terms: []program.Term{{Sym: 0, Stride: 4}}}
	p.Funcs = []program.Func{{Name: "f", ArenaBytes: 1 << 20, Launches: []program.Launch{{Tasks: program.Sym(0), Args: []program.Arg{arg}}}}}
	return p, text
}

// TestFind says in a sentence why no GPU can be used.
func TestFind(t *testing.T) {
	good := usable("new", 9, 12040)
	for _, c := range []struct {
		driver fake
		number int
		want   string // an error, or the description of what is found
	}{
		{fake{err: errors.New("no NVIDIA driver is installed: libcuda.so.1: not found")}, -1, "no NVIDIA driver is installed: libcuda.so.1: not found"},
		{fake{}, -1, "the NVIDIA driver finds no GPU on this machine"},
		{fake{infos: []Info{good}}, 3, "there is no GPU 3: this machine has 1, numbered from 0"},
		{fake{infos: []Info{usable("old", 7, 12040)}}, 0, "old has compute capability 7.0, expected 8.0 or later"},
		{fake{infos: []Info{usable("new", 9, 11020)}}, -1, "the driver of new is for CUDA 11.2, expected 11.4 or later: update the NVIDIA driver"},
		{fake{infos: []Info{usable("old", 7, 12040), good}}, -1, "new (compute capability 9.0, 0.0 MiB)"},
	} {
		_, got, err := Of(&c.driver).Find(c.number)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q, expected %q", got, c.want)
		}
	}
}

// load loads the program onto a device.
func load(t *testing.T, d *fakeDevice, cache string) (engine.Executor, error) {
	t.Helper()
	p, text := scaled()
	return Of(&fake{device: d}).Load(t.Context(), p, text, make([]byte, 64), 0, engine.LoadOptions{Cache: cache})
}

// TestLoadFails says in a sentence why a program cannot be loaded, before anything is allocated where memory is short.
func TestLoadFails(t *testing.T) {
	d := &fakeDevice{free: 1 << 20}
	if _, err := load(t, d, ""); err == nil || !strings.HasPrefix(err.Error(), "the model needs 1.0 MiB on a fake GPU, which has 1.0 MiB free of 2.0 GiB") || d.allocs > 0 {
		t.Errorf("%v after %d allocations", err, d.allocs)
	}
	d = &fakeDevice{free: 1 << 30, link: &Error{Call: "cuLinkAddData", Code: InvalidPTX, Text: "line 3: syntax"}}
	if _, err := load(t, d, ""); err == nil || !strings.HasPrefix(err.Error(), "the driver's compiler refuses the code for a fake GPU: update the NVIDIA driver (cuLinkAddData: line 3: syntax") {
		t.Errorf("%v", err)
	}
}

// TestLost loses the device: the call and all that follow say so, and closing works.
func TestLost(t *testing.T) {
	d := &fakeDevice{free: 1 << 30}
	x, err := load(t, d, "")
	if err != nil {
		t.Fatal(err)
	}
	call := &engine.Call{Symbols: []int64{3}}
	if err := x.Run(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	if err := x.Run(t.Context(), &engine.Call{Symbols: []int64{10}}); err == nil || !strings.Contains(err.Error(), "symbol S is 10, expected 0 to 9") {
		t.Errorf("a symbol beyond its bound: %v", err)
	}
	d.sync = &Error{Call: "cuStreamSynchronize", Code: 700, Text: "an illegal memory access was encountered"}
	for range 2 {
		if err := x.Run(t.Context(), call); err == nil || !strings.HasPrefix(err.Error(), "a fake GPU was lost or a kernel failed on it") {
			t.Errorf("%v", err)
		}
	}
	if err := x.Close(); err != nil {
		t.Error(err)
	}
	if err := x.Run(t.Context(), call); err != errClosed {
		t.Errorf("closed: %v", err)
	}
}

// TestCancel cancels a call: it returns at once, though the device is not done.
func TestCancel(t *testing.T) {
	d := &fakeDevice{free: 1 << 30}
	x, err := load(t, d, "")
	if err != nil {
		t.Fatal(err)
	}
	d.block = make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := x.Run(ctx, &engine.Call{Symbols: []int64{3}}); err != context.DeadlineExceeded {
		t.Errorf("%v", err)
	}
	close(d.block)
	if err := x.Close(); err != nil {
		t.Error(err)
	}
}

// TestCache compiles once: the second time the code comes from the cache, unless it is damaged there, or others may write
// the file or its folder.
func TestCache(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cuda")
	for i, want := range []int{1, 0, 1, 1, 1} {
		d := &fakeDevice{free: 1 << 30}
		x, err := load(t, d, cache)
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
		if d.links != want {
			t.Errorf("load %d compiles %d modules, expected %d", i, d.links, want)
		}
		files, _ := filepath.Glob(filepath.Join(cache, "*.cubin"))
		if len(files) != 1 {
			t.Fatalf("%d files in the cache, expected 1", len(files))
		}
		var harm error
		switch i {
		case 1:
			harm = os.WriteFile(files[0], []byte("damaged"), 0o600)
		case 2:
			harm = os.Chmod(files[0], 0o666)
		case 3:
			harm = os.Chmod(cache, 0o777)
		}
		if harm != nil {
			t.Fatal(harm)
		}
	}
}

// TestCacheRoom keeps the cache within its bound: what was not used for longest goes, other files stay.
func TestCacheRoom(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cuda")
	path := func(name string) string { return filepath.Join(dir, name+cacheEnding) }
	for _, name := range []string{"a", "b", "c"} {
		keep(path(name), make([]byte, 100), 300)
	}
	if err := os.WriteFile(filepath.Join(dir, "notes"), make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"a", "b", "c"} {
		at := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(path(name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := own(path("a")); err != nil { // used: now b is the oldest
		t.Fatal(err)
	}
	keep(path("d"), make([]byte, 150), 300)
	var names []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "a.cubin d.cubin notes" {
		t.Errorf("the cache has %s, expected a.cubin d.cubin notes", got)
	}
}
