// Package generate runs PaliGemma: it lays out the prompt, encodes images, fills the KV cache, and generates or
// scores tokens with the functions of a compiled program.
package generate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/grammar"
	"pgc/runtime/manifest"
	"pgc/runtime/native"
	"pgc/runtime/sample"
	"pgc/runtime/tokenizer"
)

// Session is a loaded model. One goroutine uses it at a time.
type Session struct {
	Model     *manifest.Model
	Tokenizer *tokenizer.Tokenizer
	Engine    *engine.Engine
	Mapped    int64                           // bytes of the file's sections other than runtime and weights
	Whole     func(ctx context.Context) error // waits until the weights are known to be whole, or returns their damage; nil for no such check

	vocabulary func() (*grammar.Vocabulary, error)

	fn       *functions
	used     used
	encoded  []encoded // whose features the executor holds, image by image
	pictures featureCache
	apart    bool    // whether functions of steps have an arena of their own
	pace     float64 // cost of what parts of functions do in a nanosecond; 0 before the first
	ahead    ahead
	costs    costs
	lend     func() *slice // has others use the executor, and says how long a part may take then; nil where nobody waits for steps
	id       [1]int32      // what goes into the state next and comes from it
	row      []float32     // logits of one sequence
	rows     [][]float32   // row, and more where threads or sequences need several
	head     sample.Likeliest
}

// New prepares a session. The engine stays the caller's to close.
func New(m *manifest.Model, t *tokenizer.Tokenizer, e *engine.Engine) (*Session, error) {
	if kept := m.Tokens(); kept != nil {
		t = t.Keep(kept)
	}
	f, err := find(e, m.VocabSize, len(m.Adapters), m.Masks != nil)
	if err != nil {
		return nil, err
	}
	row := make([]float32, m.VocabSize)
	s := &Session{Model: m, Tokenizer: t, Engine: e, fn: f, row: row, rows: [][]float32{row}, used: used{tokens: make([]int, max(1, e.Program.Slots))}, pictures: newFeatureCache(m, DefaultImageCache),
		vocabulary: sync.OnceValues(func() (*grammar.Vocabulary, error) {
			codes := grammar.AllCodes
			if m.Masks != nil {
				codes = m.Masks.Entries
			}
			return grammar.NewVocabulary(t, m.VocabSize, m.EOS, m.SuppressTokens, codes)
		})}
	return s, nil
}

// SetImageCache bounds the features of images that the session keeps, in bytes; 0 keeps none. The session must not have run.
func (s *Session) SetImageCache(bytes int64) { s.pictures = newFeatureCache(s.Model, bytes) }

// Close gives back what the session holds itself. The engine stays the caller's to close.
func (s *Session) Close() error { return s.pictures.drop() }

// Grammar returns the grammar of a task's answers. It may be called from any goroutine.
func (s *Session) Grammar(t grammar.Task) (*grammar.Grammar, error) {
	v, err := s.vocabulary()
	if err != nil {
		return nil, err
	}
	return v.Compile(t)
}

// Layout makes the prompt of a text about some images as transformers' PaliGemmaProcessor does. A nil suffix is none.
// A text that cannot fit the KV cache by its length alone is refused before it is encoded.
func (s *Session) Layout(images int, text string, suffix *string, parseSpecials bool) (tokenizer.Prompt, error) {
	given := text
	if suffix != nil {
		given += *suffix
	}
	if len(given) > s.Model.MaxTokens { // else the bound says nothing
		if n := s.Tokenizer.AtLeast(given); n > s.Model.MaxTokens {
			return tokenizer.Prompt{}, tooLong{fmt.Sprintf("the %d bytes of the prompt are at least %d tokens, but the KV cache holds %d: compile with --max-tokens %d or more",
				len(given), n, s.Model.MaxTokens, n)}
		}
	}
	l := tokenizer.Layout{Image: int32(s.Model.Image), BOS: int32(s.Model.BOS), EOS: int32(s.Model.SuffixEnd), ImageTokens: s.Model.ImageTokens, End: s.Model.PromptEnd}
	return s.Tokenizer.Prompt(l, images, text, suffix, parseSpecials)
}

// ErrTooLong is what errors about prompts are that the KV cache cannot hold.
var ErrTooLong = errors.New("the prompt is longer than the KV cache")

// tooLong is an ErrTooLong with a sentence of its own.
type tooLong struct{ text string }

// Error implements error.
func (e tooLong) Error() string { return e.text }

// Is implements errors.Is.
func (e tooLong) Is(target error) bool { return target == ErrTooLong }

// Check says why a prompt cannot be run in a batch slot: it is longer than the KV cache, or there is too little memory
// for it.
func (s *Session) Check(p tokenizer.Prompt, images, newTokens, slot int) error {
	if err := s.fits(p, images); err != nil {
		return err
	}
	return s.enough(p, newTokens, slot, 0)
}

// layout is the prompt of a request, if the model can take it.
func (s *Session) layout(r *Request) (tokenizer.Prompt, error) {
	p, err := s.Layout(len(r.Images), r.Prompt, nil, r.ParseSpecials)
	if err != nil {
		return p, err
	}
	return p, s.fits(p, len(r.Images))
}

// fits says why a prompt cannot be run whatever the machine.
func (s *Session) fits(p tokenizer.Prompt, images int) error {
	n := len(p.IDs)
	if n > s.Model.MaxTokens {
		return tooLong{fmt.Sprintf("the prompt has %d tokens (%d images of %d and %d of text), but the KV cache holds %d: compile with --max-tokens %d or more",
			n, images, s.Model.ImageTokens, n-images*s.Model.ImageTokens, s.Model.MaxTokens, n)}
	}
	for i, id := range p.IDs {
		if int(id) >= s.Model.VocabSize && int(id) != s.Model.Image {
			return fmt.Errorf("token %d of the prompt is %s, id %d, which the model does not have: its embedding has %d rows", i, s.Tokenizer.Token(id), id, s.Model.VocabSize)
		}
	}
	return nil
}

// enough says why there is too little memory for a prompt and an answer of newTokens at most in a batch slot, others
// bytes being spoken for.
func (s *Session) enough(p tokenizer.Prompt, newTokens, slot int, others int64) error {
	if s.Engine.OnGPU() { // where all memory was taken when it started
		return nil
	}
	n := len(p.IDs)
	need := s.further(s.Memory(n, 0), min(n+newTokens, s.Model.MaxTokens), slot)
	return native.CheckMemory(need+others, fmt.Sprintf("a prompt of %d tokens", n))
}

// start puts a prompt into the inputs of f and binds its symbols.
func (s *Session) start(f prompted, p tokenizer.Prompt) error {
	ids, slots := slices.Clone(p.IDs), make([]int32, len(p.IDs))
	next := int32(0)
	for i, id := range ids {
		slots[i] = -1
		if int(id) == s.Model.Image {
			slots[i] = next
			next++
			ids[i] = 0 // the image token needs no row in the embedding
		}
	}
	if err := engine.Put(f.ids, 0, ids); err != nil {
		return err
	}
	if err := engine.Put(f.slots, 0, slots); err != nil {
		return err
	}
	f.Set(entry.SymTokens, len(p.IDs))
	f.Set(entry.SymKeys, len(p.IDs))
	f.Set(entry.SymPast, 0)
	f.Set(entry.SymPrefix, p.Prefix)
	return nil
}

// token returns the token that the last run of greedy or step chose.
func (s *Session) token() (int32, error) {
	err := engine.Get(s.fn.next, 0, s.id[:])
	return s.id[0], err
}
