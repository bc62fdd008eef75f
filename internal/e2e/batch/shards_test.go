package batch

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgc/golden"
	"pgc/internal/e2e"
)

// tarFile writes members, a name and its content each, to a tar file.
func tarFile(t *testing.T, path string, members ...[2]string) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		if err := w.WriteHeader(&tar.Header{Name: m[0], Mode: 0o644, Size: int64(len(m[1]))}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, m[1])
	}
	w.Close()
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// said is what lines of an output are about: id and text, or id and error.
func said(t *testing.T, data []byte) (lines []string) {
	t.Helper()
	for _, r := range e2e.Replies(t, data) {
		if text := r.Text; r.Error != "" {
			lines = append(lines, fmt.Sprintf("%s! %s", r.ID, r.Error))
		} else {
			lines = append(lines, fmt.Sprintf("%s %s %v", r.ID, text, r.Tokens))
		}
	}
	return lines
}

// TestShards answers a tar file's samples in several processes that are killed again and again, and joins what they
// wrote: the lines of one run, in its order.
func TestShards(t *testing.T) {
	exe, dir := e2e.Compiled(t, "pg2-mha"), t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	picture, err := os.ReadFile(golden.Picture("noise.png"))
	if err != nil {
		t.Fatal(err)
	}
	var members [][2]string
	for i := range 60 {
		content := string(picture)
		if i == 7 {
			content = "no picture"
		}
		members = append(members, [2]string{fmt.Sprintf("%03d.png", i), content}, [2]string{fmt.Sprintf("%03d.txt", i), fmt.Sprint("caption en ", i)})
	}
	tarFile(t, at("in.tar"), members...)
	args := []string{"batch", "--input", at("in.tar"), "--max-new-tokens", "4", "--output"}
	e2e.Status(exe, append(args, at("whole.jsonl"))...)
	whole, err := os.ReadFile(at("whole.jsonl"))
	if err != nil || bytes.Count(whole, []byte("\n")) != 60 {
		t.Fatalf("%v: %s", err, whole)
	}
	shards := make([]string, 4)
	kills := 0
	for i := range shards {
		shards[i] = at(fmt.Sprintf("out-%05d-of-%05d.jsonl", i, len(shards)))
		for try := 0; ; try++ {
			cmd := exec.Command(exe, append(args, at("out.jsonl"), "--shard", "auto")...)
			cmd.Env = append(os.Environ(), fmt.Sprint("SLURM_ARRAY_TASK_ID=", 10+i), "SLURM_ARRAY_TASK_MIN=10", fmt.Sprint("SLURM_ARRAY_TASK_COUNT=", len(shards)))
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for try < 2 { // until there is something to lose
				if info, err := os.Stat(shards[i] + ".partial"); err == nil && info.Size() > int64(1000*try) {
					kills++
					cmd.Process.Kill()
					break
				}
				time.Sleep(time.Millisecond)
			}
			err := cmd.Wait()
			if _, missing := os.Stat(shards[i]); try >= 2 || missing == nil {
				if code := cmd.ProcessState.ExitCode(); code == -1 && try >= 2 || missing != nil {
					t.Fatalf("shard %d: %v, %v", i, err, missing)
				}
				break
			}
			if code, _, stderr := e2e.Status(exe, "merge", "-o", at("merged.jsonl"), shards[i]+".partial"); code != 1 || !strings.Contains(stderr, "run it again") {
				t.Errorf("an incomplete shard: status %d, %q", code, stderr)
			}
		}
	}
	if kills < 4 {
		t.Errorf("%d processes were killed, expected some for every shard", kills)
	}
	for _, merge := range [][]string{{"merge", "-o", at("merged.jsonl")}, {"merge", "--output", at("merged.jsonl")}} {
		code, _, stderr := e2e.Status(exe, append(merge, shards...)...)
		if code != 0 || !strings.Contains(stderr, "60 answers of 4 shards, 1 of them errors") {
			t.Errorf("merge: status %d, %q", code, stderr)
		}
	}
	merged, err := os.ReadFile(at("merged.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := said(t, merged), said(t, whole); !slices.Equal(got, want) {
		t.Errorf("shards say %q, one process %q", got, want)
	}
	if bytes.Contains(merged, []byte(`"row"`)) || bytes.Contains(merged, []byte(`"shard"`)) {
		t.Errorf("%s has fields of shards", merged)
	}

	// A complete shard that is run again answers its errors alone, and gives nothing up meanwhile.
	before, _ := os.ReadFile(shards[0])
	code, _, stderr := e2e.Status(exe, append(args, at("out.jsonl"), "--shard", "0/4")...)
	if after, _ := os.ReadFile(shards[0]); len(after) == 0 || code == 0 && !bytes.Equal(after, before) || !strings.Contains(stderr, "were answered in "+shards[0]+" before") {
		t.Errorf("a complete shard: status %d, %q", code, stderr)
	}
	tarFile(t, at("in.tar"), members[4:]...)
	code, _, stderr = e2e.Status(exe, append(args, at("out.jsonl"), "--shard", "1/4")...)
	if code != 1 || !strings.Contains(stderr, "expected the input that the shard was begun with") {
		t.Errorf("another input: status %d, %q", code, stderr)
	}
	for _, c := range []struct{ shard, env, want string }{
		{"4/4", "", "--shard: \"4\" is none of 4 shards"},
		{"auto", "", "--shard: auto takes the shard from"},
		{"auto", "JOB_COMPLETION_INDEX=1", "--shard: the number of shards is missing"},
	} {
		cmd := exec.Command(exe, append(args, at("x.jsonl"), "--shard", c.shard)...)
		cmd.Env = append(os.Environ(), c.env)
		said, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 2 || !bytes.Contains(said, []byte(c.want)) {
			t.Errorf("%s: %s, expected %s", c.shard, said, c.want)
		}
	}
}

// TestSamples: tar files are read as WebDataset does, in a folder, by a pattern, from a pipe and cut off.
func TestSamples(t *testing.T) {
	exe, dir := e2e.Compiled(t, "pg2-mha"), t.TempDir()
	at := func(name string) string { return filepath.Join(dir, "in", name) }
	data, err := os.ReadFile(golden.Picture("noise.png"))
	if err == nil {
		err = os.Mkdir(at(""), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	picture := string(data)
	tarFile(t, at("b.tar"),
		[2]string{"README", "no sample"},
		[2]string{"./d/1.PNG", picture}, [2]string{"./d/1.txt", "caption en\n"},
		[2]string{"d/2.jpg", picture}, [2]string{"d/2.json", `{"prompt": "caption en", "max_new_tokens": 1, "url": "x", "text": "y"}`},
		[2]string{"d/3.png", picture}, [2]string{"d/3.json", `{"caption": "two dogs"}`},
		[2]string{"d/4.mask.png", picture}, [2]string{"d/4.png", picture}, [2]string{"d/4.cls", "7"}, [2]string{"d/4.txt", "caption en"},
		[2]string{"d/5.left.png", picture}, [2]string{"d/5.txt", "caption en"},
		[2]string{"d/6.left.png", picture}, [2]string{"d/6.right.png", picture},
		[2]string{"d/7.png", picture}, [2]string{"d/7.webp", picture}, [2]string{"d/7.txt", "caption en"},
		[2]string{"d/8.png", picture}, [2]string{"d/8.json", `{"prompt": "caption en", "seed": "x"}`},
		[2]string{"d/._9.png", "of a Mac"}, [2]string{"d/9.txt", "no picture"})
	one := said(t, e2e.MustRun(t, exe, "batch", "--input", asList(t, filepath.Join(dir, "list.jsonl"), "caption en", "x"), "--output", "-", "--max-new-tokens", "3"))
	tail := func(s string) string { _, t, _ := strings.Cut(s, " "); return t }
	caption, other := tail(one[0]), tail(one[1])
	short := tail(said(t, e2e.MustRun(t, exe, "batch", "--input", filepath.Join(dir, "list.jsonl"), "--output", "-", "--max-new-tokens", "1"))[0])
	code, stdout, stderr := e2e.Status(exe, "batch", "--input", at("b.tar"), "--output", "-", "--max-new-tokens", "3", "--prompt", "x")
	got := said(t, []byte(stdout))
	if code != 1 || len(got) != 8 {
		t.Fatalf("status %d, %q, %q", code, stderr, got)
	}
	for i, want := range []string{
		`"d/1" ` + caption, `"d/2" ` + short, `"d/3" ` + other, `"d/4" ` + caption, `"d/5" ` + caption,
		`"d/6"! sample d/6 has the pictures d/6.left.png, d/6.right.png, expected one called KEY.jpg`,
		`"d/7" `, `"d/8"! d/8.json: expected a request`,
	} {
		if !strings.HasPrefix(got[i], want) {
			t.Errorf("%s, expected %s", got[i], want)
		}
	}
	if got[6] == `"d/7" `+caption {
		t.Error("of two pictures one is seen")
	}
	_, stdout, _ = e2e.Status(exe, "batch", "--input", at("b.tar"), "--no-texts", "--output", "-", "--max-new-tokens", "3", "--prompt", "x", "--shard", "0/1")
	for _, s := range said(t, []byte(stdout))[:2] {
		if tail(s) != other {
			t.Errorf("--no-texts: %s, expected the answer %s", s, other)
		}
	}
	cmd := exec.Command(exe, "batch", "--input", "-", "--output", "-", "--max-new-tokens", "3", "--prompt", "x")
	whole, _ := os.ReadFile(at("b.tar"))
	cmd.Stdin = io.MultiReader(bytes.NewReader(whole)) // no file, but a pipe
	piped, _ := cmd.Output()
	if !slices.Equal(said(t, piped), got) {
		t.Errorf("a pipe gives %q, expected %q", said(t, piped), got)
	}
	cmd = exec.Command(exe, "batch", "--input", "-", "--output", "-", "--max-new-tokens", "3", "--prompt", "x")
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr = io.MultiReader(bytes.NewReader(whole[:len(whole)/2])), &errs
	piped, err = cmd.Output()
	if cut := said(t, piped); err == nil || len(cut) == 0 || !slices.Equal(cut, got[:len(cut)]) || !strings.Contains(errs.String(), "it is cut off, expected a whole tar file") {
		t.Errorf("a cut file: %v, %q, %s", err, cut, errs.String())
	}

	// In a folder and by a pattern a sample's name begins with that of its file.
	if err := os.WriteFile(at("c.png"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	tarFile(t, at("a.tar"), [2]string{"1.png", picture})
	for input, want := range map[string]int{at(""): 10, at("*.tar"): 9} {
		_, stdout, stderr = e2e.Status(exe, "batch", "--input", input, "--output", "-", "--max-new-tokens", "3", "--prompt", "x")
		if got := said(t, []byte(stdout)); len(got) != want || got[0] != fmt.Sprintf("%q %s", at("a.tar/1"), other) {
			t.Errorf("%s: %q, %s", input, got, stderr)
		}
	}
	tarFile(t, at("a.tar"), [2]string{"1.png", picture}, [2]string{"2.png", picture}, [2]string{"1.txt", ""}, [2]string{"1.jpg", picture})
	for name, want := range map[string]string{"a.tar": "the members of 1 do not follow one another", "b.tar": ""} {
		code, _, stderr = e2e.Status(exe, "batch", "--input", at(name), "--output", "-", "--prompt", "x", "--max-new-tokens", "1")
		if code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, %q, expected %s", name, code, stderr, want)
		}
	}
	code, _, stderr = e2e.Status(exe, "batch", "--input", at("a.tar"), "--output", "-")
	if code != 1 || !strings.Contains(stderr, "sample 1 has no prompt: expected KEY.txt") {
		t.Errorf("no prompt: status %d, %q", code, stderr)
	}
}

// asList writes requests about one picture to a list, and returns its name.
func asList(t *testing.T, path string, prompts ...string) string {
	t.Helper()
	var text []byte
	for _, p := range prompts {
		text = fmt.Appendf(text, `{"images": [%q], "prompt": %q}`+"\n", golden.Picture("noise.png"), p)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAsReady: answers come as they are ready, each with the bits of a single run; lines that are no requests fail alone;
// ids may come again.
func TestAsReady(t *testing.T) {
	exe := e2e.Compiled(t, "pg2-mha")
	line := func(id string, tokens int) string {
		return fmt.Sprintf(`{"id":%s,"images":[%q],"prompt":"caption en","max_new_tokens":%d,"ignore_eos":true}`+"\n", id, golden.Picture("noise.png"), tokens)
	}
	var all []e2e.Reply
	for try := 1; ; try++ { // on a busy machine a short answer may come late, but not always
		cmd := exec.Command(exe, "batch", "--input", "-", "--output", "-", "--as-ready")
		cmd.Stdin = io.MultiReader(strings.NewReader(line("1", 280) + line("2", 1) + `{"id":3,"prompt":7}` + "\n" + "{\n" + line("2", 1)))
		out, err := cmd.Output()
		if err == nil || cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("%v, expected status 1 for requests that failed", err)
		}
		if all = e2e.Replies(t, out); len(all) == 5 && string(all[4].ID) == "1" && len(all[4].Tokens) == 280 {
			break
		}
		if try == 3 {
			t.Fatalf("%s, expected the longest answer last", out)
		}
	}
	by := map[string]int{}
	for _, r := range all {
		by[string(r.ID)]++
		if (r.Error != "") != (string(r.ID) == "3" || string(r.ID) == "4") {
			t.Errorf("request %s: error %q", r.ID, r.Error)
		}
	}
	if by["2"] != 2 || by["3"] != 1 || by["4"] != 1 {
		t.Errorf("answers %v", by)
	}
	alone := e2e.Replies(t, e2e.MustRun(t, exe, "generate", "--image", golden.Picture("noise.png"), "--prompt", "caption en", "--max-new-tokens", "280", "--ignore-eos", "--json"))
	if !slices.Equal(alone[0].Tokens, all[4].Tokens) {
		t.Errorf("%v, alone %v", all[4].Tokens, alone[0].Tokens)
	}
}

// TestBatchEmbeddings: a batch has the embeddings of embed, bit by bit, and may be resumed.
func TestBatchEmbeddings(t *testing.T) {
	exe, dir := e2e.Compiled(t, "colpali-odd"), t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	in := fmt.Sprintf(`{"id":"p","images":[%q]}`+"\n"+`{"id":"q","query":"two dogs"}`+"\n"+`{"id":"none","image":"none.png"}`+"\n", golden.Picture("noise.png"))
	if err := os.WriteFile(at("in.jsonl"), []byte(in), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if code, _, stderr := e2e.Status(exe, "batch", "--input", at("in.jsonl"), "--output", at("out.jsonl")); code != 1 || !strings.Contains(stderr, "1 of 3 requests failed") {
			t.Errorf("status %d, %q", code, stderr)
		}
	}
	e2e.MustRun(t, exe, "embed", golden.Picture("noise.png"), "-o", at("p.safetensors"))
	e2e.MustRun(t, exe, "embed", "--query", "two dogs", "-o", at("q.safetensors"))
	data, err := os.ReadFile(at("out.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(data)) {
		var e struct {
			ID        string
			Embedding []byte
			Shape     []int
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Embedding == nil {
			continue
		}
		seen++
		file, err := os.ReadFile(at(e.ID + ".safetensors"))
		if err != nil || !bytes.HasSuffix(file, e.Embedding) || len(e.Embedding) != 4*e.Shape[0]*e.Shape[1] {
			t.Errorf("%s: %v, %v: not the embedding of embed", e.ID, err, e.Shape)
		}
	}
	if seen != 2 {
		t.Errorf("%d embeddings: %s", seen, data)
	}
	for line, want := range map[string]string{
		`{"query":""}`:                         "query is empty",
		`{"query":"x","image":"a.png"}`:        "query and images are given",
		`{"images":["a.png","b.png"]}`:         "an embedding is asked of 2 pictures",
		`{"image":"a.png","prompt":"x"}`:       "there is more than id, adapter, and images or query",
		`{"image":"a.png","max_new_tokens":1}`: "there is more than id, adapter, and images or query",
	} {
		if err := os.WriteFile(at("in.jsonl"), []byte(line), 0o644); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := e2e.Status(exe, "batch", "--input", at("in.jsonl"), "--output", "-"); code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, %q", line, code, stderr)
		}
	}
	if code, _, stderr := e2e.Status(e2e.Compiled(t, "pg2-mha"), "batch", "--input", asLine(t, at("in.jsonl"), `{"query":"x"}`), "--output", "-"); code != 1 || !strings.Contains(stderr, "query is given, which is for models that make embeddings") {
		t.Errorf("status %d, %q", code, stderr)
	}
}

// asLine writes a line to a file, and returns its name.
func asLine(t *testing.T, path, line string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBatchOnTerminal: a terminal sees how many answers there are and how fast they come, and other lines whole.
func TestBatchOnTerminal(t *testing.T) {
	exe, dir := e2e.Compiled(t, "pg2-mha"), t.TempDir()
	screen, tty := e2e.Terminal(t)
	defer tty.Close()
	cmd := exec.Command(exe, "batch", "--input", asList(t, filepath.Join(dir, "in.jsonl"), "caption en", "x"), "--output", filepath.Join(dir, "out.jsonl"), "--max-new-tokens", "2")
	cmd.Stderr = tty
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	shown := make([]byte, 4000)
	n, err := screen.Read(shown)
	text := string(shown[:n])
	for err == nil && !strings.Contains(text, "2 answers in ") {
		if n, err = screen.Read(shown); n > 0 {
			text += string(shown[:n])
		}
	}
	if err != nil || !strings.Contains(text, "1 of 2, ") || !strings.Contains(text, "/s") {
		t.Errorf("a terminal sees %q (%v)", text, err)
	}
}
