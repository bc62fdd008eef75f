package models

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/passes"
	"pgc/runtime/safetensors"
)

// pictures are the paths of golden pictures.
func pictures(names []string) (paths []string) {
	for _, name := range names {
		paths = append(paths, filepath.Join(golden.Dir(), "pictures", name))
	}
	return paths
}

// embedArgs are the arguments of embed for the images or queries of a reference file.
func embedArgs(t *testing.T, ref *safetensors.File, kind string) (args []string) {
	if kind == "images" {
		return pictures(e2e.Strings(t, ref, "images"))
	}
	for _, q := range e2e.Strings(t, ref, "queries") {
		args = append(args, "--query="+q)
	}
	return args
}

// embedded runs embed and returns the bytes of its output.
func embedded(t *testing.T, exe string, args ...string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out.safetensors")
	e2e.MustRun(t, exe, append([]string{"embed", "-o", path}, args...)...)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// opened parses the bytes of a safetensors file.
func opened(t *testing.T, data []byte) *safetensors.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.safetensors")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestEmbeddings compares executables of every golden checkpoint that makes embeddings with transformers: embeddings of
// batches, and the ranking.
func TestEmbeddings(t *testing.T) {
	elf := e2e.Runtime(t)
	list := golden.Embeddings()
	if len(list) == 0 {
		t.Fatal("no golden checkpoint makes embeddings")
	}
	for _, checkpoint := range list {
		exe := filepath.Join(t.TempDir(), "model")
		e2e.Build(t, exe, checkpoint, elf, build.Options{CPU: "x86-64-v3", Passes: passes.Options{Check: true}})
		for _, kind := range []string{"images", "queries"} {
			t.Run(filepath.Base(checkpoint)+"/"+kind, func(t *testing.T) { compareEmbeddings(t, exe, e2e.Reference(t, checkpoint, "embeddings-"+kind), kind) })
		}
		t.Run(filepath.Base(checkpoint)+"/rank", func(t *testing.T) { compareRanking(t, exe, e2e.Reference(t, checkpoint, "scores")) })
	}
}

func compareEmbeddings(t *testing.T, exe string, ref *safetensors.File, kind string) {
	args := embedArgs(t, ref, kind)
	all := embedded(t, exe, append(args, "--threads=2")...)
	if !bytes.Equal(all, embedded(t, exe, append(args, "--threads=1")...)) {
		t.Error("one and two threads give different bits")
	}
	own, err := strconv.ParseFloat(ref.Metadata["error"], 64) // the reference's distance from float64
	if err != nil {
		t.Fatal(err)
	}
	got, worst := opened(t, all), 0.0
	if len(got.Names()) != len(args) {
		t.Errorf("%d tensors, expected %d", len(got.Names()), len(args))
	}
	for i, arg := range args {
		name := fmt.Sprintf("embeddings.%d", i)
		g, _ := got.Tensor(name)
		w, _ := ref.Tensor(name)
		if g.DType != safetensors.F32 || !slices.Equal(g.Shape, w.Shape) {
			t.Fatalf("%s is %s %v, expected F32 %v", name, g.DType, g.Shape, w.Shape)
		}
		have := golden.Floats(got, name)
		for j, v := range golden.Floats(ref, name) {
			worst = max(worst, math.Abs(float64(v-have[j])))
		}
		if alone := golden.Floats(opened(t, embedded(t, exe, arg)), "embeddings.0"); !slices.Equal(alone, have) {
			t.Errorf("%s has other bits than on its own", name)
		}
	}
	if limit := max(1e-5, 10*own); !(worst <= limit) {
		t.Errorf("off by %g, limit %g", worst, limit)
	}
	t.Logf("off by %.2g; transformers' float32 is off by %.2g", worst, own)
}

// compareRanking holds rank's lines and JSON against score_retrieval.
func compareRanking(t *testing.T, exe string, ref *safetensors.File) {
	images, queries := pictures(e2e.Strings(t, ref, "images")), e2e.Strings(t, ref, "queries")
	scores := golden.Floats(ref, "scores")
	for q, query := range queries {
		want := scores[q*len(images):][:len(images)]
		args := append([]string{"rank", "--query=" + query}, images...)
		var got struct {
			Query  string
			Images []struct {
				Score float64
				Image string
			}
		}
		if err := json.Unmarshal(e2e.MustRun(t, exe, append(args, "--json")...), &got); err != nil {
			t.Fatal(err)
		}
		if got.Query != query || len(got.Images) != len(images) {
			t.Fatalf("%+v, expected the query %q and %d images", got, query, len(images))
		}
		var lines strings.Builder
		for i, r := range got.Images {
			at := slices.Index(images, r.Image)
			if at < 0 || math.Abs(r.Score-float64(want[at])) > 2e-3 {
				t.Errorf("%q: %s has the score %g, expected one of %v", query, r.Image, r.Score, want)
			}
			if i > 0 && r.Score > got.Images[i-1].Score {
				t.Errorf("%q: %+v is not in order", query, got.Images)
			}
			fmt.Fprintf(&lines, "%.6f\t%s\n", r.Score, r.Image)
		}
		if text := string(e2e.MustRun(t, exe, args...)); text != lines.String() {
			t.Errorf("%q: printed\n%s\nexpected\n%s", query, text, lines.String())
		}
	}
	again := append([]string{"rank", "--query", "q"}, images[0], images[0])
	if text := string(e2e.MustRun(t, exe, again...)); strings.Count(text, images[0]+"\n") != 2 {
		t.Errorf("an image given twice: %q", text)
	}
}

// TestRankKeepsTheOrderOfTies ranks copies of an image, whose scores are equal.
func TestRankKeepsTheOrderOfTies(t *testing.T) {
	exe := e2e.Compiled(t, "colpali-odd")
	data, err := os.ReadFile(pictures([]string{"grey.png"})[0])
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"rank", "--query", "caption en"}
	for _, name := range []string{"z.png", "a.png", "m.png"} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	var order []string
	for line := range strings.Lines(string(e2e.MustRun(t, exe, args...))) {
		_, path, _ := strings.Cut(strings.TrimSpace(line), "\t")
		order = append(order, path)
	}
	if !slices.Equal(order, args[3:]) {
		t.Errorf("order %v, expected %v", order, args[3:])
	}
}

// TestEmbeddingLayouts stores the checkpoint with the names of other layouts: the executables' embeddings are the same.
func TestEmbeddingLayouts(t *testing.T) {
	source := filepath.Join(golden.Dir(), "colpali-odd")
	args := embedArgs(t, e2e.Reference(t, source, "embeddings-images"), "images")
	want := embedded(t, e2e.Compiled(t, "colpali-odd"), args...)
	for _, layout := range [][]string{
		{"vlm.language_model.model.", "vlm.language_model.", "vision_tower.vision_model.", "vision_tower."}, // transformers' modules
		{"vlm.language_model.", "vlm.model.language_model.", "vlm.vision_tower.", "vlm.model.vision_tower."},
		{"vlm.", ""},
		{"vlm.", "model.", "embedding_proj_layer.", "custom_text_proj."}, // colpali-engine
	} {
		names := strings.NewReplacer(layout...)
		dir := golden.Copy(t, "colpali-odd")
		rewrite(t, filepath.Join(dir, "model.safetensors"), names.Replace)
		exe := filepath.Join(t.TempDir(), "model")
		e2e.CompileTo(t, exe, dir)
		if !bytes.Equal(embedded(t, exe, args...), want) {
			t.Errorf("%v: other embeddings", layout)
		}
	}
}

// rewrite gives the tensors of a file other names, and adds a head, which the model does not use.
func rewrite(t *testing.T, path string, name func(string) string) {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	specs := []safetensors.Spec{{Name: name("vlm.language_model.lm_head.weight"), DType: safetensors.F32, Shape: []int{1}}}
	parts := [][]byte{make([]byte, 4)}
	for _, key := range f.Names() {
		x, _ := f.Tensor(key)
		specs = append(specs, safetensors.Spec{Name: name(key), DType: x.DType, Shape: x.Shape})
		parts = append(parts, x.Data)
	}
	w, err := safetensors.Create(path+".new", nil, specs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(bytes.Join(parts, nil)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestEmbeddingStorage holds the storage formats against transformers: vectors point nearly the same way.
func TestEmbeddingStorage(t *testing.T) {
	elf := e2e.Runtime(t)
	checkpoint := filepath.Join(golden.Dir(), "colpali-odd")
	ref := e2e.Reference(t, checkpoint, "embeddings-images")
	for _, c := range []struct {
		storage build.Storage
		cosine  float64 // the mean must exceed it
	}{
		{build.Storage{Weights: "bf16", Compute: "bf16"}, .999},
		{build.Storage{Weights: "int8", Group: 32}, .99},
		{build.Storage{Weights: "int4", Group: 32, Search: true}, .85},
	} {
		exe := filepath.Join(t.TempDir(), "model")
		e2e.Build(t, exe, checkpoint, elf, build.Options{Storage: c.storage, CPU: "x86-64-v3"})
		got := opened(t, embedded(t, exe, embedArgs(t, ref, "images")...))
		sum, n := 0.0, 0
		for _, name := range got.Names() {
			g, w := golden.Floats(got, name), golden.Floats(ref, name)
			x, _ := ref.Tensor(name)
			for i := range w {
				sum += float64(g[i]) * float64(w[i])
			}
			n += x.Shape[0]
		}
		if mean := sum / float64(n); !(mean > c.cosine) {
			t.Errorf("%+v: mean cosine %g, expected over %g", c.storage, mean, c.cosine)
		} else {
			t.Logf("%s: mean cosine %.6f", c.storage.Weights, mean)
		}
	}
}

// TestEmbeddingMisuse checks that wrong uses are one sentence and exit with 2.
func TestEmbeddingMisuse(t *testing.T) {
	picture := pictures([]string{"grey.png"})[0]
	for _, c := range []struct {
		model, want string
		args        []string
	}{
		{"colpali-odd", "generate is not a command of a colpali (gemma) model, expected embed, rank, batch, serve, merge, tokenize, info, help", []string{"generate", "--image", picture, "--prompt", "x"}},
		{"pg1-odd", "embed is not a command of a paligemma (gemma) model, expected generate, detect, batch, segment, mask, attend, forward, serve, merge, tokenize, info, help", []string{"embed", picture, "-o", "x"}},
		{"pg1-odd", "rank is not a command of a paligemma (gemma) model, expected generate, detect, batch, segment, mask, attend, forward, serve, merge, tokenize, info, help", []string{"rank", "--query", "x", picture}},
		{"colpali-odd", "an image or a query is missing: write IMAGE… or --query TEXT", []string{"embed", "-o", "x"}},
		{"colpali-odd", "--query is empty, expected a text", []string{"embed", "--query", "a", "--query", "", "-o", "x"}},
		{"colpali-odd", "--query is empty, expected a text", []string{"rank", "--query", "", picture}},
		{"colpali-odd", "images are missing: write rank --query TEXT IMAGE…", []string{"rank", "--query", "x"}},
		{"colpali-odd", `unexpected image "` + picture + `" beside --query, expected images or queries`, []string{"embed", picture, "--query", "x", "-o", "x"}},
		{"colpali-odd", "standard input (-) is named twice as a picture, expected once", []string{"rank", "--query", "x", "-", "-"}},
	} {
		var stderr bytes.Buffer
		cmd := exec.Command(e2e.Compiled(t, c.model), c.args...)
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || len(out) > 0 || stderr.String() != c.model+": "+c.want+"\n" {
			t.Errorf("%q: %v, printed %q and the error\n%s\nexpected\n%s", c.args, err, out, stderr.String(), c.want)
		}
	}
	dir := filepath.Join(golden.Dir(), "colpali-odd")
	for tokens, want := range map[int]string{42: "MaxTokens 42 holds no image: expected at least 43", 43: ""} {
		exe := filepath.Join(t.TempDir(), "model")
		_, err := build.Compile(t.Context(), dir, exe, e2e.Runtime(t), build.Options{CPU: "x86-64-v3", MaxTokens: tokens})
		if want == "" && err == nil {
			embedded(t, exe, picture)
		} else if err == nil || err.Error() != want {
			t.Errorf("MaxTokens %d: error %v, expected %q", tokens, err, want)
		}
	}
	help := string(e2e.MustRun(t, e2e.Compiled(t, "colpali-odd"), "--help"))
	if !strings.Contains(help, "  rank ") || strings.Contains(help, "generate") {
		t.Errorf("--help shows commands that the model does not have:\n%s", help)
	}
}

// TestQueryBeyondTheVocabulary: a tokenizer without location tokens gets them added behind its own, where the embedding
// has no rows. A query that names one is refused.
func TestQueryBeyondTheVocabulary(t *testing.T) {
	dir := golden.Copy(t, "colpali-odd")
	path := filepath.Join(dir, "tokenizer.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	vocabulary := file["model"].(map[string]any)["vocab"].(map[string]any)
	file["added_tokens"] = slices.DeleteFunc(file["added_tokens"].([]any), func(a any) bool {
		token := a.(map[string]any)
		content := token["content"].(string)
		located := strings.HasPrefix(content, "<loc") || strings.HasPrefix(content, "<seg")
		if located {
			vocabulary["piece of "+content] = token["id"]
		}
		return located
	})
	if text, err = json.Marshal(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(t.TempDir(), "model")
	e2e.CompileTo(t, exe, dir)
	cmd := exec.Command(exe, "rank", "--query", "<loc0500>", pictures([]string{"grey.png"})[0])
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "of the query is id ") {
		t.Errorf("error %v: %s, expected one about the id", err, out)
	}
}
