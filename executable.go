package pgc

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"pgc/runtime/embed"
	"pgc/runtime/generate"
	"pgc/runtime/integrity"
	"pgc/runtime/manifest"
	"pgc/runtime/native"
	"pgc/runtime/program"
	"pgc/runtime/tokenizer"
)

// Executable is a file that `pgc compile` made, mapped into memory but not running. It may be for another machine.
type Executable struct {
	file      *program.Executable
	model     *manifest.Model
	tokenizer func() (*tokenizer.Tokenizer, error) // reads the mapped file
	mapped    lease                                // of the file
	whole     bool                                 // whether all checksums were right earlier
}

// OpenExecutable maps the executable at path and checks all of it but the weights, unless a record says that this version
// of the file was found whole. An error is one sentence that names the file and the section at fault.
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
	whole := false
	file, err := program.OpenHeads(f, func(m *program.Executable) bool {
		_, whole = integrity.Known(m)
		return whole
	})
	if err != nil {
		return nil, err
	}
	m, err := manifest.Decode(file.Program.Model)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: the model description is damaged: %w", f.Name(), err)
	}
	return &Executable{file: file, model: m, whole: whole, mapped: newLease(file.Close),
		tokenizer: sync.OnceValues(func() (*tokenizer.Tokenizer, error) { return tokenizer.Load(file.Section(manifest.SectionTokenizer)) })}, nil
}

// Close unmaps the file, once the calls that read it have returned and the models that it loaded are closed. It may be
// called twice.
func (e *Executable) Close() error { return e.mapped.shut() }

// Name is the name of the checkpoint.
func (e *Executable) Name() string { return e.model.Name }

// Kind is the architecture, such as "paligemma (gemma2)".
func (e *Executable) Kind() string { return e.model.Kind }

// Generator is the compiler that made it.
func (e *Executable) Generator() string { return e.file.Program.Generator }

// Embeds reports whether the model makes embeddings. If not, it generates text.
func (e *Executable) Embeds() bool { return e.model.Embedding != nil }

// ISAs lists the instruction sets of processors that the executable has code for, the best first.
func (e *Executable) ISAs() (names []string) {
	for _, p := range e.file.Programs {
		if p.Target.Kind == program.CPU {
			names = append(names, p.Target.CPU)
		}
	}
	return names
}

// CheckISA returns an error that says what this CPU lacks for one of the instruction sets that ISAs lists.
func (e *Executable) CheckISA(name string) error {
	_, err := e.processor(options{isa: name})
	return err
}

// GPURuntime is the runtime for GPUs, an ELF file, of an executable that begins with the one for processors and has code
// for both, or nil.
func (e *Executable) GPURuntime() []byte { return e.file.Section(manifest.SectionRuntimeGPU) }

// License is the text of the checkpoint's license, or "" if it came without one.
func (e *Executable) License() string {
	if e.mapped.take() != nil {
		return ""
	}
	defer e.mapped.give()
	return string(e.file.Section(manifest.SectionLicense))
}

// Checksum is of all sections of the file.
func (e *Executable) Checksum() uint32 { return e.file.Sum }

// Verify reads all weights and compares their checksums, which takes as long as reading the file. progress, unless nil,
// is told how many bytes of how many are done. An error is ErrDamaged and names the damaged tensors, or is ctx's.
func (e *Executable) Verify(ctx context.Context, progress func(done, total int64)) error {
	if err := e.mapped.take(); err != nil {
		return err
	}
	defer e.mapped.give()
	return integrity.Verify(ctx, e.file, progress)
}

// Tokenize returns the ids of a text on its own: without the prompt's template and without <bos>. With parseSpecials,
// texts such as <eos> are read as tokens.
func (e *Executable) Tokenize(text string, parseSpecials bool) ([]int32, error) {
	if err := e.mapped.take(); err != nil {
		return nil, err
	}
	defer e.mapped.give()
	t, err := e.tokenizer()
	if err != nil {
		return nil, err
	}
	return t.Encode(text, parseSpecials), nil
}

// Load prepares the model to run in this process.
func (e *Executable) Load(opts ...Option) (*Model, error) {
	o := options{threads: native.DefaultThreads(), imageCache: generate.DefaultImageCache}
	for _, set := range opts {
		set(&o)
	}
	if o.threads < 1 {
		return nil, fmt.Errorf("%d threads, expected 1 or more", o.threads)
	}
	if o.isa != "" && !slices.Contains(e.ISAs(), o.isa) {
		return nil, fmt.Errorf("%s is no instruction set of the executable, expected one of %v", o.isa, e.ISAs())
	}
	if err := e.mapped.take(); err != nil {
		return nil, err
	}
	m, err := e.load(o)
	if err != nil {
		e.mapped.give()
		return nil, err
	}
	return m, nil
}

// load starts a model, which gives the mapped file back when it has been closed.
func (e *Executable) load(o options) (*Model, error) {
	start := time.Now()
	t, err := e.tokenizer()
	if err != nil {
		return nil, err
	}
	c, err := e.choose(o)
	if err != nil {
		return nil, err
	}
	var unpacking sync.WaitGroup
	unpacking.Go(func() { e.file.Code(c.program) }) // which start finds, or its error
	defer unpacking.Wait()
	if err := e.file.Complete(c.program); err != nil {
		return nil, err
	}
	m := &Model{exe: e, on: c, room: newRoom(), mapped: newLease(e.mapped.give)}
	if m.model, err = e.modelOf(c.program); err != nil {
		return nil, err
	}
	if m.engine, err = e.start(c, o); err != nil {
		return nil, err
	}
	if err := m.start(t, o); err != nil {
		m.engine.Close()
		return nil, err
	}
	known := e.whole || o.unverified
	if !known {
		_, known = integrity.Known(e.file)
	}
	if !known {
		busy := m.engine.Busy
		if o.threads < native.CountProcessors().AtOnce() { // there is a processor to spare
			busy = nil
		}
		m.check = integrity.Start(e.file, busy, m.fail)
	}
	m.load = time.Since(start)
	return m, nil
}

// start makes what runs the model's functions.
func (m *Model) start(t *tokenizer.Tokenizer, o options) (err error) {
	e := m.exe
	if e.Embeds() {
		if m.embedder, err = embed.New(m.model, t, m.engine); err != nil {
			return err
		}
		m.embedder.Whole = m.whole
		return nil
	}
	session, err := generate.New(m.model, t, m.engine)
	if err != nil {
		return err
	}
	session.SetImageCache(o.imageCache)
	session.Mapped, session.Whole = e.mappedBytes(m.engine.Program), m.whole
	m.scheduler = generate.NewScheduler(session)
	return nil
}

// mappedBytes is the size of all sections but the runtime and the weights, and of a program's code where it is unpacked.
func (e *Executable) mappedBytes(p *program.Program) int64 {
	bytes := p.UnpackedBytes()
	for _, s := range e.file.Sections {
		if s.Name != program.SectionRuntime && s.Name != program.SectionWeights && s.Name != manifest.SectionRuntimeGPU {
			bytes += s.Bytes
		}
	}
	return bytes
}
