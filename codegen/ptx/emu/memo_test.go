package emu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// memoized is a kernel of body on buffers of its own, which is launched again and again.
type memoized struct {
	t       *testing.T
	m       *Module
	memo    *Memo
	d       *Device
	x, y    *Memory
	workers int  // of the launch before
	looks   bool // how many instructions are executed depends on which block comes first
}

func newMemoized(t *testing.T, n int, text string) *memoized {
	t.Helper()
	m, err := Parse(body(n, text))
	if err != nil {
		t.Fatal(err)
	}
	k := &memoized{t: t, m: m, memo: &Memo{}}
	k.anew(1024)
	return k
}

// anew gives the kernel new buffers, as run has them, of which x has n bytes.
func (k *memoized) anew(n int) {
	k.d, k.x, k.y = NewDevice(), &Memory{Name: "x", Data: make([]byte, n)}, Unwritten("y", 4096)
	for i := range k.x.Data {
		k.x.Data[i] = byte(i)
	}
	k.d.Add(k.x)
	k.d.Add(k.y)
}

func (k *memoized) launch(memo *Memo) (Stats, error) {
	k.workers++
	return k.m.Run(Launch{Entry: "k", Grid: [3]int{2}, Workers: 1 + k.workers%3, Args: []any{Pointer{k.x, 0}, Pointer{k.y, 0}}, Device: k.d, Memo: memo})
}

// again launches the kernel; it is recalled or not, and leaves what the kernel leaves that nothing remembers.
func (k *memoized) again(what string, recalled bool) {
	k.t.Helper()
	twin := *k
	twin.d = NewDevice()
	twin.x = &Memory{Name: "x", Data: bytes.Clone(k.x.Data)}
	twin.y = &Memory{Name: "y", Data: bytes.Clone(k.y.Data), written: append([]uint64(nil), k.y.written...)}
	twin.d.Add(twin.x)
	twin.d.Add(twin.y)
	want, err := twin.launch(nil)
	if err != nil {
		k.t.Fatalf("%s: %v", what, err)
	}
	before := k.memo.recalled
	got, err := k.launch(k.memo)
	switch {
	case err != nil:
		k.t.Fatalf("%s: %v", what, err)
	case k.memo.recalled-before != int(truth(recalled)):
		k.t.Errorf("%s: recalled %v, expected %v", what, !recalled, recalled)
	case got.Instructions != want.Instructions && !k.looks:
		k.t.Errorf("%s: %d instructions, expected %d", what, got.Instructions, want.Instructions)
	case !bytes.Equal(k.x.Data, twin.x.Data) || !bytes.Equal(k.y.Data, twin.y.Data) || fmt.Sprint(k.y.written) != fmt.Sprint(twin.y.written):
		k.t.Errorf("%s: other bytes", what)
	}
}

// perThread makes %r2 the number of the thread in the grid, and its addresses of words of x and y %d1 and %d2.
const perThread = "mov.u32 %r2, %ctaid.x; shl.b32 %r2, %r2, 5; add.s32 %r2, %r2, %r0; mad.wide.u32 %d1, %r2, 4, %d0; mad.wide.u32 %d2, %r2, 4, %d9; "

// A launch is recalled where it would read the same bytes, and executed where a byte that it reads, or anything else that it
// depends on, is another one.
func TestMemo(t *testing.T) {
	k := newMemoized(t, 32, perThread+"ld.global.b32 %r1, [%d1]; add.s32 %r1, %r1, 7; st.global.b32 [%d2], %r1;")
	k.again("first", false)
	k.again("second", true)
	k.y.Data[3]++ // which is written, and not read
	k.again("what is written was another byte", true)
	k.x.Data[700]++ // nor is this
	k.again("what is not read is another byte", true)
	k.x.Data[5]++
	k.again("what is read is another byte", false)
	k.x.Data[5]--
	k.again("the first byte again", true)
	k.anew(1024)
	k.again("on a device of its own, where nothing was written", true)
	k.anew(512)
	k.again("a smaller buffer", false)
	k.anew(200) // threads read behind its end
	var f *Finding
	if _, err := k.launch(k.memo); !errors.As(err, &f) || f.Kind != OutOfBounds {
		t.Errorf("behind a buffer: %v", err)
	}
	k.anew(1024)
	k.x.written = make([]uint64, 16)
	if _, err := k.launch(k.memo); !errors.As(err, &f) || f.Kind != Uninitialized {
		t.Errorf("what nobody wrote: %v", err)
	}
	k.anew(1024)
	k.d.Remove(k.x)
	if _, err := k.m.Run(Launch{Entry: "k", Grid: [3]int{2}, Args: []any{Address(0), Address(1)}, Device: k.d, Memo: k.memo}); !errors.As(err, &f) || f.Kind != OutOfBounds {
		t.Errorf("a buffer that is gone: %v", err)
	}
	k.anew(1024)
	for what, l := range map[string]Launch{
		"another argument": {Grid: [3]int{2}, Args: []any{Pointer{k.x, 4}, Pointer{k.y, 0}}},
		"another grid":     {Grid: [3]int{1}, Args: []any{Pointer{k.x, 0}, Pointer{k.y, 0}}},
		"counts":           {Grid: [3]int{2}, Args: []any{Pointer{k.x, 0}, Pointer{k.y, 0}}, Counts: true},
		"no log":           {Grid: [3]int{2}, Args: []any{Pointer{k.x, 0}, Pointer{k.y, 0}}, NoRaces: true},
	} {
		before := k.memo.recalled
		l.Entry, l.Device, l.Memo = "k", k.d, k.memo
		if _, err := k.m.Run(l); err != nil || k.memo.recalled != before {
			t.Errorf("%s: %v, recalled", what, err)
		}
	}
	other := newMemoized(t, 32, perThread+"ld.global.b32 %r1, [%d1]; add.s32 %r1, %r1, 8; st.global.b32 [%d2], %r1;")
	other.memo = k.memo
	other.again("another text", false)
}

// What a launch reads and writes at one place is known as it was before: in place, by atomic operations, by looks before those,
// by copies, and by loads that only guarded stores use.
func TestMemoInPlace(t *testing.T) {
	for what, text := range map[string]string{
		"in place":       perThread + "ld.global.b32 %r1, [%d1]; add.s32 %r1, %r1, 7; st.global.b32 [%d1], %r1;",
		"atomic":         "mov.b32 %r1, 3; atom.global.add.u32 %r3, [%d0], %r1; atom.global.inc.u32 %r4, [%d0+4], 5;",
		"reduction":      "mov.b32 %r1, 3; red.global.add.u32 [%d0], %r1;",
		"look":           "ld.global.u32 %r1, [%d0]; $again: add.s32 %r2, %r1, 1; atom.global.cas.b32 %r3, [%d0], %r1, %r2; setp.ne.s32 %p0, %r3, %r1; mov.b32 %r1, %r3; @%p0 bra $again;",
		"strong":         "ld.relaxed.gpu.global.u32 %r1, [%d0]; setp.eq.s32 %p0, %r0, 0; @%p0 red.relaxed.gpu.global.add.u32 [%d0+4], %r1;",
		"block's strong": perThread + "ld.relaxed.cta.global.u32 %r1, [%d1]; add.s32 %r1, %r1, 1; st.relaxed.cta.global.u32 [%d1], %r1;",
		"copy":           perThread + "mad.wide.u32 %d3, %r0, 4, 0; cvt.u32.u64 %r4, %d3; add.s32 %r4, %r4, %r9; cp.async.ca.shared.global [%r4], [%d1], 4; cp.async.wait_all; ld.shared.b32 %r1, [%r4]; add.s32 %r1, %r1, 1; st.global.b32 [%d1], %r1;",
		"guarded":        perThread + "setp.lt.s32 %p0, %r2, 9; ld.global.b32 %r1, [%d1]; add.s32 %r1, %r1, 1; @%p0 st.global.b32 [%d1], %r1;",
		"generic":        perThread + "ld.b32 %r1, [%d1]; mul.lo.s32 %r1, %r1, 3; st.b32 [%d1], %r1;",
	} {
		t.Run(what, func(t *testing.T) {
			k, reads := newMemoized(t, 32, text), 8
			if k.looks = what == "look"; k.looks || what == "reduction" {
				reads = 4
			}
			first := bytes.Clone(k.x.Data)
			k.again("first", false)
			second := bytes.Clone(k.x.Data)
			if bytes.Equal(first, second) {
				t.Fatal("nothing is written")
			}
			k.again("behind the first", false)
			copy(k.x.Data, first)
			k.again("as at first", true)
			copy(k.x.Data, second)
			k.again("as behind the first", true)
			for i := range reads { // each byte of the first words
				copy(k.x.Data, first)
				k.x.Data[i]++
				k.again(fmt.Sprint("byte ", i), false)
			}
		})
	}
}

// A look before an atomic operation counts where that does not take place, in every warp, and so does a load that nothing uses: its
// address may be wrong.
func TestMemoLooks(t *testing.T) {
	k := newMemoized(t, 64, strings.Replace(perThread, "5;", "6;", 1)+"ld.global.u32 %r1, [%d1]; setp.gt.u32 %p0, %r1, 9; @%p0 bra $out; atom.global.cas.b32 %r3, [%d1], %r1, 77;\n$out: "+
		"setp.gt.u32 %p1, %r1, 0x1000000; selp.b32 %r1, 1, 2, %p1; st.global.b32 [%d2], %r1;")
	k.looks = true
	k.again("first", false)
	k.again("second", true)
	for _, at := range []int{4*128 - 1, 4*100 - 2, 4*64 - 1, 4*40 - 3, 4*20 - 1, 3} {
		k.x.Data[at] ^= 0x40
		k.again(fmt.Sprint("byte ", at), false)
		k.x.Data[at] ^= 0x40
	}
	k = newMemoized(t, 32, perThread+"ld.global.b32 %r1, [%d1]; st.global.b32 [%d2], %r2;")
	k.again("unused", false)
	k.again("unused again", true)
	k.anew(200)
	var f *Finding
	if _, err := k.launch(k.memo); !errors.As(err, &f) || f.Kind != OutOfBounds {
		t.Errorf("behind a buffer: %v", err)
	}
}

// Where a variable of the module lies is a thing that a launch depends on.
func TestMemoAddresses(t *testing.T) {
	m, err := Parse(strings.Replace(body(1, "mov.u64 %d2, g; st.global.b64 [%d9], %d2;"), ".visible", ".global .b32 g; .visible", 1))
	if err != nil {
		t.Fatal(err)
	}
	memo := &Memo{}
	for i := range 4 {
		d, y := NewDevice(), &Memory{Data: make([]byte, 8)}
		for d.Add(y); len(d.slots) < 3+i/2; {
			d.append(nil)
		}
		if _, err := m.Run(Launch{Entry: "k", Args: []any{uint64(0), Pointer{y, 0}}, Device: d, Memo: memo}); err != nil {
			t.Fatal(err)
		}
		if got, want := binary.LittleEndian.Uint64(y.Data), Address(3+i/2); got != want || memo.recalled != (i+1)/2 {
			t.Errorf("launch %d: address %#x, expected %#x; %d were recalled", i, got, want, memo.recalled)
		}
	}
}

// Races are found every time, and what looks at a clock is executed every time.
func TestMemoFailures(t *testing.T) {
	k := newMemoized(t, 32, "st.global.b32 [%d9], %r0;")
	for range 3 {
		var f *Finding
		if _, err := k.launch(k.memo); !errors.As(err, &f) || f.Kind != Race {
			t.Errorf("%v", err)
		}
	}
	k = newMemoized(t, 32, "mov.u32 %r1, %clock; and.b32 %r1, %r1, 0;"+perThread+"st.global.b32 [%d2], %r1;")
	for range 3 {
		if _, err := k.launch(k.memo); err != nil {
			t.Error(err)
		}
	}
	if k.memo.recalled != 0 || k.memo.fresh {
		t.Error("failures, or what looks at a clock, are remembered")
	}
}

// A file gives what was remembered; one that is damaged gives an error, or does not crash.
func TestMemoFile(t *testing.T) {
	k := newMemoized(t, 32, perThread+"ld.global.b32 %r1, [%d1]; add.s32 %r1, %r1, 7; st.global.b32 [%d1], %r1;")
	for i := range 4 {
		k.again(fmt.Sprint("launch ", i), false)
	}
	file := k.memo.Bytes(1 << 20)
	reread := func() *Memo {
		t.Helper()
		m, err := ReadMemo(file)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	k.memo = reread()
	k.anew(1024)
	for i := range 4 {
		k.again(fmt.Sprint("launch from the file ", i), true)
	}
	if k.memo.fresh {
		t.Error("there is nothing new")
	}
	k.memo = reread()
	k.anew(1024)
	k.again("of the small file", true)
	k.x.Data[0]++
	k.again("new", false)
	if !k.memo.fresh {
		t.Error("nothing is new")
	}
	file = k.memo.Bytes(0) // what was used, not the rest
	k.memo = reread()
	k.anew(1024)
	k.again("used", true)
	k.again("not used", false)
	for i := range file {
		if _, err := ReadMemo(file[:i]); err == nil {
			t.Errorf("%d of %d bytes are no error", i, len(file))
		}
		other := bytes.Clone(file)
		other[i] ^= 0x81
		ReadMemo(other)
	}
	if _, err := ReadMemo(append(bytes.Clone(file), 0)); err == nil {
		t.Error("more than a file is no error")
	}
}

// Kernels of compilers leave the same, and have executed as many instructions, whether they are executed or recalled.
func TestMemoOfCompilers(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(compiled, "triton_matmul.ptx"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	memo := &Memo{}
	run := func(seed byte) ([]byte, int64) {
		t.Helper()
		var b []*Memory
		for _, n := range []int{128 * 64 * 2, 64 * 128 * 2, 512} {
			b = append(b, &Memory{Data: make([]byte, n)})
			for i := range b[len(b)-1].Data {
				b[len(b)-1].Data[i] = []byte{byte(i)*seed + seed, 0x3c}[i%2]
			}
		}
		out := Unwritten("out", 128*128*2)
		s, err := m.Run(Launch{Entry: "matmul", Grid: [3]int{4, 4}, Shared: 16384, Memo: memo, Args: []any{Pointer{b[0], 0}, Pointer{b[1], 0}, Pointer{b[2], 0}, Pointer{out, 0},
			int32(128), int32(128), int32(64), int32(64), int32(128), int32(128), Pointer{}, Pointer{}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, missing := out.Missing(); missing != 0 {
			t.Errorf("%d bytes of the result were not written", missing)
		}
		return out.Data, s.Instructions
	}
	a, n := run(1)
	b, _ := run(2)
	again, same := run(1)
	if bytes.Equal(a, b) || !bytes.Equal(a, again) || n != same || memo.recalled != 1 {
		t.Errorf("%d launches were recalled, %d and %d instructions", memo.recalled, n, same)
	}
}
