package app

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"pgc"
	"pgc/runtime/cli"
)

const (
	generated = "max-new-tokens temperature top-k top-p repetition-penalty seed stop ignore-eos parse-specials skip-special-tokens logprobs"
	located   = "min-score max-boxes nms per-class free-labels box-scale no-scores format output draw threads"
	batched   = "output shard as-ready threads"
)

// flags are those of every command. A use on which one has no effect is refused, if it cannot be meant: idle has such command lines.
var flags = map[string]map[string]string{
	"generating": {
		"generate": "image prompt each adapter draw stream json threads " + generated,
		"detect":   "adapter " + located,
		"segment":  "adapter masks " + located,
		"batch":    "input prompt detect segment texts adapter " + generated + " " + batched,
		"mask":     "image prompt suffix output parse-specials threads",
		"attend":   "image prompt token layer head output adapter threads " + generated,
		"forward":  "image prompt suffix output parse-specials adapter threads",
		"serve":    "addr api-keys max-queue max-queue-bytes max-connections request-timeout drain-timeout allow-image-urls tls-cert tls-key host cors log-format log-prompts threads",
		"merge":    "output",
		"tokenize": "input parse-specials",
		"info":     "json verify license",
		"help":     "",
		"":         "version no-verify device header isa assume-isa",
	},
	"embedding": {
		"embed": "query output adapter threads",
		"rank":  "query adapter threads json",
		"batch": "input " + batched,
	},
	// internal/e2e/locate tries what an executable of several prompts, or of none that is a task, refuses.
	"frozen": {"answer": "adapter masks json " + located},
}

// idle are command lines with a flag that has no effect there, and the flag that is refused. FOLDER has a picture.
var idle = map[string]string{
	"attend --image a.png --prompt x --token 0 -o a.safetensors --logprobs":          "--logprobs",
	"attend --image a.png --prompt x --token 0 -o a.png --skip-special-tokens=false": "--skip-special-tokens",
	"info --license --json":   "--license",
	"info --license --verify": "--license",
}

// TestFlags holds the table above, and tries the command lines.
func TestFlags(t *testing.T) {
	makes := map[string]any{"generating": &generating{}, "embedding": &embedding{}, "frozen": &frozen{}}
	for kind, root := range makes {
		k, err := kong.New(root, verbatim)
		if err != nil {
			t.Fatal(err)
		}
		compare := func(command string, has []*kong.Flag) {
			row, known := flags[kind][command]
			if !known {
				row, known = flags["generating"][command]
			}
			var names []string
			for _, f := range has {
				if f.Name != "help" {
					names = append(names, f.Name)
				}
			}
			slices.Sort(names)
			if want := slices.Sorted(slices.Values(strings.Fields(row))); !known || !slices.Equal(names, want) {
				t.Errorf("%s %s has the flags %q, expected %q: say in the table, and in idle, where a new one has no effect", kind, command, names, want)
			}
		}
		compare("", k.Model.Flags)
		for _, c := range k.Model.Children {
			compare(c.Name, c.Flags)
		}
	}
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "a.png"), []byte("\x89PNG\r\n\x1a\n"), 0o600), os.WriteFile(filepath.Join(dir, "list.jsonl"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, line := range slices.Sorted(maps.Keys(idle)) {
		g := &generating{}
		parsed, err := cli.Of(g).Parse(strings.Fields(strings.ReplaceAll(line, "FOLDER", dir)))
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		err = parsed.Value.(interface{ Run(*App) error }).Run(&App{Out: io.Discard, Err: io.Discard, warned: map[pgc.WarningKind]bool{}})
		if !Misused(err) || !strings.Contains(err.Error(), idle[line]) {
			t.Errorf("%s: %v, expected wrong usage of %s", line, err, idle[line])
		}
	}
}

// TestIdleOfInput: what batch says of flags that have no effect on an input.
func TestIdleOfInput(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "list.jsonl")
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "a.png"), nil, 0o600), os.WriteFile(list, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	found := defaults{task: "detect", classes: []string{"cat"}, texts: true}
	budget, adapter, untold := found, found, found
	budget.MaxNewTokens, adapter.Adapter, untold.texts = new(3), "x", false
	for _, c := range []struct {
		path string
		d    defaults
		want string
	}{
		{dir, found, ""}, {dir, adapter, ""}, {list, budget, ""}, // requests of a list may be of text
		{dir, budget, "settings of generated text have no effect beside --detect"},
		{dir, untold, "--no-texts has no effect without a tar file"},
		{list, untold, "--no-texts has no effect without a tar file"},
	} {
		in, err := openInput(c.path, c.d, false, func([]byte) bool { return true })
		if err != nil || in.idle != c.want {
			t.Errorf("%s %+v: %v, %+v, expected %q", c.path, c.d, err, in, c.want)
			continue
		}
		in.Close()
	}
}
