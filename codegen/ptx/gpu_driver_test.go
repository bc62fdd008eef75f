package ptx

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"testing"
)

// freshGPU opens the first GPU once more where PGC_CUDA is set; elsewhere the test is skipped.
func freshGPU(t *testing.T) *gpuDevice {
	t.Helper()
	if os.Getenv(environment) == "" {
		t.Skipf("%s is not set", environment)
	}
	d, err := openGPU(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// Where there is no driver, or no device, one sentence says so.
func TestGPUOpenFails(t *testing.T) {
	_, err := openGPU(1 << 20)
	if err == nil {
		t.Fatal("there are a million GPUs")
	}
	t.Log(err)
	if s := err.Error(); !strings.HasPrefix(s, "no NVIDIA driver is installed: ") && !strings.HasPrefix(s, "there is no GPU 1048576") || strings.Contains(s, "\n") {
		t.Errorf("got %q", s)
	}
}

// addPTX adds a number to the words of a buffer.
const addPTX = `.version 7.4
.target sm_80
.address_size 64
.visible .entry add(.param .u64 x, .param .u64 by)
.reqntid 128, 1, 1
{
	.reg .b32 %r<5>;
	.reg .b64 %d<3>;
	ld.param.u64 %d0, [x];
	ld.param.u32 %r0, [by];
	cvta.to.global.u64 %d0, %d0;
	mov.u32 %r1, %ctaid.x;
	mov.u32 %r2, %tid.x;
	mad.lo.s32 %r2, %r1, 128, %r2;
	mad.wide.u32 %d1, %r2, 4, %d0;
	ld.global.u32 %r3, [%d1];
	add.s32 %r3, %r3, %r0;
	st.global.u32 [%d1], %r3;
	ret;
}
`

func TestGPULaunch(t *testing.T) {
	d := freshGPU(t)
	t.Logf("on %s", d)
	m, err := d.Load(addPTX)
	if err != nil {
		t.Fatal(err)
	}
	f, err := m.Function("add")
	if err != nil {
		t.Fatal(err)
	}
	if registers, local, err := f.Resources(); err != nil || registers == 0 || local != 0 {
		t.Errorf("%d registers, %d bytes of local memory, %v", registers, local, err)
	}
	const n = 3 * 128
	in := make([]byte, 4*n)
	for i := range n {
		binary.LittleEndian.PutUint32(in[4*i:], uint32(i))
	}
	x, err := d.Upload(in)
	if err != nil {
		t.Fatal(err)
	}
	took, err := d.Time(func() error { return f.Launch(3, 128, x.Address, 1000) })
	if err != nil || took <= 0 {
		t.Fatalf("%v, %v", took, err)
	}
	y, err := d.Alloc(x.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 4*n)
	for _, step := range []error{y.Fill(0xab), y.Copy(x), y.Read(out), d.Synchronize(), f.Launch(0, 128, 0, 0)} {
		if step != nil {
			t.Fatal(step)
		}
	}
	for i := range n {
		if got := binary.LittleEndian.Uint32(out[4*i:]); got != uint32(i+1000) {
			t.Fatalf("word %d is %d", i, got)
		}
	}
	if err := y.Fill(7); err != nil {
		t.Fatal(err)
	}
	if err := y.Read(out); err != nil || !bytes.Equal(out, bytes.Repeat([]byte{7}, len(out))) {
		t.Errorf("not filled, %v", err)
	}
	for _, step := range []error{x.Free(), y.Free(), m.Unload()} {
		if step != nil {
			t.Error(step)
		}
	}
}

// Errors name the function of the driver, what it says, and what it was about.
func TestGPUErrors(t *testing.T) {
	d := freshGPU(t)
	_, syntax := d.Load(strings.Replace(addPTX, "add.s32 %r3", "add.s32 %q", 1))
	_, memory := d.Alloc(1 << 50)
	m, err := d.Load(addPTX)
	if err != nil {
		t.Fatal(err)
	}
	_, name := m.Function("sub")
	f, err := m.Function("add")
	if err != nil {
		t.Fatal(err)
	}
	x, err := d.Alloc(16)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		err  error
		want []string
	}{
		{syntax, []string{"cuLinkAddData: ", "CUDA_ERROR_INVALID_PTX", "line 17"}},
		{memory, []string{"cuMemAlloc: ", "CUDA_ERROR_OUT_OF_MEMORY", "1125899906842624 bytes"}},
		{name, []string{"cuModuleGetFunction: ", "CUDA_ERROR_NOT_FOUND", "sub"}},
		{f.Launch(1, 2048, x.Address, 0), []string{"cuLaunchKernel: ", "CUDA_ERROR_INVALID_VALUE", "add"}},
		{f.Launch(1<<31, 128), []string{"cuLaunchKernel: add: 2147483648 blocks, expected at most 2147483647"}},
		{x.Write(make([]byte, 17)), []string{"17 bytes of memory of 16"}},
	} {
		if c.err == nil {
			t.Errorf("no error, expected %q", c.want)
			continue
		}
		t.Log(c.err)
		for _, w := range c.want {
			if !strings.Contains(c.err.Error(), w) {
				t.Errorf("%q does not say %q", c.err, w)
			}
		}
	}
	if err := x.Free(); err != nil {
		t.Error(err)
	}
}
