package build

import (
	"path/filepath"
	"strings"
	"testing"

	"pgc/ir"
	"pgc/runtime/manifest"
	"pgc/runtime/program"
)

// TestGraph reads the graph of a file, and of files whose section is missing, foreign or cut off.
func TestGraph(t *testing.T) {
	packed := EncodeGraph(&ir.Module{})
	for _, c := range []struct {
		name    string
		section []byte
		want    string // of the error; "" if there is none
	}{
		{"good", packed, ""},
		{"missing", nil, "missing carries no graph: it was made by some pgc, this is " + Version},
		{"foreign", []byte("\x1f\x8b\x08 of another time"), "foreign: section graph: "},
		{"cut", packed[:len(packed)-1], "cut: section graph: "},
	} {
		p := &program.Program{Generator: "some pgc", Target: program.Target{Arch: "amd64", CPU: "x"}}
		var sections []program.Section
		if c.section != nil {
			sections = append(sections, program.Bytes(manifest.SectionGraph, c.section))
		}
		path := filepath.Join(t.TempDir(), c.name)
		if err := program.Write(t.Context(), path, []byte("\x7fELF"), []*program.Program{p}, sections...); err != nil {
			t.Fatal(err)
		}
		image, err := program.OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = decodeGraph(c.name, image, program.CPU)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%s: error %v, expected %q", c.name, err, c.want)
		}
		image.Close()
	}
}
