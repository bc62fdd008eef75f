package emulated

import (
	"errors"
	"io"
	"strings"
	"testing"

	"pgc/runtime/gpu"
	"pgc/runtime/gpu/remote"
)

// connect serves a driver in this process.
func connect(t *testing.T, d gpu.Driver) gpu.Driver {
	t.Helper()
	calls, out := io.Pipe()
	in, results := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- remote.Serve(d, calls, results) }()
	t.Cleanup(func() {
		out.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return remote.Driver(in, out)
}

const double = `.version 7.4
.target sm_80
.address_size 64
.visible .entry double(.param .u64 x) .reqntid 32, 1, 1 {
	.reg .b32 %r<2>; .reg .b64 %d<2>;
	ld.param.u64 %d0, [x]; mov.u32 %r0, %tid.x; mad.wide.u32 %d0, %r0, 4, %d0;
	ld.global.b32 %r1, [%d0]; add.s32 %r1, %r1, %r1; st.global.b32 [%d0], %r1; ret;
}`

// Calls arrive and results come back: memory, copies, launches, graphs with events between, and errors with their codes.
func TestCalls(t *testing.T) {
	d := connect(t, &Driver{Memory: 1 << 20})
	all, err := d.Devices()
	if err != nil || len(all) != 1 || !strings.Contains(all[0].Name, "emulated") {
		t.Fatalf("%v, %v", all, err)
	}
	g, err := d.Open(0)
	if err != nil || g.Info() != all[0] {
		t.Fatalf("%v, %v", g, err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	a, err := g.MemAlloc(128)
	must(err)
	host, err := g.MemHostAlloc(256)
	must(err)
	s, err := g.StreamCreate()
	must(err)
	m, err := g.ModuleLoad([]byte(double))
	must(err)
	f, err := g.ModuleGetFunction(m, "double")
	must(err)
	for i := range 32 {
		host[4*i] = byte(i)
	}
	must(g.MemcpyHtoD(s, a, host[:128]))
	launch := gpu.Launch{Function: f, Blocks: 1, Threads: 32, Params: []uint64{uint64(a)}}
	must(g.LaunchKernel(s, launch))
	var events []gpu.Event
	for range 3 {
		e, err := g.EventCreate()
		must(err)
		events = append(events, e)
	}
	graph, err := g.GraphCreate([]gpu.Launch{launch, launch}, events)
	must(err)
	must(g.GraphLaunch(graph, s))
	must(g.MemcpyDtoH(s, host[128:], a))
	must(g.EventRecord(events[0], s))
	must(g.EventSynchronize(events[0]))
	for i := range 32 {
		if host[128+4*i] != byte(8*i) {
			t.Fatalf("word %d is %d, expected %d", i, host[128+4*i], 8*i)
		}
	}
	if took, err := g.EventElapsed(events[1], events[2]); err != nil || took <= 0 {
		t.Errorf("%v, %v", took, err)
	}
	var e *gpu.Error
	if _, err := g.MemAlloc(1 << 30); !errors.As(err, &e) || e.Code != gpu.OutOfMemory {
		t.Errorf("%v, expected too little memory", err)
	}
	launch.Params[0] = 1 << 50 // not answered: the next call says so
	if err := g.LaunchKernel(s, launch); err != nil {
		t.Error(err)
	}
	if err := g.StreamSynchronize(s); !errors.As(err, &e) || e.Code != 719 || !strings.Contains(e.Text, "out-of-bounds") {
		t.Errorf("%v, expected the kernel's failure", err)
	}
}

// A driver that is not there is an error as it would be in one process, and one that ends is one.
func TestEnds(t *testing.T) {
	if _, err := connect(t, none{}).Devices(); err == nil || err.Error() != "no NVIDIA driver is installed" {
		t.Errorf("%v", err)
	}
	calls, out := io.Pipe()
	in, results := io.Pipe()
	calls.Close()
	results.Close()
	if _, err := remote.Driver(in, out).Devices(); err == nil || !strings.HasPrefix(err.Error(), "the process that drives the GPU has ended") {
		t.Errorf("%v", err)
	}
}

// none is no driver.
type none struct{}

func (none) Devices() ([]gpu.Info, error) { return nil, errors.New("no NVIDIA driver is installed") }
func (none) Open(int) (gpu.Device, error) { return nil, errors.New("no NVIDIA driver is installed") }
