package locate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgc"
	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
)

// locator is the demo's executable, which has the decoder of masks that lies beside the checkpoint.
func locator(t *testing.T) string {
	t.Helper()
	return e2e.Once(t, "locator", func(exe string) {
		checkpoint := filepath.Join(golden.Dir(), "../models/paligemma/demo/paligemma-demo")
		e2e.Build(t, exe, checkpoint, e2e.Runtime(t), build.Options{CPU: "x86-64-v3", MaxTokens: 311})
	})
}

// demoPictures copies pictures of the demo to a folder.
func demoPictures(t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(golden.Dir(), "../models/paligemma/demo/pictures", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// in runs a program in a folder.
func in(dir, exe string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	cmd := exec.Command(exe, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
	cmd.Run()
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// found is what a test looks at of the JSON object of a picture.
type found struct {
	ID    json.RawMessage
	Image string
	Boxes []struct {
		Label string
		Score *float64
		Box   [4]float64
		Loc   [4]int
		Seg   []int
	}
	Suppressed int
	Text       string
}

// TestDetectCommand: detect answers as the library does, in every format.
func TestDetectCommand(t *testing.T) {
	exe := locator(t)
	dir := demoPictures(t, "05-purple.png", "06-green.png")
	code, out, stderr := in(dir, exe, "detect", "05-purple.png", "06-green.png", "airplane ,horse;", "--format", "json")
	if want := "warning: 06-green.png: the answer to one prompt of 2 classes has no airplane: a prompt for each may find it (per_class, --per-class)\n"; code != 0 || stderr != want {
		t.Fatalf("status %d, %s", code, stderr)
	}
	got := e2e.Lines[found](t, []byte(out))
	m, err := pgc.Open(exe, pgc.WithoutVerification())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var tsv strings.Builder
	for i, name := range []string{"05-purple.png", "06-green.png"} {
		d, err := m.Detect(t.Context(), pgc.DetectRequest{Image: pgc.File(filepath.Join(dir, name)), Classes: []string{"airplane", "horse"}})
		if err != nil {
			t.Fatal(err)
		}
		if got[i].Image != name || len(got[i].Boxes) != len(d.Objects) || len(d.Objects) == 0 && i == 0 || got[i].Text != d.Text {
			t.Fatalf("%+v, the library %+v", got[i], d)
		}
		for k, o := range d.Objects {
			b := got[i].Boxes[k]
			if b.Label != o.Label || *b.Score != o.Score.Value() || b.Box != o.Box.Box || b.Loc != o.Loc {
				t.Errorf("%+v, the library %+v", b, o)
			}
			fmt.Fprintf(&tsv, "%s\t%s\t%v", name, o.Label, o.Score.Value())
			for _, v := range o.Box.Box {
				fmt.Fprintf(&tsv, "\t%v", v)
			}
			tsv.WriteByte('\n')
		}
	}
	if _, out, _ := in(dir, exe, "detect", "05-purple.png", "06-green.png", "airplane ,horse;"); out != tsv.String() {
		t.Errorf("a pipe gets\n%s, expected\n%s", out, &tsv)
	}
	for _, format := range []string{"coco", "labelstudio"} {
		if code, out, stderr := in(dir, exe, "detect", "05-purple.png", "06-green.png", "bird", "--format", format); code != 0 || !json.Valid([]byte(out)) || !strings.Contains(out, "06-green.png") {
			t.Errorf("%s: status %d, %s %s", format, code, out, stderr)
		}
	}
	for _, format := range []string{"yolo", "labelme", "svg", "png"} {
		if code, out, stderr := in(dir, exe, "detect", "05-purple.png", "06-green.png", "horse", "--format", format, "-o", format, "--draw", format+"-drawn"); code != 0 || out != "" {
			t.Errorf("%s: status %d, %s %s", format, code, out, stderr)
		}
	}
	for _, path := range []string{"yolo/data.yaml", "yolo/labels/05-purple.txt", "yolo/labels/06-green.txt", "labelme/05-purple.json", "svg/06-green.svg", "png/05-purple.png",
		"yolo-drawn/05-purple.png"} {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Size() == 0 && !strings.Contains(path, "labels/06") {
			t.Errorf("%s: %v", path, err)
		}
	}
	for path, decode := range map[string]func(data []byte) (image.Config, error){
		"a.png": func(data []byte) (image.Config, error) { return png.DecodeConfig(bytes.NewReader(data)) },
		"a.JPG": func(data []byte) (image.Config, error) { return jpeg.DecodeConfig(bytes.NewReader(data)) },
		"a.svg": func(data []byte) (image.Config, error) {
			if !bytes.Contains(data, []byte("data:image/jpeg;base64,")) {
				return image.Config{}, errors.New("no picture")
			}
			return image.Config{Width: 345, Height: 345}, nil
		},
	} {
		code, _, stderr := in(dir, exe, "detect", "05-purple.png", "horse", "--draw", path)
		data, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil || code != 0 {
			t.Fatalf("%s: status %d, %s, %v", path, code, stderr, err)
		}
		if c, err := decode(data); err != nil || c.Width != 345 || c.Height != 345 {
			t.Errorf("%s: %+v, %v", path, c, err)
		}
	}
}

// TestDetectTable: a terminal gets a table, and the classes of which there is none.
func TestDetectTable(t *testing.T) {
	dir := demoPictures(t, "05-purple.png")
	screen, tty := e2e.Terminal(t)
	defer tty.Close()
	cmd := exec.Command(locator(t), "detect", "05-purple.png", "airplane ; cat")
	cmd.Dir, cmd.Stdout = dir, tty
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	shown := make([]byte, 1000)
	n, err := screen.Read(shown)
	if text := string(shown[:n]); err != nil || !strings.HasPrefix(text, "label") || !strings.Contains(text, "\nairplane ") || !strings.Contains(text, "\nno cat\r\n") {
		t.Errorf("a terminal gets %q (%v)", text, err)
	}
}

// TestSegmentMasks: masks are PNG files, one for every object, and those that the library has.
func TestSegmentMasks(t *testing.T) {
	exe := locator(t)
	dir := demoPictures(t, "05-purple.png")
	code, out, stderr := in(dir, exe, "segment", "05-purple.png", "horse ; airplane", "--masks", "masks", "--format", "json", "--draw", "d.png", "--min-score", "0")
	if code != 0 {
		t.Fatalf("status %d, %s", code, stderr)
	}
	boxes := e2e.Lines[found](t, []byte(out))[0].Boxes
	for i, b := range boxes {
		path := filepath.Join(dir, "masks", fmt.Sprintf("%d-%s.png", i+1, b.Label))
		data, err := os.ReadFile(path)
		if m, err2 := png.Decode(bytes.NewReader(data)); err != nil || err2 != nil || m.Bounds() != image.Rect(0, 0, 345, 345) {
			t.Errorf("%s: %v %v", path, err, err2)
		}
	}
	if len(boxes) != 3 {
		t.Errorf("%d objects, expected two horses and an airplane", len(boxes))
	}
	if data, err := os.ReadFile(filepath.Join(dir, "masks", "index.png")); err != nil {
		t.Error(err)
	} else if m, err := png.Decode(bytes.NewReader(data)); err != nil || m.Bounds() != image.Rect(0, 0, 345, 345) {
		t.Errorf("%v", err)
	} else if _, ok := m.(*image.Paletted); !ok {
		t.Errorf("index.png is a %T", m)
	}
}

// TestDetectFailures: wrong usage is status 2, a failure status 1; either is one sentence, and nothing is written.
func TestDetectFailures(t *testing.T) {
	exe := locator(t)
	dir := demoPictures(t, "05-purple.png", "06-green.png")
	data, err := os.ReadFile(filepath.Join(dir, "05-purple.png"))
	if err == nil {
		err = errors.Join(os.Mkdir(filepath.Join(dir, "other"), 0o755), os.WriteFile(filepath.Join(dir, "other", "05-purple.jpg"), data, 0o644),
			os.WriteFile(filepath.Join(dir, "bad.png"), data[:len(data)/2], 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
	before := listing(t, dir)
	many := strings.Repeat("a thing with a long name, ", 1) + strings.Repeat("word ", 400)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"detect"}, 2, "pictures or classes are missing"},
		{[]string{"detect", "05-purple.png"}, 2, "pictures or classes are missing"},
		{[]string{"detect", "05-purple.png", "06-green.png"}, 2, "the classes are missing"},
		{[]string{"detect", "05-purple.png", " ; "}, 2, "no class is named"},
		{[]string{"detect", "05-purple.png", "<loc0001>"}, 2, "holds '<'"},
		{[]string{"detect", "05-purple.png", "cat", "--min-score", "2"}, 2, "min_score is 2"},
		{[]string{"detect", "05-purple.png", "cat", "--nms=-0.5"}, 2, "nms is -0.5"},
		{[]string{"detect", "05-purple.png", "cat", "--max-boxes", "0"}, 2, "max_boxes is 0"},
		{[]string{"detect", "05-purple.png", "cat", "--box-scale", "1000"}, 2, "box_scale is 1000"},
		{[]string{"detect", "05-purple.png", "cat", "--box-scale", "0"}, 2, "box_scale is 0, expected 1024 or 1023"},
		{[]string{"detect", "05-purple.png", "cat", "--box-scale=-1024"}, 2, "box_scale is -1024, expected 1024 or 1023"},
		{[]string{"detect", "05-purple.png", "cat", "--box-scale", "NaN"}, 2, "--box-scale: expected an integer but got"},
		{[]string{"detect", "05-purple.png", "cat", "--box-scale", "1024.0"}, 2, "--box-scale: expected an integer but got"},
		{[]string{"detect", "05-purple.png", "cat", "--box-scale", "99999999999999999999"}, 2, "--box-scale: expected an integer of"},
		{[]string{"detect", "05-purple.png", "cat", "--min-score", "NaN"}, 2, "min_score is NaN, expected 0 to 1"},
		{[]string{"detect", "05-purple.png", "cat", "--nms", "Inf"}, 2, "nms is +Inf, expected 0 to 1"},
		{[]string{"detect", "05-purple.png", "cat", "--format", "xml"}, 2, "--format"},
		{[]string{"detect", "05-purple.png", "cat", "--format", "yolo"}, 2, "expected -o DIR"},
		{[]string{"detect", "05-purple.png", "06-green.png", "cat", "--format", "labelme"}, 2, "expected -o DIR"},
		{[]string{"detect", "05-purple.png", "06-green.png", "cat", "--draw", "x.png"}, 2, "--draw x.png is one file, but there are 2 pictures"},
		{[]string{"detect", "05-purple.png", "06-green.png", "cat", "-o", "x.svg"}, 2, "-o x.svg is one file, but there are 2 pictures"},
		{[]string{"detect", "05-purple.png", "cat", "--draw", "x.gif"}, 2, "--draw x.gif ends in .gif"},
		{[]string{"detect", "05-purple.png", "cat", "--draw", "x", "-o", "./x"}, 2, "x is named for two results"},
		{[]string{"detect", "05-purple.png", "other/05-purple.jpg", "cat", "--draw", "x"}, 2, "would both be named 05-purple"},
		{[]string{"detect", "05-purple.png", "other/05-purple.jpg", "cat", "--format", "yolo", "-o", "x"}, 2, "would both be named 05-purple"},
		{[]string{"detect", "missing.png", "cat", "-o", "x"}, 1, "missing.png: no such file"},
		{[]string{"detect", "bad.png", "cat", "--format", "yolo", "-o", "x", "--draw", "y"}, 1, "bad.png"},
		{[]string{"detect", "05-purple.png", many, "-o", "x"}, 1, "the KV cache holds 311"},
		{[]string{"detect", "05-purple.png", "cat", "--adapter", "none", "-o", "x"}, 1, `no adapter is called "none"`},
		{[]string{"detect", "05-purple.png", "cat", "--draw", "none/x.png"}, 1, "cannot write none/x.png: no such file or directory"},
		{[]string{"detect", "05-purple.png", "cat", "-o", "none/x.json"}, 1, "cannot write none/x.json: no such file or directory"},
		{[]string{"detect", "05-purple.png", "cat", "--max-boxes", "256", "-o", "x.png"}, 2, "a picture of indices holds at most 255 objects"},
		{[]string{"segment", "05-purple.png", "cat", "--max-boxes", "256", "--masks", "x"}, 2, "a picture of indices holds at most 255 objects"},
		{[]string{"segment", "05-purple.png", "cat", "--masks", "other"}, 1, "cannot write other: it is not empty, expected a new folder"},
		{[]string{"mask", "--image", "05-purple.png", "--prompt", "cat", "-o", "none/x.svg"}, 1, "cannot write none/x.svg: no such file or directory"},
		{[]string{"attend", "--image", "05-purple.png", "--prompt", "detect horse", "--token", "0", "-o", "none/x.png"}, 1, "cannot write none/x.png: no such file or directory"},
		{[]string{"attend", "--image", "05-purple.png", "--prompt", "detect horse", "--token", "0", "--layer", "99", "-o", "x.png"}, 2, "--layer is 99, but the decoder has layers 0 to"},
		{[]string{"attend", "--image", "missing.png", "--prompt", "detect horse", "--token", "0", "--layer", "99", "-o", "x.png"}, 2, "--layer is 99, but the decoder has layers 0 to"},
		{[]string{"attend", "--image", "missing.png", "--prompt", "detect horse", "--token", "0", "--head", "99", "-o", "x.safetensors"}, 2, "--head is 99, but the decoder has heads 0 to"},
		{[]string{"attend", "--image", "05-purple.png", "--prompt", "detect horse", "--token", "9", "--max-new-tokens", "9", "-o", "x.png"}, 1, "token 9 is asked for, but an answer has 9 tokens at most"},
		{[]string{"attend", "--image", "05-purple.png", "--prompt", "detect horse", "--token", "48", "-o", "x.png"}, 1, "the answer has no token 48: expected 0 to"},
		{[]string{"detect", "05-purple.png", "cat", "--draw", "05-purple.png"}, 1, "it is an input, too"},
		{[]string{"detect", "05-purple.png", "cat", "--format", "yolo", "-o", "other"}, 1, "it is not empty"},
	} {
		code, out, stderr := in(dir, exe, c.args...)
		if code != c.code || out != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, c.says) {
			t.Errorf("%.100q: status %d, %q %q, expected %d and %q", c.args, code, out, stderr, c.code, c.says)
		}
	}
	if after := listing(t, dir); !slices.Equal(before, after) {
		t.Errorf("the folder holds %v", after)
	}
	// A picture that cannot be read leaves the others.
	code, _, stderr := in(dir, exe, "detect", "bad.png", "05-purple.png", "horse", "--format", "coco", "-o", "x.json")
	if code != 1 || strings.Count(stderr, "\n") != 2 || !strings.HasSuffix(stderr, "1 of 2 pictures failed\n") {
		t.Errorf("status %d, %s", code, stderr)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "x.json")); err != nil || !strings.Contains(string(data), "05-purple.png") || strings.Contains(string(data), "bad.png") || !strings.Contains(string(data), `"images":[{"id":2,`) || !strings.Contains(string(data), `"image_id":2,`) {
		t.Errorf("%s %v", data, err)
	}
	// Checkpoints of page retrieval do not detect.
	if code, _, stderr := in(dir, e2e.Compiled(t, "colpali-odd"), "detect", "05-purple.png", "cat"); code != 2 || !strings.Contains(stderr, "detect is not a command of a colpali") {
		t.Errorf("status %d, %s", code, stderr)
	}
}

// listing are the files below a folder.
func listing(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestDetectBatch: a batch answers as detect does, beside prompts.
func TestDetectBatch(t *testing.T) {
	exe := locator(t)
	dir := demoPictures(t, "05-purple.png", "06-green.png")
	request := `{"id": "a", "images": ["05-purple.png"], "task": "detect", "classes": ["horse", "airplane"]}
{"id": "b", "images": ["06-green.png"], "prompt": "caption en"}
{"id": "c", "image": "06-green.png", "task": "detect", "classes": "bird;fish", "min_score": 0.1, "nms": 1, "max_boxes": 5, "per_class": true}
{"id": "d", "images": ["bad.png"], "task": "detect", "classes": ["cat"]}
{"id": "e", "images": ["05-purple.png"], "task": "segment", "classes": ["horse"], "no_scores": true}
`
	if err := os.WriteFile(filepath.Join(dir, "in.jsonl"), []byte(request), 0o644); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := in(dir, exe, "batch", "--input", "in.jsonl", "--output", "out.jsonl")
	if code != 1 || !strings.Contains(stderr, "1 of 5 requests failed") {
		t.Errorf("status %d, %s", code, stderr)
	}
	data, err := os.ReadFile(filepath.Join(dir, "out.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	got := e2e.Lines[found](t, data)
	if len(got) != 5 || got[1].Text == "" || got[3].Image != "" {
		t.Fatalf("%s", data)
	}
	for i, args := range map[int][]string{
		0: {"detect", "05-purple.png", "horse ; airplane"},
		2: {"detect", "06-green.png", "bird, fish", "--min-score", "0.1", "--nms", "1", "--max-boxes", "5", "--per-class"},
		4: {"segment", "05-purple.png", "horse", "--no-scores"},
	} {
		code, out, stderr := in(dir, exe, append(args, "--format", "json")...)
		if code != 0 {
			t.Fatalf("%v: status %d, %s", args, code, stderr)
		}
		want := e2e.Lines[found](t, []byte(out))[0]
		if want.ID = got[i].ID; !reflect.DeepEqual(got[i], want) || len(want.Boxes) == 0 {
			t.Errorf("%v: %+v, in the batch %+v", args, want, got[i])
		}
	}
	for field, says := range map[string]string{`"box_scale": 0`: "box_scale is 0, expected 1024 or 1023", `"box_scale": 1024.5`: "box_scale", `"max_boxes": 0`: "max_boxes is 0, expected 1 or more"} {
		wrong := `{"images": ["05-purple.png"], "task": "detect", "classes": ["horse"], ` + field + "}"
		if err := os.WriteFile(filepath.Join(dir, "wrong.jsonl"), []byte(wrong), 0o644); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := in(dir, exe, "batch", "--input", "wrong.jsonl", "--output", "none.jsonl"); code != 1 || !strings.Contains(stderr, says) {
			t.Errorf("%s: status %d, %s", field, code, stderr)
		}
	}
	// What was answered is not answered again.
	if code, _, stderr := in(dir, exe, "batch", "--input", "in.jsonl", "--output", "out.jsonl"); code != 1 || !strings.Contains(stderr, "4 of 5 requests were answered") {
		t.Errorf("status %d, %s", code, stderr)
	}
	for line, says := range map[string]string{
		`{"images": ["05-purple.png"], "task": "find", "classes": ["cat"]}`:                             `task is "find", expected detect or segment`,
		`{"images": ["05-purple.png"], "classes": ["cat"]}`:                                             "task is missing",
		`{"images": ["05-purple.png"], "prompt": "caption en", "min_score": 0.5}`:                       "task is missing",
		`{"images": ["05-purple.png"], "task": "detect"}`:                                               "classes is missing",
		`{"images": ["05-purple.png"], "task": "detect", "classes": []}`:                                "no class is named",
		`{"images": ["05-purple.png"], "task": "detect", "classes": [null]}`:                            "classes is [null]",
		`{"images": ["05-purple.png"], "task": "detect", "classes": ["a;b"]}`:                           "holds ';'",
		`{"images": ["05-purple.png"], "task": "detect", "classes": ["cat"], "prompt": "x"}`:            "a prompt is given",
		`{"images": ["05-purple.png"], "task": "detect", "classes": ["cat"], "max_new_tokens": 5}`:      "a setting of generated text",
		`{"images": ["05-purple.png"], "task": "detect", "classes": ["cat"], "min_score": 2}`:           "min_score is 2",
		`{"images": ["05-purple.png", "06-green.png"], "task": "detect", "classes": ["cat"], "nms": 1}`: "about 2 pictures",
	} {
		if err := os.WriteFile(filepath.Join(dir, "bad.jsonl"), []byte(line), 0o644); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := in(dir, exe, "batch", "--input", "bad.jsonl", "--output", "bad-out.jsonl")
		if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "bad.jsonl: line 1: ") || !strings.Contains(stderr, says) {
			t.Errorf("%s: status %d, %q, expected %q", line, code, stderr, says)
		}
	}
}

// TestHeader sends a header with the request for a picture, whatever the command.
func TestHeader(t *testing.T) {
	data, err := os.ReadFile(golden.Picture("noise.png"))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer key" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Write(data)
	}))
	defer s.Close()
	exe, picture, header := e2e.Compiled(t, "pg1-odd"), s.URL+"/a.png", []string{"--header", "Authorization: Bearer key"}
	for _, args := range [][]string{
		{picture, "x"}, {"detect", picture, "cat"}, {"segment", picture, "cat"}, {"mask", "--image", picture, "--prompt", "x"},
		{"attend", "--image", picture, "--prompt", "x", "--token", "0", "-o", "a.png"}, {"forward", "--image", picture, "--prompt", "x", "-o", "a.safetensors"},
	} {
		if code, _, stderr := in(t.TempDir(), exe, append(args, header...)...); code != 0 {
			t.Errorf("%q: status %d, %s", args, code, stderr)
		}
		if code, _, stderr := in(t.TempDir(), exe, args...); code != 1 || !strings.Contains(stderr, "401") {
			t.Errorf("%q without the header: status %d, %s", args, code, stderr)
		}
	}
}
