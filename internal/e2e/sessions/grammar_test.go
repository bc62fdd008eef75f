package sessions

import (
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc/internal/build"
	"pgc/internal/e2e"
	objects "pgc/runtime/boxes"
	"pgc/runtime/entry"
	"pgc/runtime/generate"
	"pgc/runtime/grammar"
	"pgc/runtime/imageio"
	"pgc/runtime/program"
	"pgc/runtime/rgb"
)

// tasks are asked of models of random weights, whose free answers are no answers.
var tasks = []grammar.Task{
	{Classes: []string{"cat"}, MaxBoxes: 3},
	{Classes: []string{"cat", "red bus", "dog"}, MaxBoxes: 2},
	{Classes: []string{"dog"}, MaxBoxes: 2, Segment: true},
	{FreeLabels: true, MaxBoxes: 2},
	{EmptyLabel: true, MaxBoxes: 3, Segment: true},
}

// asked are requests of the tasks about a picture.
func asked(t *testing.T, s *generate.Session, images []*rgb.Image, scores bool) (all []generate.Request) {
	t.Helper()
	for i, task := range tasks {
		g, err := s.Grammar(task)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, generate.Request{Images: images, Prompt: []string{"detect cat", "caption en", ""}[i%3], MaxNewTokens: min(60, g.MaxTokens()), Grammar: g, Scores: scores})
	}
	return all
}

// TestGrammar asks for boxes and masks: every token is the likeliest of those that may come, as the logits of the forward
// pass say, alone and in a batch, with scores and without, and where the likeliest of all is unknown.
func TestGrammar(t *testing.T) {
	for _, name := range []string{"pg1-odd", "pg2-odd"} {
		s, x := spied(t, name)
		x.p.MinBatch = 2
		images := noise(t)
		var want []*generate.Answer
		for i, r := range asked(t, s, images, false) {
			a, err := s.Generate(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, a)
			checkChoices(t, s, r, a)
			found, malformed := objects.Parse(a.Text, 1024, 1024)
			if len(malformed) != 0 || len(found) != len(a.Objects) || len(found) == 0 {
				t.Errorf("%s, task %d: %q has the objects %+v, malformed %v", name, i, a.Text, a.Objects, malformed)
			}
			for k, o := range a.Objects {
				if found[k].Loc != o.Loc || found[k].Label != o.Label || !slices.Equal(found[k].Seg, o.Seg) || o.Score != nil {
					t.Errorf("%s, task %d: object %+v, the text says %+v", name, i, o, found[k])
				}
			}
		}
		for _, f := range []string{entry.Span, entry.Few, entry.Rows} {
			if x.runs[f] == 0 {
				t.Errorf("%s: %s did not run: %v", name, f, x.runs)
			}
		}
		if x.runs[entry.Step] > 0 || x.runs[entry.Greedy] > 0 {
			t.Errorf("%s: whole heads: %v", name, x.runs)
		}
		x.read = undecided
		for i, r := range asked(t, s, images, false) {
			a, err := s.Generate(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			equalAnswers(t, "by logits", a, want[i])
		}
		scored := asked(t, s, images, true)
		for i := range scored {
			want[i] = wholeRows(t, s, scored[i])
		}
		x.reset()
		read := map[bool]int{} // rows of the head by whether the labels are known
		for i, r := range scored {
			a, err := s.Generate(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			equalAnswers(t, "with scores", a, want[i])
			equalScores(t, "alone", a, want[i])
			if heads := x.runs[entry.Logits] + x.runs[entry.LogitsBatch]; !r.Grammar.FreeLabels && heads > len(a.Tokens)/8+1 {
				t.Errorf("%s, task %d: the head was read %d times for %d tokens", name, i, heads, len(a.Tokens))
			}
			read[r.Grammar.FreeLabels] += x.runs[entry.LogitsBatch]
			x.reset()
		}
		if read[false] == 0 {
			t.Errorf("%s: no scores read the head for several tokens", name)
		}
		for _, scores := range []bool{false, true} {
			for i, a := range together(t, s, x, asked(t, s, images, scores)) {
				equalAnswers(t, "in a batch", a, want[i])
				if scores {
					equalScores(t, "in a batch", a, want[i])
				}
			}
		}
		x.reset()
		led := asked(t, s, images, false)[:3] // whose labels are known
		for i, a := range together(t, s, x, led) {
			equalAnswers(t, "in a batch that grammars lead", a, want[i])
		}
		if x.runs[entry.SpanBatch] == 0 || x.runs[entry.FewBatch] == 0 || x.runs[entry.LogitsBatch] > 0 || x.runs[entry.StepBatch] > 0 {
			t.Errorf("whole heads in a batch: %v", x.runs)
		}
	}
}

// wholeRows answers a request with scores token by token, each by the logits of all tokens: for the sake of log-probabilities.
func wholeRows(t *testing.T, s *generate.Session, r generate.Request) *generate.Answer {
	t.Helper()
	r.Logprobs = true
	a, err := s.Generate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// equalScores compares the scores of two answers to the bit.
func equalScores(t *testing.T, how string, got, want *generate.Answer) {
	t.Helper()
	for i, o := range got.Objects {
		if o.Score == nil || *o.Score != *want.Objects[i].Score || !(o.Score.Value >= 0 && o.Score.Value <= 1) {
			t.Errorf("%s: object %d of %q has the score %+v, by whole rows %+v", how, i, got.Text, o.Score, want.Objects[i].Score)
		}
	}
}

// together answers requests in a batch.
func together(t *testing.T, s *generate.Session, x *spy, requests []generate.Request) (answers []*generate.Answer) {
	t.Helper()
	answers, errs := attempted(t, s, x, requests)
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return answers
}

// attempted is together where requests may fail.
func attempted(t *testing.T, s *generate.Session, x *spy, requests []generate.Request) (answers []*generate.Answer, errs []error) {
	t.Helper()
	d := generate.NewScheduler(s)
	defer d.Close()
	submitted := make(chan struct{})
	x.run = func(name string) {
		if entry.Plain(name) == entry.Prefill { // no answer is complete before all are asked for
			<-submitted
		}
	}
	var jobs []*generate.Job
	for _, r := range requests {
		jobs = append(jobs, d.Submit(t.Context(), r))
	}
	close(submitted)
	for _, j := range jobs {
		a, err := j.Wait()
		answers, errs = append(answers, a), append(errs, err)
	}
	return answers, errs
}

// TestScoresOfNaN gives the head a logit that is NaN where only scores read it: the request fails, and those that share the
// batch with it go on.
func TestScoresOfNaN(t *testing.T) {
	s, x := spied(t, "pg2-odd")
	x.p.MinBatch = 2
	requests := asked(t, s, noise(t), true)[:3] // whose labels are known: nothing else reads the whole head
	want := together(t, s, x, requests)
	for _, bad := range []int{0, 5, 9} {
		x.reset()
		rows := 0
		x.read = func(_ program.Space, name string, data []byte) {
			if name == entry.OutLogits && len(data) == 4*s.Model.VocabSize {
				if rows == bad {
					binary.LittleEndian.PutUint32(data[len(data)-4:], math.Float32bits(float32(math.NaN())))
				}
				rows++
			}
		}
		if bad == 0 {
			if _, err := s.Generate(t.Context(), requests[0]); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("the logit of token %d is NaN after ", s.Model.VocabSize-1)) {
				t.Errorf("alone: %v", err)
			}
			rows = 0
		}
		answers, errs := attempted(t, s, x, requests)
		failed := 0
		for i, a := range answers {
			if errs[i] != nil {
				if failed++; !strings.Contains(errs[i].Error(), "is NaN after ") {
					t.Error(errs[i])
				}
				continue
			}
			equalAnswers(t, "beside one that failed", a, want[i])
			equalScores(t, "beside one that failed", a, want[i])
		}
		if failed != 1 || rows <= bad {
			t.Errorf("%d requests failed by row %d of %d", failed, bad, rows)
		}
	}
}

// TestGrammarOf gives answers of adapters, and of an emulated GPU, the same tokens whichever way they are computed: with
// all logits and token by token, with parts of them and several tokens at once, and in a batch.
func TestGrammarOf(t *testing.T) {
	for _, c := range []struct {
		exe      string
		adapters int
		tasks    []int
		most     int
	}{
		{e2e.WithAdapters(t), 3, []int{0, 1, 2, 0, 1}, 60},
		{e2e.CompiledWith(t, "pg1-bf16", build.Options{Target: "cuda"}), 0, []int{0, 2, 1}, 24},
	} {
		s, x := watched(t, c.exe)
		var requests []generate.Request
		var want []*generate.Answer
		for i, n := range c.tasks {
			r := asked(t, s, noise(t), true)[n]
			r.MaxNewTokens, r.Adapter = min(r.MaxNewTokens, c.most), i%(c.adapters+1)
			a, err := s.Generate(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			equalScores(t, filepath.Base(c.exe), a, wholeRows(t, s, r))
			want, requests = append(want, a), append(requests, r)
			r.Scores = false
			b, err := s.Generate(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			equalAnswers(t, "without scores", b, a)
		}
		for i, a := range together(t, s, x, requests) {
			equalAnswers(t, "in a batch", a, want[i])
			equalScores(t, "in a batch", a, want[i])
		}
		if x.runs[entry.Rows] == 0 || x.runs[entry.Span] == 0 || x.runs[entry.SpanBatch] == 0 {
			t.Errorf("%s: %v", filepath.Base(c.exe), x.runs)
		}
	}
}

func equalAnswers(t *testing.T, how string, got, want *generate.Answer) {
	t.Helper()
	if !slices.Equal(got.Tokens, want.Tokens) || got.Text != want.Text || got.FinishReason != want.FinishReason {
		t.Errorf("%s: %q, %s, alone %q, %s", how, got.Text, got.FinishReason, want.Text, want.FinishReason)
	}
}

// checkChoices compares the tokens of an answer with the likeliest that a grammar allows, by the logits of a forward pass
// over prompt and answer.
func checkChoices(t *testing.T, s *generate.Session, r generate.Request, a *generate.Answer) {
	t.Helper()
	p, err := s.Layout(len(r.Images), r.Prompt, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	first := len(p.IDs) - 1
	p.IDs = append(p.IDs, a.Tokens...)
	if err := s.Hidden(t.Context(), p, r.Images); err != nil {
		t.Fatal(err)
	}
	m := r.Grammar.Matcher(min(r.MaxNewTokens, s.Model.MaxTokens-a.PromptTokens), false)
	err = s.Logits(t.Context(), first, len(p.IDs)-1, func(at int, logits []float32) error {
		for ; len(logits) > 0; logits, at = logits[s.Model.VocabSize:], at+1 {
			row, got := logits[:s.Model.VocabSize], a.Tokens[at-first]
			if best := m.Best(row); got != best && !(row[best]-row[got] < 1e-4) || !m.Allows(got) {
				t.Errorf("token %d of %q is %d, expected %d", at-first, a.Text, got, best)
			}
			m.Take(got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !m.Done() || m.Cut() != (a.FinishReason == "length") {
		t.Errorf("%q, %s, is done: %v, cut: %v", a.Text, a.FinishReason, m.Done(), m.Cut())
	}
}

// TestWellFormed asks the demo for what it locates anyway: with a grammar of the prompt's class, answers that were well
// formed have the same tokens.
func TestWellFormed(t *testing.T) {
	demo, rows := e2e.DemoAnswers(t)
	compared := 0
	for _, checkpoint := range []string{"paligemma-demo", "paligemma2-demo"} {
		exe := filepath.Join(t.TempDir(), checkpoint)
		e2e.CompileTo(t, exe, filepath.Join(demo, checkpoint))
		s := session(t, exe)
		for _, r := range rows {
			text, ok := strings.CutPrefix(r.Prompt, "detect ")
			classes := strings.Split(text, " ; ")
			if r.Checkpoint != checkpoint || !ok {
				continue
			}
			g, err := s.Grammar(grammar.Task{Classes: classes, MaxBoxes: 20})
			if err != nil {
				t.Fatal(err)
			}
			image, err := imageio.Read(t.Context(), filepath.Join(demo, "pictures", r.Image), imageio.DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			request := generate.Request{Images: []*rgb.Image{image}, Prompt: r.Prompt, MaxNewTokens: 60}
			free, err := s.Generate(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			request.Grammar, request.Scores = g, true
			a, err := s.Generate(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			if found, malformed := objects.Parse(free.Text, 1, 1); len(malformed) > 0 || len(found) == 0 || slices.ContainsFunc(found, func(b objects.Box) bool { return !slices.Contains(classes, b.Label) }) {
				continue
			}
			compared++
			equalAnswers(t, r.Image+" "+r.Prompt, a, free)
			for _, o := range a.Objects {
				if o.Score.Value < 0.3 {
					t.Errorf("%s: %q has the score %+v", r.Image, a.Text, o.Score)
				}
			}
		}
	}
	t.Logf("%d answers compared", compared)
	if compared < 10 {
		t.Errorf("only %d answers compared", compared)
	}
}

// session opens an executable.
func session(t *testing.T, exe string) *generate.Session {
	t.Helper()
	_, m, tok, e := prepared(t, exe)
	s, err := generate.New(m, tok, e)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
