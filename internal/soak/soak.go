package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"pgc"
)

// soak runs an executable.
type soak struct{ file, picture string }

// samples is how many samples a series has at most, and workers how many goroutines ask.
const (
	samples = 500
	workers = 4
)

// every calls do for 0 … n-1, and takes samples.
func every(ctx context.Context, n int, take func() (sample, error), do func(i int) error) (*series, error) {
	s := &series{list: make([]sample, 0, samples)}
	for i := range n {
		if err := errors.Join(ctx.Err(), do(i)); err != nil {
			return nil, fmt.Errorf("after %d: %w", i, err)
		}
		if (i+1)*samples/n > i*samples/n || n <= samples {
			one, err := take()
			if err != nil {
				return nil, err
			}
			s.list = append(s.list, one)
		}
	}
	return s, nil
}

// answers asks one model, of every kind of request in turn, and compares answers of a kind.
func (s *soak) answers(ctx context.Context, n int) (*series, error) {
	m, err := pgc.Open(s.file)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	data, err := os.ReadFile(s.picture)
	if err != nil {
		return nil, err
	}
	shared := pgc.File(s.picture)
	few, warm, ended := 2, 1.0, func() context.Context { c, cancel := context.WithCancel(ctx); cancel(); return c }()
	ask := func(ctx context.Context, r pgc.Request) string {
		a, err := m.Generate(ctx, r)
		if err != nil {
			return "error: " + err.Error()
		}
		return fmt.Sprint(a.Text, a.Tokens, a.Logprobs)
	}
	greedy := pgc.Settings{MaxNewTokens: &few}
	kinds := []func() string{
		func() string {
			return ask(ctx, pgc.Request{Images: []pgc.Image{shared}, Prompt: "caption en", Settings: greedy})
		},
		func() string {
			return ask(ctx, pgc.Request{Images: []pgc.Image{pgc.Bytes(data)}, Prompt: "detect cat", Settings: greedy})
		},
		func() string {
			return ask(ctx, pgc.Request{Images: []pgc.Image{pgc.File(s.picture)}, Prompt: "", Settings: pgc.Settings{MaxNewTokens: &few, Temperature: &warm, Seed: 7, Logprobs: true}})
		},
		func() string {
			return ask(ctx, pgc.Request{Images: []pgc.Image{shared, shared}, Prompt: "x", Settings: greedy})
		},
		func() string {
			return ask(ctx, pgc.Request{Images: []pgc.Image{pgc.File("/nonexistent")}, Prompt: "x"})
		},
		func() string {
			return ask(ctx, pgc.Request{Images: []pgc.Image{pgc.Bytes(data[:len(data)/2])}, Prompt: "x"})
		},
		func() string {
			return ask(ended, pgc.Request{Images: []pgc.Image{shared}, Prompt: "x", Settings: greedy})
		},
	}
	var mu sync.Mutex
	first := map[int]string{}
	one := func(i int) error {
		kind := i % len(kinds)
		got := kinds[kind]()
		mu.Lock()
		defer mu.Unlock()
		if want, ok := first[kind]; ok && got != want {
			return fmt.Errorf("answer %d is %.200q, the first of its kind was %.200q", i, got, want)
		}
		first[kind] = got
		return nil
	}
	return every(ctx, n/workers, here, func(round int) error {
		var all sync.WaitGroup
		var wrong [workers]error
		for w := range workers {
			all.Go(func() { wrong[w] = one(round*workers + w) })
		}
		all.Wait()
		return errors.Join(wrong[:]...)
	})
}

// opens opens the executable, asks, and closes it.
func (s *soak) opens(ctx context.Context, n int) (*series, error) {
	few := 1
	return every(ctx, n, here, func(int) error {
		m, err := pgc.Open(s.file)
		if err != nil {
			return err
		}
		_, err = m.Generate(ctx, pgc.Request{Images: []pgc.Image{pgc.File(s.picture)}, Prompt: "x", Settings: pgc.Settings{MaxNewTokens: &few}})
		return errors.Join(err, m.Close())
	})
}

// processes runs the executable again and again. A sample is the mean of the most memory that runs had resident; what
// they leave is counted at the end.
func (s *soak) processes(ctx context.Context, n int) (*series, error) {
	dir, err := os.MkdirTemp("", "pgc-soak-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var first string
	var sum, runs int64 // since the last sample
	mean := func() (sample, error) {
		s := sample{memory: sum / runs}
		sum, runs = 0, 0
		return s, nil
	}
	list, err := every(ctx, n, mean, func(int) error {
		cmd := exec.CommandContext(ctx, s.file, "generate", "--image", s.picture, "--prompt", "x", "--max-new-tokens", "2", "--json")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+dir, "XDG_CACHE_HOME="+os.DevNull)
		out, err := cmd.Output()
		if err != nil {
			return err
		}
		var got struct {
			Text   string
			Tokens []int
			Peak   int64 `json:"peak_rss_bytes"` // the system's own count includes the process that started it
		}
		if err := json.Unmarshal(out, &got); err != nil {
			return err
		}
		sum, runs = sum+got.Peak, runs+1
		answer := fmt.Sprint(got.Text, got.Tokens)
		if first == "" {
			first = answer
		}
		if answer != first {
			return fmt.Errorf("the answer is %q, the first was %q", answer, first)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if len(entries) > 0 {
		list.left = fmt.Sprintf("files are left: %v", entries)
	}
	if _, e := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); e != syscall.ECHILD {
		list.left += " processes are left"
	}
	return list, err
}
