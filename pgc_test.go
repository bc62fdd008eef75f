package pgc_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgc"
	"pgc/codegen/cpu/cputest"
	"pgc/golden"
	"pgc/internal/e2e"
	"pgc/runtime/native"
)

// folder holds the executables of these tests.
var folder string

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "pgc"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := cputest.Main(m)
	os.RemoveAll(folder)
	os.Exit(code)
}

// captioner is the executable of a golden checkpoint, demo that of the demo.
var (
	captioner = compiled(filepath.Join(golden.Dir(), "pg1-odd"))
	demo      = compiled(filepath.Join(golden.Dir(), "../models/paligemma/demo/paligemma-demo"))
)

// baseline is an instruction set that every machine of the architecture has.
var baseline = map[string]string{"amd64": "x86-64-v3", "arm64": "armv8-a"}[runtime.GOARCH]

// compiled returns a function that compiles a checkpoint once and returns the executable's path.
func compiled(checkpoint string) func() string {
	return sync.OnceValue(func() string {
		exe := filepath.Join(folder, filepath.Base(checkpoint))
		if err := e2e.CompileFor(baseline, checkpoint, exe); err != nil {
			panic(err)
		}
		return exe
	})
}

func open(t *testing.T, opts ...pgc.Option) *pgc.Model {
	t.Helper()
	m, err := pgc.Open(captioner(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func picture(name string) pgc.Image {
	return pgc.File(filepath.Join(golden.Dir(), "pictures", name+".png"))
}

// requests are about different images and prompts, of different lengths, greedy and drawn.
func requests() []pgc.Request {
	var out []pgc.Request
	for i, image := range []string{"shapes", "noise", "shapes", "wide", "grey", "alpha"} {
		for n := range 2 {
			r := pgc.Request{Images: []pgc.Image{picture(image)}, Prompt: strings.Repeat("word ", i+n)}
			r.MaxNewTokens = new(3 + 2*i + n)
			if i%3 == 1 {
				r.Temperature, r.Seed = new(1.5), uint64(i)
			}
			r.Logprobs = n == 1
			out = append(out, r)
		}
	}
	return out
}

// same compares all of two answers but the times.
func same(a, b *pgc.Answer) bool {
	x, y := *a, *b
	x.Timings, y.Timings = pgc.Timings{}, pgc.Timings{}
	return reflect.DeepEqual(x, y)
}

// answers are those of requests, one after the other.
func answers(t *testing.T, m *pgc.Model, list []pgc.Request) []*pgc.Answer {
	t.Helper()
	out := make([]*pgc.Answer, len(list))
	for i, r := range list {
		var err error
		if out[i], err = m.Generate(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestBatchEqualsGenerate(t *testing.T) {
	m := open(t, pgc.WithThreads(2))
	list := requests()
	want := answers(t, m, list)
	n := 0
	for got, err := range m.Batch(t.Context(), slices.Values(list)) {
		if err != nil || !same(got, want[n]) {
			t.Fatalf("request %d: %+v, %v, expected %+v", n, got, err, want[n])
		}
		n++
	}
	if n != len(list) {
		t.Fatalf("%d answers, expected %d", n, len(list))
	}
}

// A request that cannot be answered fails alone, in its place.
func TestBatchErrors(t *testing.T) {
	m := open(t)
	list := requests()[:5]
	list[1].Images = []pgc.Image{pgc.File("no such file.png")}
	list[2].Images = nil
	list[3].Images = []pgc.Image{{}}
	list[4].Prompt = strings.Repeat("many words ", 500)
	var got []string
	for a, err := range m.Batch(t.Context(), slices.Values(list)) {
		switch {
		case err != nil:
			got = append(got, err.Error())
		default:
			got = append(got, fmt.Sprint(len(a.Tokens)))
		}
	}
	words := []string{"3", "no such file", "image", "zero Image", "KV cache holds 311"}
	for i, w := range words {
		if i >= len(got) || !strings.Contains(got[i], w) {
			t.Errorf("answers %q, expected number %d to say %q", got, i, w)
		}
	}
}

// TestBatchWaitsForMemory: an image for which there is too little memory is read again while others hold some; if there is
// too little when nobody does, the error is that request's alone. The test itself holds some, until it has seen both wait.
func TestBatchWaitsForMemory(t *testing.T) {
	m := open(t)
	file, err := os.ReadFile(filepath.Join(golden.Dir(), "pictures", "noise.png"))
	if err != nil {
		t.Fatal(err)
	}
	held, release := make(chan struct{}), make(chan struct{})
	fitted := make(chan error, 1)
	go func() {
		_, err := m.Fit(t.Context(), pgc.Lazy("held", func(context.Context) ([]byte, error) {
			close(held)
			<-release
			return file, nil
		}))
		fitted <- err
	}()
	<-held
	list, times := requests()[:4], map[int]int{}
	for i, most := range map[int]int{1: 1, 2: 1 << 30} {
		list[i].Images = []pgc.Image{pgc.Lazy("scarce", func(context.Context) ([]byte, error) {
			if times[i]++; i == 2 && times[i] == 1 {
				close(release)
			}
			if times[i] <= most {
				return nil, fmt.Errorf("image scarce: %w", native.ErrMemory)
			}
			return file, nil
		})}
	}
	n := 0
	for a, err := range m.Batch(t.Context(), slices.Values(list)) {
		if failed := n == 2; failed != errors.Is(err, native.ErrMemory) || failed != (a == nil) {
			t.Errorf("answer %d is %v, %v", n, a, err)
		}
		n++
	}
	if err := <-fitted; err != nil {
		t.Error(err)
	}
	if n != 4 || times[1] != 2 || times[2] < 2 {
		t.Errorf("%d answers; the images were read %v times, expected 4 and twice at least", n, times)
	}
}

// Calls from many goroutines whose pictures do not fit at the same time wait for each other; the one that does not fit alone
// fails, and holds up nobody.
func TestCallsWaitForMemory(t *testing.T) {
	m := open(t)
	file, err := os.ReadFile(filepath.Join(golden.Dir(), "pictures", "noise.png"))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	held := 0
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			r := requests()[0]
			r.Images = []pgc.Image{pgc.Lazy("scarce", func(context.Context) ([]byte, error) {
				mu.Lock()
				fits := held == 0 && i > 0
				if fits {
					held++
				}
				mu.Unlock()
				if !fits {
					return nil, fmt.Errorf("image scarce: %w", native.ErrMemory)
				}
				time.Sleep(5 * time.Millisecond)
				mu.Lock()
				held--
				mu.Unlock()
				return file, nil
			})}
			_, err := m.Generate(t.Context(), r)
			if failed := i == 0; failed != errors.Is(err, native.ErrMemory) || !failed && err != nil {
				t.Errorf("request %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

// An image that is fitted to a model has the answer of the one that it was made from, boxes included, and cannot be drawn on.
func TestFit(t *testing.T) {
	m := open(t)
	r := requests()[3]
	want, err := m.Generate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	fitted, err := m.Fit(t.Context(), r.Images[0])
	if err != nil {
		t.Fatal(err)
	}
	if again, err := m.Fit(t.Context(), fitted); err != nil || again == fitted {
		t.Errorf("fitted again: %v", err)
	}
	r.Images = []pgc.Image{fitted}
	if got, err := m.Generate(t.Context(), r); err != nil || !same(got, want) {
		t.Errorf("%+v, %v, expected %+v", got, err, want)
	}
	if _, err := pgc.Draw(t.Context(), fitted, nil); err == nil || !strings.Contains(err.Error(), "fitted") {
		t.Errorf("%v, expected that a fitted image cannot be drawn on", err)
	}
}

// Answers come while the next request is still awaited.
func TestBatchStreams(t *testing.T) {
	m := open(t)
	list := requests()[:3]
	answered := make(chan struct{})
	source := func(yield func(pgc.Request) bool) {
		for _, r := range list {
			if !yield(r) {
				return
			}
			select {
			case <-answered:
			case <-time.After(time.Minute):
				t.Error("no answer to a request before the next one was given")
			}
		}
	}
	for _, err := range m.Batch(t.Context(), source) {
		if err != nil {
			t.Fatal(err)
		}
		answered <- struct{}{}
	}
}

func TestBatchEndsEarly(t *testing.T) {
	m := open(t)
	var endless iter.Seq[pgc.Request] = func(yield func(pgc.Request) bool) {
		for yield(requests()[0]) {
		}
	}
	n := 0
	for _, err := range m.Batch(t.Context(), endless) {
		if n++; err != nil || n == 3 {
			break
		}
	}
	answers(t, m, requests()[:1]) // the model goes on
}

func TestStream(t *testing.T) {
	m := open(t)
	for i, r := range requests() {
		want := answers(t, m, []pgc.Request{r})[0]
		var text strings.Builder
		var ids []int32
		for tok, err := range m.Stream(t.Context(), r) {
			if err != nil {
				t.Fatal(err)
			}
			text.WriteString(tok.Text)
			ids = append(ids, tok.ID)
			if r.Logprobs && tok.Logprob != want.Logprobs[len(ids)-1] {
				t.Errorf("request %d: token %d has the log-probability %v, expected %v", i, len(ids), tok.Logprob, want.Logprobs[len(ids)-1])
			}
		}
		if text.String() != want.Text || !slices.Equal(ids, want.Tokens) {
			t.Errorf("request %d: %q %v, expected %q %v", i, text.String(), ids, want.Text, want.Tokens)
		}
	}
	for range m.Stream(t.Context(), requests()[9]) {
		break
	}
	for _, err := range m.Stream(t.Context(), pgc.Request{}) {
		if err == nil {
			t.Error("an empty request has a token")
		}
	}
}

// Many goroutines ask and cancel at random: those that do not get the answers of single runs, and nothing is left
// behind.
func TestConcurrentUse(t *testing.T) {
	goroutines, threads := runtime.NumGoroutine(), tasks(t)
	m, err := pgc.Open(captioner(), pgc.WithThreads(2))
	if err != nil {
		t.Fatal(err)
	}
	list := requests()
	want := answers(t, m, list)
	deadline := time.Now().Add(2 * time.Second)
	var wg sync.WaitGroup
	var mu sync.Mutex
	answered, canceled := 0, 0
	for g := range 8 {
		rng := rand.New(rand.NewPCG(uint64(g), 1))
		wg.Go(func() {
			for time.Now().Before(deadline) {
				i := rng.IntN(len(list))
				ctx, cancel := context.WithCancel(t.Context())
				if rng.IntN(2) == 0 {
					time.AfterFunc(time.Duration(rng.IntN(5000))*time.Microsecond, cancel)
				}
				a, err := m.Generate(ctx, list[i])
				mu.Lock()
				switch {
				case errors.Is(err, context.Canceled):
					canceled++
				case err != nil:
					t.Error(err)
				case !same(a, want[i]):
					t.Errorf("request %d: %+v, expected %+v", i, a, want[i])
				default:
					answered++
				}
				mu.Unlock()
				cancel()
			}
		})
	}
	wg.Wait()
	t.Logf("%d answered, %d canceled", answered, canceled)
	if answered == 0 || canceled == 0 {
		t.Error("expected some of both")
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	for range 100 {
		if runtime.NumGoroutine() <= goroutines && tasks(t) <= threads+4 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines and %d threads are left, expected %d and about %d", runtime.NumGoroutine(), tasks(t), goroutines, threads)
}

// tasks counts the threads of this process.
func tasks(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestCloseEndsRequests(t *testing.T) {
	m, err := pgc.Open(captioner())
	if err != nil {
		t.Fatal(err)
	}
	r := requests()[0]
	r.MaxNewTokens = new(200)
	done := make(chan error)
	for range 4 {
		go func() {
			_, err := m.Generate(context.Background(), r)
			done <- err
		}()
	}
	time.Sleep(time.Millisecond)
	for range 2 {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	for range 4 {
		if err := <-done; err != nil && !errors.Is(err, pgc.ErrClosed) {
			t.Errorf("%v, expected %v", err, pgc.ErrClosed)
		}
	}
	if _, err := m.Generate(t.Context(), r); !errors.Is(err, pgc.ErrClosed) {
		t.Errorf("%v, expected %v", err, pgc.ErrClosed)
	}
}

func TestOpenErrors(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		opts []pgc.Option
		says string
	}{
		{"no such file", nil, "no such file"},
		{text, nil, "text"},
		{captioner(), []pgc.Option{pgc.WithThreads(0)}, "0 threads"},
		{captioner(), []pgc.Option{pgc.WithISA("z80")}, "z80"},
	} {
		if _, err := pgc.Open(c.path, c.opts...); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, expected an error that says %q", c.path, err, c.says)
		}
	}
}
