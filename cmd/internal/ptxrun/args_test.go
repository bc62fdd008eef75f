package ptxrun

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Wrong requests are one sentence, before anything runs, and no file is written.
func TestMisuse(t *testing.T) {
	c := runCases(t)[0]
	for _, m := range []struct {
		change func(r *Request)
		want   string
	}{
		{func(r *Request) { r.Args = r.Args[:3] }, "--arg is given 3 times; matmul has 12 parameters: matmul_param_0 of 8 bytes, "},
		{func(r *Request) { r.Args[4] = "i32:seventy" }, "--arg i32:seventy: expected a whole number from -2147483648 to 2147483647"},
		{func(r *Request) { r.Args[4] = "i32:4294967296" }, "expected a whole number"},
		{func(r *Request) { r.Args[4] = "i64:70" }, "argument 4 has 8 bytes; parameter matmul_param_4 has 4"},
		{func(r *Request) { r.Args[4] = "int:70" }, "--arg int:70: expected i32:N, u32:N, "},
		{func(r *Request) { r.Args[0] = "in:testdata/triton_matmul.safetensors:z" }, "testdata/triton_matmul.safetensors has no tensor z; it has a, "},
		{func(r *Request) { r.Args[0] = "in:a" }, "--arg in:a: expected a file, a colon and the name of a tensor in it"},
		{func(r *Request) { r.Args[3] = "out:c" }, "--arg out:c: expected a name, a colon and a type such as f32[64,128]"},
		{func(r *Request) { r.Args[3] = "out:c:f31[4]" }, `the type "f31" is none of f64, `},
		{func(r *Request) { r.Args[3] = "out:c:f32[4,x]" }, `the size "x" is no whole number`},
		{func(r *Request) { r.Args[3] = "out:c:f32[99999999,99999]" }, "is larger than 64 GiB"},
		{func(r *Request) { r.Args[1] = "out:c:f32[4]" }, "another result is named c"},
		{func(r *Request) { r.Args[4] = "bytes:123" }, "expected two hexadecimal digits"},
		{func(r *Request) { r.Kernel = "nothing" }, "has no kernel nothing; it has matmul"},
		{func(r *Request) { r.Grid = []int{1, 0} }, "--grid: a size of 0, expected 1 or more"},
		{func(r *Request) { r.Block = []int{1, 2, 3, 4} }, "--block has 4 sizes, expected X,Y,Z"},
		{func(r *Request) { r.Block = []int{64} }, ".reqntid demands 128×1×1"},
		{func(r *Request) { r.Shared = 1 << 20 }, "bytes of shared memory; a block has at most 232448"},
	} {
		r := c.request(t, "")
		m.change(&r)
		err := Run(r)
		var misuse Misuse
		if !errors.As(err, &misuse) || !strings.Contains(err.Error(), m.want) {
			t.Errorf("got  %v\nwant %s", err, m.want)
		}
		if _, err := os.Stat(r.Out); err == nil {
			t.Errorf("%s: there is a result", m.want)
		}
	}
	r := c.request(t, "")
	r.File = filepath.Join(t.TempDir(), "none.ptx")
	if err := Run(r); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// A result that the kernel leaves out is no fault, but worth a note.
func TestUnwrittenResults(t *testing.T) {
	text := ".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 y) {\n.reg .b64 %d; .reg .b32 %r;\n" +
		"ld.param.u64 %d, [y]; mov.b32 %r, 7; st.global.b32 [%d+OFF], %r; st.global.b32 [%d+8], %r; ret;\n}\n"
	for off, want := range map[string]string{
		"4": "nobody has written 4 of the 12 bytes of y, the first of them byte 0; they are zero in ",
		"0": "nobody has written 4 of the 12 bytes of y, the first of them byte 4; they are zero in ",
		"8": "nobody has written 8 of the 12 bytes of y, the first of them byte 0; they are zero in ",
	} {
		dir, note := t.TempDir(), ""
		r := Request{File: filepath.Join(dir, "k.ptx"), Block: []int{1}, Args: []string{"out:y:i32[3]"}, Out: filepath.Join(dir, "out"), Note: func(text string) { note += text }}
		if err := os.WriteFile(r.File, []byte(strings.Replace(text, "OFF", off, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := Run(r); err != nil || !strings.HasPrefix(note, want) {
			t.Errorf("%v, note %q, want %q", err, note, want)
		}
	}
}
