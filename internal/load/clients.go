package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// prompts are what is asked about every picture.
var prompts = []string{"caption en", "detect circle", "ocr"}

// asked is a request that clients send again and again.
type asked struct {
	picture, prompt string
	whole, streamed []byte // bodies, with mark where the picture's file ends
}

// mark stands behind a picture's file in base64, for bytes that make it another file with the same pixels.
const mark = "AAAAAAAA"

// body is a request, of another file each time unless again is set.
func (a *asked) body(stream, again bool, random *rand.Rand) []byte {
	body := a.whole
	if stream {
		body = a.streamed
	}
	if again {
		return body
	}
	body = bytes.Clone(body)
	at := bytes.Index(body, []byte(mark+`"`))
	copy(body[at:], base64.RawStdEncoding.EncodeToString(binary.LittleEndian.AppendUint64(nil, random.Uint64())[:6]))
	return body
}

// listRequests asks all prompts about all pictures of a folder.
func listRequests(dir string) (list []asked, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.png"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("%s holds no PNG files", dir)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for len(data)%3 != 0 {
			data = append(data, 0) // behind the picture's end
		}
		uri := "data:image/png;base64," + base64.StdEncoding.EncodeToString(data) + mark
		for _, prompt := range prompts {
			a := asked{picture: name, prompt: prompt}
			for _, stream := range []bool{false, true} {
				body, err := json.Marshal(map[string]any{"model": "any", "stream": stream, "messages": []any{map[string]any{"role": "user", "content": []any{
					map[string]any{"type": "text", "text": prompt}, map[string]any{"type": "image_url", "image_url": map[string]any{"url": uri}}}}}})
				if err != nil {
					return nil, err
				}
				if stream {
					a.streamed = body
				} else {
					a.whole = body
				}
			}
			list = append(list, a)
		}
	}
	return list, nil
}

// result is what many clients saw.
type result struct {
	mu       sync.Mutex
	answers  int
	order    []int          // requests that were answered, as they came
	texts    map[int]string // the answer to each
	wrong    int            // answers that were another one before
	refused  int            // with 429
	failed   int
	first    string          // error
	tokens   []time.Duration // to the first token, of those that stream
	lengths  []int           // of the queue
	resident []int64         // bytes, every second
	took     time.Duration
}

// attack has clients ask until the time is over.
func attack(ctx context.Context, s settings, server *process, requests []asked) (*result, error) {
	ctx, cancel := context.WithTimeout(ctx, s.time)
	defer cancel()
	r := &result{texts: map[int]string{}}
	begun := time.Now()
	var all sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: s.clients}}
	for i := range s.clients {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for ctx.Err() == nil {
				r.ask(ctx, client, server.url, requests, s.again, random)
			}
		})
	}
	for i := range s.faults {
		all.Go(func() { misbehave(ctx, server.url, requests, rand.New(rand.NewPCG(uint64(i), 2))) })
	}
	all.Go(func() { r.watch(ctx, s, client, server) })
	all.Wait()
	r.took = time.Since(begun)
	return r, nil
}

// ask sends one request.
func (r *result) ask(ctx context.Context, client *http.Client, url string, requests []asked, again bool, random *rand.Rand) {
	which, stream := random.IntN(len(requests)), random.IntN(2) == 1
	req, err := http.NewRequest(http.MethodPost, url+"/v1/chat/completions", bytes.NewReader(requests[which].body(stream, again, random)))
	if err != nil {
		r.fail(err.Error())
		return
	}
	req.Header.Set("Content-Type", "application/json")
	begun := time.Now()
	resp, err := client.Do(req) // without ctx: what is under way at the end is completed
	if err != nil {
		r.fail(err.Error())
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusTooManyRequests {
		io.Copy(io.Discard, resp.Body)
		seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		if err != nil {
			r.fail("429 without Retry-After")
			return
		}
		r.mu.Lock()
		r.refused++
		r.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(seconds)*time.Second + time.Duration(random.IntN(500))*time.Millisecond):
		}
		return
	}
	text, first, err := read(resp, stream, begun)
	if err != nil {
		r.fail(err.Error())
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers++
	r.order = append(r.order, which)
	if before, known := r.texts[which]; known && before != text {
		r.wrong++
	}
	r.texts[which] = text
	if stream {
		r.tokens = append(r.tokens, first)
	}
}

// fail notes an error.
func (r *result) fail(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed++; r.first == "" {
		r.first = text
	}
}

// piece is an answer or a piece of one.
type piece struct {
	Choices []struct {
		Message, Delta struct{ Content string }
	}
	Error *struct{ Message string }
}

// read reads an answer, and how long its first token took.
func read(resp *http.Response, stream bool, begun time.Time) (text string, first time.Duration, err error) {
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		return "", 0, fmt.Errorf("%s: %.200s", resp.Status, body)
	}
	var p piece
	if !stream {
		err := json.NewDecoder(resp.Body).Decode(&p)
		if err == nil && len(p.Choices) == 1 {
			return p.Choices[0].Message.Content, 0, nil
		}
		return "", 0, fmt.Errorf("no answer: %v", err)
	}
	lines := bufio.NewReader(resp.Body)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return "", 0, fmt.Errorf("the stream ended with %w", err)
		}
		data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		switch {
		case !ok:
			continue
		case data == "[DONE]":
			return text, first, nil
		}
		p = piece{}
		if err := json.Unmarshal([]byte(data), &p); err != nil {
			return "", 0, err
		}
		if p.Error != nil {
			return "", 0, fmt.Errorf("an event: %s", p.Error.Message)
		}
		if first == 0 {
			first = time.Since(begun)
		}
		for _, c := range p.Choices {
			text += c.Delta.Content
		}
	}
}

// watch looks at the server's memory and queue every second.
func (r *result) watch(ctx context.Context, s settings, client *http.Client, server *process) {
	begun := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		length := waiting(client, server.url)
		r.mu.Lock()
		r.lengths = append(r.lengths, length)
		if time.Since(begun) > s.warm {
			r.resident = append(r.resident, server.resident())
		}
		r.mu.Unlock()
	}
}

// waiting reads the length of the queue.
func waiting(client *http.Client, url string) (n int) {
	resp, err := client.Get(url + "/metrics")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "pgc:num_requests_waiting{") {
			fmt.Sscan(line[strings.LastIndex(line, " ")+1:], &n)
		}
	}
	return n
}

// growth is by how much memory at the end exceeds that at the beginning, as a part: medians of a fifth of the time.
func (r *result) growth() float64 {
	n := len(r.resident) / 5
	if n == 0 {
		return 0
	}
	early, late := median(r.resident[:n]), median(r.resident[len(r.resident)-n:])
	return float64(late)/float64(early) - 1
}

func median[T int | int64 | time.Duration](list []T) T { return quantile(list, 0.5) }

// quantile is the value that a part of a list does not exceed.
func quantile[T int | int64 | time.Duration](list []T, part float64) (v T) {
	if len(list) == 0 {
		return v
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}

// print writes what was seen.
func (r *result) print(w io.Writer, server *process) {
	fmt.Fprintf(w, "%d answers and %d refusals (429) in %v, %d errors; %.1f answers a second\n", r.answers, r.refused, r.took.Round(time.Second), r.failed, float64(r.answers)/r.took.Seconds())
	fmt.Fprintf(w, "server: %.1f s of processors, memory %.1f MiB early, %.1f late (%+.1f %%), %.1f at most\n", server.cpu.Seconds(), mib(early(r.resident)), mib(late(r.resident)), 100*r.growth(),
		mib(quantile(r.resident, 1)))
	fmt.Fprintf(w, "time to the first token: median %v, p99 %v, with %d waiting in the median and %d at most\n", median(r.tokens).Round(time.Millisecond),
		quantile(r.tokens, 0.99).Round(time.Millisecond), median(r.lengths), quantile(r.lengths, 1))
}

func early(list []int64) int64 { return median(list[:max(1, len(list)/5)]) }
func late(list []int64) int64  { return median(list[len(list)-max(1, len(list)/5):]) }
func mib(n int64) float64      { return float64(n) / (1 << 20) }
