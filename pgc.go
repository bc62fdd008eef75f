// Package pgc opens executables that `pgc compile` made and answers prompts about images in this process:
//
//	m, err := pgc.Open("./captioner")
//	if err != nil { … }
//	defer m.Close()
//	a, err := m.Generate(ctx, pgc.Request{Images: []pgc.Image{pgc.File("photo.jpg")}, Prompt: "caption en"})
//
// A [Model] may be used from many goroutines at the same time. Requests share the processor and the weights: their
// tokens are decoded together where that is faster, and every answer has the bits that it has on its own, for any
// number of threads.
//
// The package reads executables for the machine it runs on. It imports no compiler; package pgc/compile does.
package pgc

import (
	"context"
	"errors"
	"sync"
	"time"

	"pgc/runtime/embed"
	"pgc/runtime/engine"
	"pgc/runtime/generate"
	"pgc/runtime/integrity"
	"pgc/runtime/manifest"
	"pgc/runtime/program"
)

// ErrClosed is the error of calls on a closed model or executable.
var ErrClosed = generate.ErrClosed

// ErrDamaged is in the chain of errors that say that a file's weights are not what was compiled. Such a model answers
// nothing any more.
var ErrDamaged = program.ErrDamaged

// ErrTooLong is in the chain of errors that say that a prompt is longer than the KV cache.
var ErrTooLong = generate.ErrTooLong

// Model is an opened executable, ready to run.
type Model struct {
	exe       *Executable
	owned     bool // whether Close closes exe
	on        chosen
	model     *manifest.Model // as the program that runs has it
	engine    *engine.Engine
	scheduler *generate.Scheduler // of a model that generates text
	embedder  *embed.Session      // of a model that makes embeddings
	check     *integrity.Check    // of the weights; nil if they are known to be whole, or not to be checked
	load      time.Duration
	room      room
	mapped    lease // of the executable's file
	closing   sync.Once
}

// Option is a setting of Open.
type Option func(*options)

type options struct {
	threads    int
	exact      bool // no more than threads, however busy the machine
	isa        string
	assumed    bool // whether neither CPU nor system are asked for the instruction set
	device     Device
	gpus       engine.GPUs
	progress   func(what string, done, total int64)
	unverified bool
	imageCache int64
}

// WithThreads computes on n threads, no more however busy the machine is. The default is one for each core that the
// process may use, of which Info tells more, and as many spare ones that help while other programs take the processors.
// Results do not depend on it.
func WithThreads(n int) Option { return func(o *options) { o.threads, o.exact = n, true } }

// WithISA runs the code for the named instruction set, one of those that Executable.ISAs lists, instead of the best
// that the CPU has.
func WithISA(name string) Option { return func(o *options) { o.isa = name } }

// WithAssumedISA is WithISA without a question to the CPU or to the system: for programs that emulate instructions of an
// executable, which may then install handlers of their own. Without one the process ends by SIGILL where the CPU lacks
// an instruction.
func WithAssumedISA(name string) Option { return func(o *options) { o.isa, o.assumed = name, true } }

// WithImageCache keeps the encoded form of images that were asked about last, up to so many bytes: a request about one of them, however it
// came, does not encode it again. An image takes four bytes for each of its tokens and of the decoder's hidden dimensions, 2.25 MiB with
// 256 tokens of 2304. 0 keeps none; the default is 64 MiB, of which what is not used takes no memory. Answers do not depend on it.
func WithImageCache(bytes int64) Option { return func(o *options) { o.imageCache = bytes } }

// WithoutVerification leaves damaged weights unnoticed. By default the checksums of the weights are compared beside the
// first work, and no answer is complete before: then its error is ErrDamaged. That a file is whole is remembered in the
// user's cache folder until the file changes.
func WithoutVerification() Option { return func(o *options) { o.unverified = true } }

// Open opens the executable at path. Its weights stay in the file and are read as they are needed, so the file must not
// change while the model is open. An error is one sentence that names the file.
func Open(path string, opts ...Option) (*Model, error) {
	start := time.Now()
	e, err := OpenExecutable(path)
	if err != nil {
		return nil, err
	}
	m, err := e.Load(opts...)
	if err != nil {
		e.Close()
		return nil, err
	}
	m.owned, m.load = true, time.Since(start)
	return m, nil
}

// Close ends the calls that are under way with ErrClosed, stops the threads, and gives all memory back. It may be
// called twice.
func (m *Model) Close() (err error) {
	m.closing.Do(func() {
		switch {
		case m.scheduler != nil:
			m.scheduler.Close()
		case m.embedder != nil:
			m.embedder.Close(ErrClosed)
		default:
			return // the zero Model
		}
		if m.check != nil {
			m.check.Close(ErrClosed)
		}
		err = m.engine.Close()
		if m.owned {
			err = errors.Join(err, m.exe.Close())
		}
		err = errors.Join(err, m.mapped.shut())
	})
	return err
}

// Device says what the model runs on: cpu, or a GPU, its number and name.
func (m *Model) Device() string { return m.on.String() }

// NoGPU says why the model runs on the processor although its executable has code for GPUs and any device was welcome, or
// is nil.
func (m *Model) NoGPU() error { return m.on.missed }

// LoadTime is how long the model took to open.
func (m *Model) LoadTime() time.Duration { return m.load }

// Load is how busy a model is: requests that it works on, requests that wait, and the sequences that it decodes at the
// same time at most. A request that detects counts once for each of its prompts.
type Load struct{ Running, Waiting, Slots int }

// Load tells how busy the model is now.
func (m *Model) Load() Load {
	switch {
	case m.scheduler != nil:
		return Load(m.scheduler.Load())
	case m.embedder != nil:
		running, waiting := m.embedder.Load()
		return Load{running, waiting, 1}
	}
	return Load{} // the zero Model
}

// Slots is how many sequences are decoded at the same time at most.
func (m *Model) Slots() int { return m.engine.Program.Slots }

// Info describes the model.
func (m *Model) Info() Info {
	return m.exe.info(m.on, true, options{unverified: m.check == nil})
}

// Tokenize returns the ids of a text on its own: without the prompt's template and without <bos>. With parseSpecials,
// texts such as <eos> are read as tokens.
func (m *Model) Tokenize(text string, parseSpecials bool) ([]int32, error) {
	if err := m.mapped.take(); err != nil {
		return nil, err
	}
	defer m.mapped.give()
	t, err := m.exe.tokenizer()
	if err != nil {
		return nil, err
	}
	return t.Encode(text, parseSpecials), nil
}

// BOS is the id of <bos>, which stands before the text of every prompt.
func (m *Model) BOS() int32 { return int32(m.exe.model.BOS) }

// TokenText returns what a token adds to a text, of a byte token a byte of it, and whether it is special: texts of answers
// leave it out. The text is empty for an id that the tokenizer does not have.
func (m *Model) TokenText(id int32) (text []byte, special bool, err error) {
	if err := m.mapped.take(); err != nil {
		return nil, false, err
	}
	defer m.mapped.give()
	t, err := m.exe.tokenizer()
	if err != nil {
		return nil, false, err
	}
	return t.Bytes(id), t.Special(id), nil
}

// Generate answers a request. When ctx ends it returns ctx's error within the time of a task of a kernel, and other
// calls go on.
func (m *Model) Generate(ctx context.Context, r Request) (*Answer, error) {
	q, err := m.request(ctx, r)
	if err != nil {
		return nil, err
	}
	return m.result(ctx, &q, m.scheduler.Submit(ctx, q.Request))
}

// whole waits until the weights are known to be whole, or returns their damage.
func (m *Model) whole(ctx context.Context) error {
	if m.check == nil {
		return nil
	}
	return m.check.Wait(ctx)
}

// fail ends all work with an error.
func (m *Model) fail(err error) {
	if m.scheduler != nil {
		m.scheduler.Fail(err)
	} else {
		m.embedder.Close(err)
	}
}
