package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// pgc ptx run prints a finding as FILE:LINE:COL: KIND: sentence and exits with 1; wrong arguments exit with 2.
func TestPtxRun(t *testing.T) {
	dir := t.TempDir()
	self := filepath.Join(dir, "pgc")
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(self, program, 0o755); err != nil {
		t.Fatal(err)
	}
	const text = `.version 7.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 y, .param .u32 n) {
	.reg .b64 %d<3>; .reg .b32 %r<3>;
	ld.param.u64 %d0, [y];
	ld.param.u32 %r1, [n];
	mov.u32 %r0, %tid.x;
	mad.wide.u32 %d1, %r0, 4, %d0;
	st.global.u32 [%d1], %r1;
	ret;
}
`
	file, out := filepath.Join(dir, "k.ptx"), filepath.Join(dir, "out.safetensors")
	for _, c := range []struct {
		text   string
		args   []string
		status int
		stderr string
	}{
		{text, []string{"--block", "8", "--arg", "out:y:i32[8]", "--arg", "i32:7"}, 0, ""},
		{text, []string{"--block", "9", "--arg", "out:y:i32[8]", "--arg", "i32:7"}, 1,
			file + ":10:2: out-of-bounds: k, block 0, thread 8: st.global.u32 touches bytes 32 to 35 of y, which has 32\n"},
		{strings.Replace(text, "st.global.u32 [%d1]", "st.global.u32 %d1]", 1), []string{"--block", "8", "--arg", "out:y:i32[8]", "--arg", "i32:7"}, 1,
			file + ":10:19: syntax: \"]\" where \",\" is expected\n"},
		{text, []string{"--block", "8", "--arg", "out:y:i32[8]"}, 2, "pgc: --arg is given 1 times; k has 2 parameters: y of 8 bytes, n of 4 bytes\n"},
		{text, []string{"--block", "8,x", "--arg", "out:y:i32[8]"}, 2, "pgc: --block: "},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		cmd := exec.Command(self, append([]string{"ptx", "run", file, "-o", out}, c.args...)...)
		cmd.Stderr = &stderr
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if cmd.ProcessState.ExitCode() != c.status || !strings.HasPrefix(stderr.String(), c.stderr) || c.stderr == "" && stderr.Len() > 0 {
			t.Errorf("%q: status %d, expected %d\n%s", c.args, cmd.ProcessState.ExitCode(), c.status, &stderr)
		}
		if _, err := os.Stat(out); (err == nil) != (c.status == 0) {
			t.Errorf("%q: there is a result: %t", c.args, err == nil)
		}
		os.Remove(out)
	}
}
