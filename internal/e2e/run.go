package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// Status runs a command and returns its exit status and what it printed, without warnings.
func Status(name string, args ...string) (int, string, string) {
	code, stdout, stderr := Printed(name, args...)
	return code, stdout, Unwarned(stderr)
}

// warnings are the lines of standard error about answers: those of random models are odd.
var warnings = regexp.MustCompile(`(?m)^warning: .*\n`)

// Unwarned returns what was printed on standard error without warnings.
func Unwarned(stderr string) string { return warnings.ReplaceAllString(stderr, "") }

// Printed is Status with warnings.
func Printed(name string, args ...string) (int, string, string) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), stdout.String(), stderr.String()
	}
	return 0, stdout.String(), stderr.String()
}

// Reply is what generate --json and batch print.
type Reply struct {
	ID            json.RawMessage
	Error         string
	Text          string
	Tokens        []int32
	FinishReason  string `json:"finish_reason"`
	Logprobs      []float64
	PromptTokens  int `json:"prompt_tokens"`
	Loss          *float32
	TokenLogprobs []float32 `json:"token_logprobs"`
	Timings       struct {
		Encode float64 `json:"encode_s"`
	}
}

// Replies reads lines of answers.
func Replies(t *testing.T, out []byte) []Reply {
	t.Helper()
	return Lines[Reply](t, out)
}

// Lines reads lines of JSON.
func Lines[T any](t *testing.T, out []byte) (list []T) {
	t.Helper()
	for line := range bytes.Lines(out) {
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		list = append(list, v)
	}
	return list
}

// MustRun runs a command that must not fail and returns what it printed.
func MustRun(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", filepath.Base(name), args, err, stderr.String())
	}
	return out
}
