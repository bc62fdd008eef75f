package pgc

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"pgc/runtime/embed"
	"pgc/runtime/engine"
	"pgc/runtime/generate"
	"pgc/runtime/manifest"
	"pgc/runtime/program"
	"pgc/runtime/tokenizer"
)

// Executable is a file that `pgc compile` made, mapped into memory but not running. It may be for another machine.
type Executable struct {
	file  *program.Executable
	model *manifest.Model
}

// OpenExecutable maps the executable at path and checks all of it but the weights. An error is one sentence that names
// the file and the section at fault.
func OpenExecutable(path string) (*Executable, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return OpenExecutableFile(f)
}

// OpenExecutableFile is OpenExecutable of an open file, which may be closed afterwards.
func OpenExecutableFile(f *os.File) (*Executable, error) {
	file, err := program.Open(f)
	if err != nil {
		return nil, err
	}
	m, err := manifest.Decode(file.Program.Model)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: the model description is damaged: %w", f.Name(), err)
	}
	return &Executable{file, m}, nil
}

// Close unmaps the file. Models that it loaded must be closed before.
func (e *Executable) Close() error { return e.file.Close() }

// Name is the name of the checkpoint.
func (e *Executable) Name() string { return e.model.Name }

// Kind is the architecture, such as "paligemma (gemma2)".
func (e *Executable) Kind() string { return e.model.Kind }

// Embeds reports whether the model makes embeddings. If not, it generates text.
func (e *Executable) Embeds() bool { return e.model.Embedding != nil }

// ISAs lists the instruction sets that the executable has code for, the best first.
func (e *Executable) ISAs() []string { return e.file.Variants() }

// License is the text of the checkpoint's license, or "" if it came without one.
func (e *Executable) License() string { return string(e.file.Section(manifest.SectionLicense)) }

// Verify reads all weights and compares their checksums, which takes as long as reading the file. progress, unless nil,
// is told how many bytes of how many are done. An error names the damaged tensors.
func (e *Executable) Verify(ctx context.Context, progress func(done, total int64)) error {
	return e.file.Verify(ctx, progress)
}

// Tokenizer returns the checkpoint's tokenizer.
func (e *Executable) Tokenizer() (*Tokenizer, error) {
	t, err := tokenizer.Load(e.file.Section(manifest.SectionTokenizer))
	if err != nil {
		return nil, err
	}
	return &Tokenizer{t}, nil
}

// Tokenizer turns texts into ids.
type Tokenizer struct{ t *tokenizer.Tokenizer }

// Encode returns the ids of a text on its own: without the prompt's template and without <bos>. With parseSpecials,
// texts such as <eos> are read as tokens.
func (t *Tokenizer) Encode(text string, parseSpecials bool) []int32 {
	return t.t.Encode(text, parseSpecials)
}

// Load prepares the model to run in this process. The executable must stay open until the model is closed.
func (e *Executable) Load(opts ...Option) (*Model, error) {
	o := options{threads: runtime.NumCPU()}
	for _, set := range opts {
		set(&o)
	}
	if o.threads < 1 {
		return nil, fmt.Errorf("%d threads, expected 1 or more", o.threads)
	}
	if o.isa != "" && !slices.Contains(e.ISAs(), o.isa) {
		return nil, fmt.Errorf("%s is no instruction set of the executable, expected one of %v", o.isa, e.ISAs())
	}
	start := time.Now()
	tok, err := e.Tokenizer()
	if err != nil {
		return nil, err
	}
	m := &Model{exe: e, tokenizer: tok}
	if m.engine, err = engine.Open(e.file, o.isa, o.threads); err != nil {
		return nil, err
	}
	if err := m.start(); err != nil {
		m.engine.Close()
		return nil, err
	}
	m.load = time.Since(start)
	return m, nil
}

// start makes what runs the model's functions.
func (m *Model) start() (err error) {
	e := m.exe
	if e.Embeds() {
		m.embedder, err = embed.New(e.model, m.tokenizer.t, m.engine)
		return err
	}
	session, err := generate.New(e.model, m.tokenizer.t, m.engine)
	if err != nil {
		return err
	}
	session.Mapped = e.mapped()
	m.scheduler = generate.NewScheduler(session)
	return nil
}

// mapped is the size of all sections but the runtime and the weights.
func (e *Executable) mapped() (bytes int64) {
	for _, s := range e.file.Sections {
		if s.Name != program.SectionRuntime && s.Name != program.SectionWeights {
			bytes += s.Bytes
		}
	}
	return bytes
}
