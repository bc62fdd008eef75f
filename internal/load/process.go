package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// process is a server that runs.
type process struct {
	cmd *exec.Cmd
	url string
	cpu time.Duration // once it has ended
	log *bytes.Buffer // its last lines
}

// answersAt is what the server says when it answers.
var answersAt = regexp.MustCompile(`answers at (http://\S+)/`)

// startServer starts serve and waits until it answers.
func startServer(s settings) (*process, error) {
	p := &process{cmd: exec.Command(s.file, append([]string{"serve", "--addr", "127.0.0.1:0"}, strings.Fields(s.extra)...)...), log: &bytes.Buffer{}}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(stderr)
	for p.url == "" {
		line, err := lines.ReadString('\n')
		p.log.WriteString(line)
		if err != nil {
			p.kill()
			return nil, fmt.Errorf("the server does not answer: %s", p.log)
		}
		if m := answersAt.FindStringSubmatch(line); m != nil {
			p.url = m[1]
		}
	}
	go io.Copy(io.Discard, lines)
	return p, nil
}

// resident is the server's memory, in bytes, without what it maps from its file.
func (p *process) resident() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "RssAnon: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}

// end ends the server as a service manager does.
func (p *process) end() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("the server ended with %w", err)
	}
	p.cpu = p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	return nil
}

func (p *process) kill() { p.cmd.Process.Kill() }

// mostBatch bounds the requests that batch is measured with.
const mostBatch = 5000

// measureBatch answers the same requests in the same order with batch, and returns answers a second of processor time.
// It compares the texts.
func measureBatch(ctx context.Context, s settings, requests []asked, r *result) (float64, error) {
	dir, err := os.MkdirTemp("", "load-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	in, out := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "out.jsonl")
	var list bytes.Buffer
	n := min(len(r.order), mostBatch)
	for i, which := range r.order[:n] {
		line, err := json.Marshal(map[string]any{"id": i, "images": []string{requests[which].picture}, "prompt": requests[which].prompt})
		if err != nil {
			return 0, err
		}
		list.Write(append(line, '\n'))
	}
	if err := os.WriteFile(in, list.Bytes(), 0o600); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, s.file, "batch", "--input", in, "--output", out)
	if text, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("batch: %w: %s", err, text)
	}
	answers, err := os.ReadFile(out)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(answers) {
		var a struct {
			ID   int
			Text string
		}
		if err := json.Unmarshal(line, &a); err != nil {
			return 0, err
		}
		if a.Text != r.texts[r.order[a.ID]] {
			r.wrong++
		}
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return float64(n) / cpu.Seconds(), nil
}
