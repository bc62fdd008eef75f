package ptx

import (
	"bytes"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	store "pgc/codegen/weights"
	"pgc/frontend/text"
	"pgc/runtime/engine"
	"pgc/runtime/program"
)

// TestProgramFile writes a program for GPUs into a file and opens it: text, weights and launches are those that were
// compiled, and a runtime for CPUs says in one sentence why it does not run them.
func TestProgramFile(t *testing.T) {
	c := graphCases[slices.IndexFunc(graphCases, func(c graphCase) bool { return c.name == "bias_residual" })]
	m, err := text.Parse("f.pgir", c.source)
	if err != nil {
		t.Fatal(err)
	}
	_, w := tensors(t, m.Func("f"), c.syms)
	r := compileModule(t, m, true)
	if r.Program.Target.Kind != program.PTX || r.Code.Section != program.SectionPTX {
		t.Fatalf("a target of kind %v, code in section %s", r.Program.Target.Kind, r.Code.Section)
	}
	var section bytes.Buffer
	weights := program.Section{Name: program.SectionWeights, Write: func(to io.Writer) error {
		return r.WriteWeights(io.MultiWriter(to, &section), w, store.Writing{})
	}}
	path := filepath.Join(t.TempDir(), "exe")
	if err := program.Write(t.Context(), path, []byte("\x7fELF"), []*program.Program{r.Program}, weights, program.Bytes(r.Code.Section, r.Code.Bytes)); err != nil {
		t.Fatal(err)
	}
	image, err := program.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	if text, err := image.Code(image.Program); err != nil || !bytes.Equal(text, r.Code.Bytes) || !bytes.Equal(image.Weights, section.Bytes()) {
		t.Error("the file has another text or other weights")
	}
	if got := image.Program; len(got.Funcs[0].Launches) != 2 || !got.Kernels[1].DynamicShared {
		t.Errorf("launches %v of kernels %v", got.Funcs[0].Launches, got.Kernels)
	}
	if l := image.Program.Weights[0].Layout; l.Kind != program.LayoutPanels || image.Program.Weights[0].Bytes != 64*37*2 {
		t.Errorf("the matrix is stored as %v in %d bytes", l, image.Program.Weights[0].Bytes)
	}
	_, err = image.Choose("", engine.CheckSupport)
	if want := "its code for sm_80 does not run here: it is code of kind ptx, this runtime executes kind cpu"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, expected %q", err, want)
	}
	// Without its text it is refused.
	if err := program.Write(t.Context(), path, []byte("\x7fELF"), []*program.Program{r.Program}, weights); err == nil ||
		!strings.Contains(err.Error(), "lies outside the 0 bytes of its section") {
		t.Errorf("error %v", err)
	}
}
