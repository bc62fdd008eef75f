package serve

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgc/internal/e2e"
)

func TestMain(m *testing.M) { os.Exit(e2e.Main(m)) }

// demo is the executable of the demo checkpoint, and the folder of its pictures.
func demo(t *testing.T) (exe, pictures string) {
	t.Helper()
	dir, _ := e2e.DemoAnswers(t)
	return e2e.Once(t, "captioner", func(exe string) { e2e.CompileTo(t, exe, filepath.Join(dir, "paligemma-demo")) }), filepath.Join(dir, "pictures")
}

// process is a server that runs.
type process struct {
	cmd    *exec.Cmd
	URL    string
	client *http.Client
	ended  chan error
	mu     sync.Mutex
	log    bytes.Buffer
}

// answersAt is what the server says when it answers.
var answersAt = regexp.MustCompile(`answers at (https?://\S+)/`)

// start starts serve at a port of its own, unless prepare says otherwise, and waits until it answers.
func start(t *testing.T, exe string, prepare func(*exec.Cmd), args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(exe, append([]string{"serve", "--addr", "127.0.0.1:0"}, args...)...), client: http.DefaultClient, ended: make(chan error, 1)}
	if prepare != nil {
		prepare(p.cmd)
	}
	stderr, err := p.cmd.StderrPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill() })
	at := make(chan string, 1)
	go func() {
		for lines := bufio.NewReader(stderr); ; {
			line, err := lines.ReadString('\n')
			p.mu.Lock()
			p.log.WriteString(line)
			p.mu.Unlock()
			if m := answersAt.FindStringSubmatch(line); m != nil {
				at <- m[1]
			}
			if err != nil {
				break
			}
		}
		p.ended <- p.cmd.Wait()
	}()
	select {
	case p.URL = <-at:
	case err := <-p.ended:
		t.Fatalf("the server ended: %v: %s", err, p.logged())
	case <-time.After(time.Minute):
		t.Fatalf("the server does not answer: %s", p.logged())
	}
	return p
}

func (p *process) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// stop ends the server as a service manager does, and expects that it ends well.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.ended:
		if err != nil {
			t.Errorf("the server ended with %v: %s", err, p.logged())
		}
	case <-time.After(time.Minute):
		t.Errorf("the server does not end: %s", p.logged())
	}
}

// post sends a body.
func (p *process) post(path string, body []byte, headers ...string) (status int, text string, err error) {
	req, err := http.NewRequest(http.MethodPost, p.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(all), err
}

// begin sends a request for an answer and returns when the server reads its body: from then on it is under way. The channel
// gets the status, 0 where there is none.
func (p *process) begin(t *testing.T, body io.Reader) <-chan int {
	t.Helper()
	reads, status := make(chan struct{}), make(chan int, 1)
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{Got100Continue: func() { close(reads) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL+"/v1/chat/completions", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Expect", "100-continue")
	patient := http.DefaultTransport.(*http.Transport).Clone()
	patient.ExpectContinueTimeout = time.Minute
	go func() {
		defer patient.CloseIdleConnections()
		resp, err := patient.RoundTrip(req)
		if err != nil {
			status <- 0
			return
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		status <- resp.StatusCode
	}()
	select {
	case <-reads:
	case got := <-status:
		t.Fatalf("the server does not read the request: status %d: %s", got, p.logged())
	}
	return status
}

// must is post of what has to be answered with 200.
func (p *process) must(t *testing.T, path string, body []byte, headers ...string) string {
	t.Helper()
	status, text, err := p.post(path, body, headers...)
	if err != nil || status != 200 {
		t.Fatalf("%s: %d %s, %v", path, status, text, err)
	}
	return text
}

// picture returns a file as a data: URI.
func picture(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(data)
}

// chat is a request about a picture with further fields.
func chat(t *testing.T, url, prompt string, fields map[string]any) []byte {
	t.Helper()
	body := map[string]any{"model": "any", "messages": []any{map[string]any{"role": "user", "content": []any{
		map[string]any{"type": "text", "text": prompt}, map[string]any{"type": "image_url", "image_url": map[string]any{"url": url}}}}}}
	for name, v := range fields {
		body[name] = v
	}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// answer is what a chat answers, as far as the tests look.
type answer struct {
	Choices []struct {
		Message struct {
			Content string
			Boxes   json.RawMessage
		}
		Delta    struct{ Content string }
		Logprobs *struct {
			Content []struct {
				Token   string
				Logprob float64
				Top     []struct{ Logprob float64 } `json:"top_logprobs"`
			}
		}
		Finish string `json:"finish_reason"`
	}
	Usage struct {
		Completion int `json:"completion_tokens"`
	}
	Error *struct{ Message, Type string }
}

// parse reads an answer.
func parse(t *testing.T, text string) (a answer) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return a
}

// streamed returns the text of a streamed answer.
func streamed(text string) (string, error) {
	var out strings.Builder
	for event := range strings.SplitSeq(text, "\n\n") {
		data, ok := strings.CutPrefix(event, "data: ")
		if !ok || data == "[DONE]" {
			continue
		}
		var a answer
		if err := json.Unmarshal([]byte(data), &a); err != nil {
			return "", err
		}
		if a.Error != nil {
			return "", fmt.Errorf("an event: %s", a.Error.Message)
		}
		for _, c := range a.Choices {
			out.WriteString(c.Delta.Content)
		}
	}
	if !strings.HasSuffix(text, "data: [DONE]\n\n") {
		return "", fmt.Errorf("no end: %s", text)
	}
	return out.String(), nil
}
