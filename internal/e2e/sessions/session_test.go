package sessions

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/internal/e2e"
	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/generate"
	"pgc/runtime/imageio"
	"pgc/runtime/manifest"
	"pgc/runtime/program"
	"pgc/runtime/rgb"
	"pgc/runtime/sample"
	"pgc/runtime/tokenizer"
)

// spy is an executor that counts runs by function and changes what the host reads.
type spy struct {
	engine.Executor
	p    *program.Program
	runs map[string]int
	run  func(function string)                               // called before a run, unless nil
	read func(space program.Space, name string, data []byte) // called after a Get, unless nil
}

func (s *spy) Run(ctx context.Context, c *engine.Call) error {
	name := s.p.Funcs[c.Func].Name
	s.runs[name]++
	if s.run != nil {
		s.run(name)
	}
	return s.Executor.Run(ctx, c)
}

func (s *spy) Get(m engine.Memory, offset int64, data []byte) error {
	err := s.Executor.Get(m, offset, data)
	if s.read == nil {
		return err
	}
	switch m.Space {
	case program.SpaceState:
		s.read(m.Space, s.p.States[m.Index].Name, data)
	case program.SpaceOutput:
		s.read(m.Space, s.p.Funcs[m.Func].Outputs[m.Index].Name, data)
	}
	return err
}

// reset forgets what was counted and changes nothing from now on.
func (s *spy) reset() { s.runs, s.run, s.read = map[string]int{}, nil, nil }

// undecided makes the ids that functions chose unusable, as where a logit is NaN.
func undecided(_ program.Space, name string, data []byte) {
	if name == entry.StateNext || name == entry.StateNextBatch {
		for i := range data {
			data[i] = 0xff
		}
	}
}

// spied opens a golden checkpoint's executable on an executor that is watched.
func spied(t *testing.T, name string) (*generate.Session, *spy) {
	t.Helper()
	return watched(t, e2e.Compiled(t, name))
}

// prepared is an executable, opened, with what sessions of it need.
func prepared(t *testing.T, exe string) (image *program.Executable, m *manifest.Model, tok *tokenizer.Tokenizer, e *engine.Engine) {
	t.Helper()
	image, err := program.OpenFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { image.Close() })
	if m, err = manifest.Decode(image.Program.Model); err != nil {
		t.Fatal(err)
	}
	if tok, err = tokenizer.Load(image.Section(manifest.SectionTokenizer)); err != nil {
		t.Fatal(err)
	}
	if e, err = openOn(t, image); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return image, m, tok, e
}

// watched opens an executable on an executor that is watched.
func watched(t *testing.T, exe string) (*generate.Session, *spy) {
	t.Helper()
	image, m, tok, e := prepared(t, exe)
	x := &spy{Executor: e.Executor, p: image.Program}
	x.reset()
	s, err := generate.New(m, tok, engine.On(x, image.Program, 2))
	if err != nil {
		t.Fatal(err)
	}
	return s, x
}

func noise(t *testing.T) []*rgb.Image {
	t.Helper()
	p, err := imageio.Read(t.Context(), golden.Picture("noise.png"), imageio.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	return []*rgb.Image{p}
}

// TestStep checks which functions an answer takes: a step for each token where the choice is greedy, logits where
// something else decides or where the greatest logit settles nothing; the tokens are the same.
func TestStep(t *testing.T) {
	s, x := spied(t, "pg1-odd")
	request := generate.Request{Images: noise(t), Prompt: "caption en", MaxNewTokens: 9}
	answer := func(r generate.Request) []int32 {
		t.Helper()
		a, err := s.Generate(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return a.Tokens
	}
	expect := func(what string, runs map[string]int) {
		t.Helper()
		delete(x.runs, entry.EncodeImage)
		delete(x.runs, entry.Prefill)
		if len(x.runs) != len(runs) {
			t.Errorf("%s: functions ran %v times, expected %v", what, x.runs, runs)
		}
		for name, n := range runs {
			if x.runs[name] != n {
				t.Errorf("%s: functions ran %v times, expected %v", what, x.runs, runs)
			}
		}
		x.reset()
	}
	want := answer(request)
	n := len(want)
	expect("greedy", map[string]int{entry.Greedy: 1, entry.Step: n - 1})
	x.read = undecided
	if got := answer(request); !slices.Equal(got, want) {
		t.Errorf("by logits: tokens %v, expected %v", got, want)
	}
	expect("by logits", map[string]int{entry.Greedy: 1, entry.Step: n - 1, entry.Logits: n})
	told := request
	told.Logprobs = true
	if got := answer(told); !slices.Equal(got, want) {
		t.Errorf("with log-probabilities: tokens %v, expected %v", got, want)
	}
	expect("with log-probabilities", map[string]int{entry.Decode: n - 1, entry.Logits: n})
	drawn := request
	drawn.Sample = sample.Config{Temperature: 1, Seed: 3}
	n = len(answer(drawn))
	expect("drawn", map[string]int{entry.Decode: n - 1, entry.Logits: n})
	x.read = func(space program.Space, name string, data []byte) {
		if undecided(space, name, data); name == entry.OutLogits {
			binary.LittleEndian.PutUint32(data[4*7:], math.Float32bits(float32(math.NaN())))
		}
	}
	if _, err := s.Generate(t.Context(), request); err == nil || !strings.Contains(err.Error(), "the logit of token 7 is NaN after ") {
		t.Errorf("error %v, expected that a logit is NaN", err)
	}
	x.reset()
	ctx, cancel := context.WithCancel(t.Context())
	x.run = func(name string) {
		if name == entry.Step && x.runs[name] == 4 {
			cancel()
		}
	}
	if _, err := s.Generate(ctx, request); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, expected that the request is canceled", err)
	}
	expect("canceled", map[string]int{entry.Greedy: 1, entry.Step: 4})
	if got := answer(request); !slices.Equal(got, want) {
		t.Errorf("after a cancellation: tokens %v, expected %v", got, want)
	}
}

// TestStepBatch checks the same of several sequences.
func TestStepBatch(t *testing.T) {
	s, x := spied(t, "pg1-odd")
	x.p.MinBatch = 2
	prompts := []string{"caption en", "detect cat", "what"}
	var want [][]int32
	for _, prompt := range prompts {
		a, err := s.Generate(t.Context(), generate.Request{Images: noise(t), Prompt: prompt, MaxNewTokens: 12})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, a.Tokens)
	}
	d := generate.NewScheduler(s)
	defer d.Close()
	for _, by := range []struct {
		name string
		read func(program.Space, string, []byte)
		runs []string
		not  []string
	}{
		{"greedy", nil, []string{entry.StepBatch}, []string{entry.LogitsBatch, entry.DecodeBatch, entry.Logits}},
		{"by logits", undecided, []string{entry.StepBatch, entry.LogitsBatch}, []string{entry.DecodeBatch}},
	} {
		x.reset()
		submitted := make(chan struct{})
		x.read, x.run = by.read, func(name string) {
			if name == entry.Prefill { // no answer is complete before all are asked for
				<-submitted
			}
		}
		var jobs []*generate.Job
		for _, prompt := range prompts {
			jobs = append(jobs, d.Submit(t.Context(), generate.Request{Images: noise(t), Prompt: prompt, MaxNewTokens: 12}))
		}
		close(submitted)
		for i, j := range jobs {
			a, err := j.Wait()
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(a.Tokens, want[i]) {
				t.Errorf("%s: %s: tokens %v, expected %v", by.name, prompts[i], a.Tokens, want[i])
			}
		}
		for _, name := range by.runs {
			if x.runs[name] == 0 {
				t.Errorf("%s: %s did not run: %v", by.name, name, x.runs)
			}
		}
		for _, name := range by.not {
			if x.runs[name] != 0 {
				t.Errorf("%s: %s ran: %v", by.name, name, x.runs)
			}
		}
	}
}
