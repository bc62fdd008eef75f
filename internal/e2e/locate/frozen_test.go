package locate

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc"
	"pgc/checkpoint/hf"
	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/process"
)

// answered is what detect --json prints, as far as it is compared.
type answered struct {
	Boxes []struct {
		Label string
		Score float64
		Box   [4]float64
		Loc   [4]int
		Seg   []int
	}
	Text       string
	Vocabulary *pgc.Kept `json:"score_vocabulary"`
}

func (f answered) objects() string {
	text := f.Text
	for _, b := range f.Boxes {
		text += fmt.Sprint(b.Label, b.Box, b.Loc, b.Seg)
	}
	return text
}

// TestFrozen builds tasks and prompts into the demo's executables: their answers are those that the whole executable
// gives to the same prompts, also where the vocabulary was cut, and with a whole one the scores are, too.
func TestFrozen(t *testing.T) {
	demo, rows := e2e.DemoAnswers(t)
	var pictures []string
	for _, r := range rows {
		if path := filepath.Join(demo, "pictures", r.Image); !slices.Contains(pictures, path) {
			pictures = append(pictures, path)
		}
	}
	pictures = pictures[:6]
	const task, classes = "detect boat,umbrella ; dog", "boat ; umbrella ; dog"
	dir := t.TempDir()
	compile := func(name, checkpoint string, o build.Options) (string, *build.Report) {
		t.Helper()
		exe := filepath.Join(dir, name)
		o.CPU, o.MaxTokens = "x86-64-v3", 311
		r := e2e.Build(t, exe, filepath.Join(demo, checkpoint), e2e.Runtime(t), o)
		return exe, r
	}
	for _, c := range []struct {
		checkpoint string
		storage    build.Storage
	}{{"paligemma-demo", build.Storage{}}, {"paligemma2-demo", build.Storage{Weights: "int8"}}} {
		whole, r := compile("whole", c.checkpoint, build.Options{Storage: c.storage})
		if r.Frozen != nil {
			t.Errorf("nothing is built in, but %+v is reported", r.Frozen)
		}
		want := e2e.Lines[answered](t, e2e.MustRun(t, whole, slices.Concat([]string{"detect"}, pictures, []string{classes, "--format", "json", "--min-score", "0"})...))
		one, r := compile("one", c.checkpoint, build.Options{Storage: c.storage, Frozen: build.Frozen{Task: []string{task}}})
		if f := r.Frozen; f.Vocabulary >= f.VocabularyBefore || r.WeightBytes >= f.WeightBytesBefore || f.BytesPerToken >= f.BytesPerTokenBefore || f.Prompts[0] != "detect "+classes {
			t.Errorf("%s: %+v, %d bytes of weights", c.checkpoint, f, r.WeightBytes)
		}
		kept, _ := compile("kept", c.checkpoint, build.Options{Storage: c.storage, Frozen: build.Frozen{Task: []string{task}, KeepVocabulary: true}})
		for exe, over := range map[string]*pgc.Kept{one: {Tokens: r.Frozen.Vocabulary, Of: r.Frozen.VocabularyBefore}, kept: nil} {
			got := e2e.Lines[answered](t, e2e.MustRun(t, exe, append(slices.Clone(pictures), "--json", "--min-score", "0")...))
			objects := 0
			for i := range want {
				objects += len(want[i].Boxes)
				if got[i].objects() != want[i].objects() || (over == nil) != (got[i].Vocabulary == nil) || over != nil && *got[i].Vocabulary != *over {
					t.Errorf("%s %s: %+v, expected %+v", exe, pictures[i], got[i], want[i])
				}
				for k := range want[i].Boxes {
					if a, b := got[i].Boxes[k].Score, want[i].Boxes[k].Score; over == nil && a != b || a < b-1e-6 {
						t.Errorf("%s %s: score %v, all tokens give %v", exe, pictures[i], a, b)
					}
				}
			}
			if objects < 4 {
				t.Errorf("%d objects compared", objects)
			}
		}
		if c.storage.Weights != "" {
			continue // several prompts, and texts, have nothing to do with the storage
		}
		several, _ := compile("several", c.checkpoint, build.Options{Storage: c.storage, Frozen: build.Frozen{Task: []string{task}, Prompt: []string{"caption en", "ocr"}}})
		lines := strings.Split(strings.TrimSuffix(string(e2e.MustRun(t, several, append(slices.Clone(pictures), "--min-score", "0")...)), "\n"), "\n")
		var expected []string
		for i, p := range pictures {
			text := want[i].Text
			if text == "" {
				text = "no boat, no umbrella, no dog"
			}
			expected = append(expected, text)
			for _, prompt := range []string{"caption en", "ocr"} {
				expected = append(expected, strings.TrimSuffix(string(e2e.MustRun(t, whole, p, prompt)), "\n"))
			}
		}
		if !slices.Equal(lines, expected) {
			t.Errorf("%s: lines %q, expected %q", c.checkpoint, lines, expected)
		}
		var a, b e2e.Reply
		if err := json.Unmarshal(e2e.MustRun(t, whole, "generate", "--image", pictures[0], "--prompt", "ocr", "--json"), &a); err != nil {
			t.Fatal(err)
		}
		text, _ := compile("text", c.checkpoint, build.Options{Storage: c.storage, Frozen: build.Frozen{Prompt: []string{"ocr"}}})
		if err := json.Unmarshal(e2e.MustRun(t, text, pictures[0], "--json"), &b); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(a.Tokens, b.Tokens) || a.Text != b.Text || a.PromptTokens != b.PromptTokens {
			t.Errorf("%+v, the whole executable says %+v", b, a)
		}
		frozenMisuse(t, one, text, pictures[0])
	}
}

// frozenMisuse asks executables with prompts of their own for something else.
func frozenMisuse(t *testing.T, one, text, picture string) {
	t.Helper()
	for _, c := range []struct {
		exe  string
		args []string
		want string // on stderr, with the status of wrong usage
	}{
		{one, []string{"forward", "--image", picture}, "forward is not a command of an executable with prompts of its own, expected answer, serve, merge, tokenize, info, help"},
		{one, []string{picture, "--free-labels"}, "free_labels is given, but the executable has labels of its own: compile without --task for others"},
		{one, []string{picture, "--masks", "x"}, "--masks is given, but the task that is built in is detect, expected one to segment"},
		{text, []string{picture, "--format", "coco"}, "--format is for an executable with one task, this one has 1 prompt, expected --json at most"},
		{text, []string{picture, "--min-score", "0.5"}, "a setting of objects such as --min-score is given, but no task is built in, expected --json at most"},
		{text, []string{picture, "--free-labels"}, "free_labels is given, but the executable has labels of its own"},
		{one, []string{picture, "--box-scale", "0"}, "box_scale is 0, expected 1024 or 1023"},
		{one, []string{picture, "--json", "--format", "tsv"}, "--json and --format tsv are given, expected one of them"},
	} {
		out, err := exec.Command(c.exe, c.args...).CombinedOutput()
		var status *exec.ExitError
		if !errors.As(err, &status) || status.ExitCode() != 2 || !strings.Contains(string(out), c.want) || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%v: %v, %s", c.args, err, out)
		}
	}
	m, err := pgc.Open(one)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	image := pgc.File(picture)
	if _, err := m.Generate(t.Context(), pgc.Request{Images: []pgc.Image{image}, Prompt: "caption en"}); err == nil || !strings.Contains(err.Error(), `answers "detect boat ; umbrella ; dog" only`) {
		t.Error(err)
	}
	if _, err := m.Detect(t.Context(), pgc.DetectRequest{Image: image, Classes: []string{"cat"}}); err == nil || !strings.Contains(err.Error(), "only, expected no other prompt") {
		t.Error(err)
	}
	d, err := m.Detect(t.Context(), pgc.DetectRequest{Image: image, Classes: []string{"dog"}})
	if err != nil || d.Vocabulary == nil {
		t.Errorf("one of its classes: %+v, %v", d, err)
	}
	a, err := m.Generate(t.Context(), pgc.Request{Images: []pgc.Image{image}, Prompt: "detect boat ; umbrella ; dog"})
	if err != nil || len(a.Malformed) > 0 {
		t.Errorf("its prompt: %+v, %v", a, err)
	}
	if _, err := m.Forward(t.Context(), pgc.ForwardRequest{Images: []pgc.Image{image}, Prompt: "detect boat"}); err == nil || !strings.Contains(err.Error(), "expected no other prompt") {
		t.Error(err)
	}
}

// TestFrozenAdapters builds a task into executables that keep adapters: with each of them answers are those of the executable
// without a task. The vocabulary is cut unless an adapter has a row a token, of which a note tells.
func TestFrozenAdapters(t *testing.T) {
	whole, picture := e2e.WithAdapters(t), golden.Picture("noise.png")
	settings := []string{"--min-score", "0", "--max-boxes", "3"}
	for _, only := range []string{"linear", ""} {
		kept := e2e.Adapters(t)
		if only != "" {
			kept = slices.DeleteFunc(kept, func(k hf.Kept) bool { return k.Name != only })
		}
		exe := filepath.Join(t.TempDir(), "exe")
		o := build.Options{CPU: "x86-64-v3", MaxTokens: 311, Adapters: kept, Frozen: build.Frozen{Task: []string{"detect cat ; dog"}, Prompt: []string{"ocr"}}}
		if only != "" {
			o.Frozen.Prompt = nil
		}
		r := e2e.Build(t, exe, filepath.Join(golden.Dir(), "pg2-odd"), e2e.Runtime(t), o)
		const note = "all tokens of the vocabulary are kept, since adapter "
		told := slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, note) })
		if cut := r.Frozen.Vocabulary < r.Frozen.VocabularyBefore; cut != (only != "") || told == cut {
			t.Errorf("adapters %v: %+v, notes %q", kept, r.Frozen, r.Notes)
		}
		for _, k := range append(kept, hf.Kept{}) {
			adapter := append(slices.Clone(settings), "--json")
			if k.Name != "" {
				adapter = append(adapter, "--adapter", k.Name)
			}
			detect := slices.Concat([]string{"detect", picture, "cat ; dog", "--format", "json"}, slices.DeleteFunc(slices.Clone(adapter), func(a string) bool { return a == "--json" }))
			want := e2e.Lines[answered](t, e2e.MustRun(t, whole, detect...))[0]
			got := e2e.Lines[answered](t, e2e.MustRun(t, exe, append([]string{picture}, adapter...)...))
			if got[0].objects() != want.objects() {
				t.Errorf("adapter %q: %s, without a task %s", k.Name, got[0].objects(), want.objects())
			}
			if only != "" || k.Name == "" {
				continue
			}
			text := process.Line(strings.TrimSuffix(string(e2e.MustRun(t, whole, picture, "ocr", "--adapter", k.Name)), "\n")) + "\n"
			if lines := strings.SplitAfter(string(e2e.MustRun(t, exe, slices.Concat([]string{picture, "--adapter", k.Name}, settings)...)), "\n"); lines[1] != text {
				t.Errorf("adapter %q: ocr %q, without a task %q", k.Name, lines[1], text)
			}
		}
		code, _, stderr := e2e.Printed(exe, picture, "--adapter", "none")
		if code == 0 || !strings.Contains(stderr, `no adapter is called "none"`) {
			t.Errorf("an unknown adapter: status %d, %s", code, stderr)
		}
	}
}

// TestFrozenGPU asks an emulated GPU for what is built in, with the vocabulary cut and whole.
func TestFrozenGPU(t *testing.T) {
	var texts []string
	for _, keep := range []bool{false, true} {
		exe := filepath.Join(t.TempDir(), "exe")
		o := build.Options{Target: "cuda", MaxTokens: 311, Frozen: build.Frozen{Task: []string{"segment cat"}, KeepVocabulary: keep}}
		e2e.Build(t, exe, filepath.Join(golden.Dir(), "pg1-bf16"), e2e.Runtime(t), o)
		none, most := 0.0, 1
		d, err := e2e.OnGPU(t, exe).Detect(t.Context(), pgc.DetectRequest{Image: pgc.File(golden.Picture("noise.png")), Classes: []string{"cat"}, Segment: true,
			DetectSettings: pgc.DetectSettings{MinScore: &none, MaxBoxes: &most}})
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, d.Text)
	}
	if texts[0] != texts[1] || texts[0] == "" {
		t.Errorf("answers %q", texts)
	}
}

// TestFrozenWithoutMasks says once that a task to segment has no decoder of masks, also among others.
func TestFrozenWithoutMasks(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "exe")
	o := build.Options{CPU: "x86-64-v3", MaxTokens: 311, Frozen: build.Frozen{Task: []string{"segment cat", "segment dog"}, Prompt: []string{"ocr"}}}
	e2e.Build(t, exe, filepath.Join(golden.Dir(), "pg1-bf16"), e2e.Runtime(t), o)
	for _, args := range [][]string{nil, {"--json"}} {
		code, out, stderr := e2e.Printed(exe, append([]string{golden.Picture("noise.png"), golden.Picture("grey.png"), "--max-boxes", "1", "--no-scores"}, args...)...)
		if code != 0 || strings.Count(out, "\n") != 6 || strings.Count(stderr, "warning: "+pgc.ErrNoMasks.Error()+"\n") != 1 {
			t.Errorf("%v: status %d, %s%s", args, code, out, stderr)
		}
	}
}

// TestFrozenErrors refuses what cannot be built in, and writes nothing.
func TestFrozenErrors(t *testing.T) {
	small := golden.Copy(t, "pg1-odd")
	out := filepath.Join(t.TempDir(), "exe")
	for want, c := range map[string]struct {
		checkpoint string
		frozen     build.Frozen
	}{
		`Task "caption en" is no task: expected one such as 'detect cat ; dog' or 'segment cat'; another text is a prompt`: {small, build.Frozen{Task: []string{"caption en"}}},
		`Task "detect": no class is named, expected some such as 'cat ; dog'`:                                              {small, build.Frozen{Task: []string{"detect"}}},
		`KeepVocabulary is given without a task or a prompt, expected one`:                                                 {small, build.Frozen{KeepVocabulary: true}},
		`Task is given for a model that makes embeddings, expected one that generates text`:                                {filepath.Join(golden.Dir(), "colpali-odd"), build.Frozen{Task: []string{"detect cat"}}},
	} {
		_, err := build.Compile(t.Context(), c.checkpoint, out, e2e.Runtime(t), build.Options{CPU: "x86-64-v3", MaxTokens: 311, Frozen: c.frozen})
		if err == nil || err.Error() != want {
			t.Errorf("error %v, expected %s", err, want)
		}
		if _, err := os.Stat(out); err == nil {
			t.Error("an executable was written")
		}
	}
}
