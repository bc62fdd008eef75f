// Package embed runs models that make embeddings, a vector for every token, of images and of queries, and scores images
// against a query by late interaction.
package embed

import (
	"context"
	"fmt"
	"slices"

	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/internal/preprocess"
	"pgc/runtime/manifest"
	"pgc/runtime/native"
	"pgc/runtime/rgb"
	"pgc/runtime/tokenizer"
)

// Session is a loaded model. Its methods may be called from any goroutine; where several wait, their clients take turns.
type Session struct {
	Model     *manifest.Model
	Tokenizer *tokenizer.Tokenizer
	Engine    *engine.Engine
	Whole     func(ctx context.Context) error // waits until the weights are known to be whole, or returns their damage; nil for no such check

	forms []form  // of the model alone, and of each adapter that is kept beside it
	image []int32 // the tokens of every image's prompt

	turn  turn            // of whoever uses the engine or the tokenizer
	used  int64           // bytes of activations that are resident; whoever has the turn may use it
	open  context.Context // done once the session is closed
	close context.CancelCauseFunc
}

// form is the functions that embed with one adapter or with none.
type form struct {
	encode, embed                  *engine.Func
	pixels, ids, slots, embeddings engine.Tensor
}

// New prepares a session. The engine stays the caller's to close.
func New(m *manifest.Model, t *tokenizer.Tokenizer, e *engine.Engine) (*Session, error) {
	s, l := &Session{Model: m, Tokenizer: t, Engine: e}, &engine.Lookup{Engine: e}
	for adapter := range len(m.Adapters) + 1 {
		f := form{encode: l.Func(entry.Adapted(entry.EncodeImage, adapter)), embed: l.Func(entry.Adapted(entry.Embed, adapter))}
		f.pixels, f.ids, f.slots = l.Input(f.encode, entry.InPixels), l.Input(f.embed, entry.InIDs), l.Input(f.embed, entry.InSlots)
		f.embeddings = l.Output(f.embed, entry.OutEmbeddings)
		if l.Err != nil {
			return nil, l.Err
		}
		s.forms = append(s.forms, f)
	}
	s.image = Tokens(t, m.Embedding.Image, "")
	s.open, s.close = context.WithCancelCause(context.Background())
	return s, nil
}

// Close ends what runs with the error cause, which later calls return, too. It returns when nothing runs any more.
func (s *Session) Close(cause error) {
	s.close(cause)
	s.turn.take(context.Background(), "")
	s.turn.give()
}

// alone runs work while nothing else runs, at its client's turn, under a context that also ends when the session is closed.
func (s *Session) alone(ctx context.Context, client string, work func(context.Context) error) error {
	own, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.open, func() { cancel(context.Cause(s.open)) })()
	if s.turn.take(own, client) != nil {
		return context.Cause(own)
	}
	defer s.turn.give()
	if s.open.Err() != nil {
		return context.Cause(s.open)
	}
	err := work(own)
	if err != nil && own.Err() != nil {
		return context.Cause(own)
	}
	return err
}

// Load returns how many calls are worked on, and how many wait.
func (s *Session) Load() (running, waiting int) { return s.turn.load() }

// ImageTokens returns the tokens of every image's prompt.
func (s *Session) ImageTokens() []int32 { return s.image }

// QueryTokens returns the tokens of a query, whose text is taken literally, or an error where the model cannot take
// them.
func (s *Session) QueryTokens(ctx context.Context, client, text string) ([]int32, error) {
	var ids []int32
	err := s.alone(ctx, client, func(context.Context) error {
		ids = Tokens(s.Tokenizer, s.Model.Embedding.Query, text)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if n := s.Model.MaxTokens; len(ids) > n {
		return nil, fmt.Errorf("the query has %d tokens, but the model takes %d: compile with --max-tokens %d or more", len(ids), n, len(ids))
	}
	for i, id := range ids {
		if int(id) >= s.Model.VocabSize {
			return nil, fmt.Errorf("token %d of the query is id %d, expected an id under %d, the size of the vocabulary", i, id, s.Model.VocabSize)
		}
	}
	return ids, nil
}

// Tokens lays out a prompt about the user's text.
func Tokens(t *tokenizer.Tokenizer, segments []manifest.Segment, text string) (ids []int32) {
	for _, g := range segments {
		for range g.Count {
			ids = append(ids, int32(g.Token))
		}
		if g.Count > 0 {
			continue
		}
		if g.User {
			g.Text += text
		}
		ids = append(ids, t.Encode(g.Text, false)...)
	}
	return ids
}

// Image returns the embedding of an image with the adapter of a number, 0 for none: float32 [tokens, dim], tokens being
// those of ImageTokens.
func (s *Session) Image(ctx context.Context, client string, adapter int, p *rgb.Image) ([]float32, error) {
	f := s.forms[adapter]
	ids := s.ImageTokens()
	pixels := preprocess.PixelValues(p, s.Model)
	var rows []float32
	err := s.alone(ctx, client, func(ctx context.Context) (err error) {
		if err := s.enough(len(ids), "an image"); err != nil {
			return err
		}
		if err := engine.Put(f.pixels, 0, pixels); err != nil {
			return err
		}
		if err := f.encode.Run(ctx); err != nil {
			return err
		}
		rows, err = s.run(ctx, f, ids, s.Model.ImageTokens)
		return err
	})
	return rows, err
}

// Query returns the embedding of a query with the adapter of a number, 0 for none: float32 [tokens, dim], tokens being
// those that QueryTokens returned.
func (s *Session) Query(ctx context.Context, client string, adapter int, ids []int32) ([]float32, error) {
	var rows []float32
	err := s.alone(ctx, client, func(ctx context.Context) (err error) {
		if err := s.enough(len(ids), "a query"); err != nil {
			return err
		}
		rows, err = s.run(ctx, s.forms[adapter], ids, 0)
		return err
	})
	return rows, err
}

// run embeds tokens, of which the first images take the rows of features that the image encoder left.
func (s *Session) run(ctx context.Context, f form, ids []int32, images int) ([]float32, error) {
	ids, slots := slices.Clone(ids), make([]int32, len(ids))
	next := int32(0)
	for i, id := range ids {
		slots[i] = -1
		if int(id) == s.Model.Image && int(next) < images {
			slots[i] = next
			next++
			ids[i] = 0 // the image token needs no row in the embedding
		}
	}
	if err := engine.Put(f.ids, 0, ids); err != nil {
		return nil, err
	}
	if err := engine.Put(f.slots, 0, slots); err != nil {
		return nil, err
	}
	f.embed.Set(entry.SymTokens, len(ids))
	if err := f.embed.Run(ctx); err != nil {
		return nil, err
	}
	s.used = max(s.used, s.arena(len(ids)))
	rows := make([]float32, len(ids)*s.Model.Embedding.Dim)
	if err := engine.Get(f.embeddings, 0, rows); err != nil {
		return nil, err
	}
	if s.Whole != nil {
		if err := s.Whole(ctx); err != nil {
			return nil, err
		}
	}
	for i, v := range rows {
		if v != v {
			return nil, fmt.Errorf("element %d of the embedding is NaN: FILE info --verify tells whether the file is damaged; if not, the checkpoint holds weights that are NaN or too large", i)
		}
	}
	return rows, nil
}

// enough says why there is too little memory for so many tokens, beyond what earlier runs have made resident.
func (s *Session) enough(tokens int, what string) error {
	if s.Engine.OnGPU() { // where all memory was taken when it started
		return nil
	}
	return native.CheckMemory(max(0, s.arena(tokens)-s.used), fmt.Sprintf("%s of %d tokens", what, tokens))
}

// arena returns the bytes of activations: they take as much of the arena as the tokens are of the most that the model
// takes.
func (s *Session) arena(tokens int) (bytes int64) {
	for i := range s.Engine.Program.Funcs {
		bytes = max(bytes, s.Engine.Program.Funcs[i].ArenaBytes)
	}
	return bytes * int64(tokens) / int64(s.Model.MaxTokens)
}

// Score returns how well an image answers a query: for every vector of the query the greatest dot product with a vector
// of the image, summed (late interaction; Khattab and Zaharia 2020, "ColBERT"; score_retrieval of transformers'
// ColPaliProcessor). Both are float32 [tokens, dim].
func Score(query, image []float32, dim int) float64 {
	sum := 0.0
	for q := range slices.Chunk(query, dim) {
		best := dot(q, image[:dim])
		for v := range slices.Chunk(image[dim:], dim) {
			best = max(best, dot(q, v))
		}
		sum += best
	}
	return sum
}

func dot(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}
