package build

import (
	"fmt"
	"slices"
	"strings"

	"pgc/checkpoint/hf"
	"pgc/codegen/packing"
	"pgc/codegen/weights"
	"pgc/models"
	"pgc/runtime/boxes"
	"pgc/runtime/detect"
	"pgc/runtime/grammar"
	"pgc/runtime/manifest"
	"pgc/runtime/program"
)

// Frozen says what an executable is asked, so that pictures are all it takes.
type Frozen struct {
	Task           []string // such as 'detect cat ; dog': objects are located
	Prompt         []string // such as 'caption en'; they come behind the tasks
	KeepVocabulary bool     // keep the rows of tokens that neither prompts nor answers have
}

// prompts checks tasks and prompts and returns them in order.
func (f Frozen) prompts() (list []manifest.Frozen, err error) {
	for _, text := range f.Task {
		task, rest, ok := detect.Cut(strings.TrimSpace(text))
		if !ok {
			return nil, optionError("Task", "%.80q is no task: expected one such as 'detect cat ; dog' or 'segment cat'; another text is a prompt", text)
		}
		classes, err := detect.Classes(rest)
		if err != nil {
			return nil, optionError("Task", "%.80q: %v", text, err)
		}
		list = append(list, manifest.Frozen{Text: detect.Prompt(task, classes), Task: task, Classes: classes})
	}
	for _, text := range f.Prompt {
		list = append(list, manifest.Frozen{Text: text})
	}
	if len(list) == 0 && f.KeepVocabulary {
		return nil, optionError("KeepVocabulary", "is given without a task or a prompt, expected one")
	}
	return list, nil
}

// Cut says what became smaller because tasks or prompts are built in.
type Cut struct {
	Prompts             []string `json:"prompts"`
	Vocabulary          int      `json:"vocabulary"`          // rows that are kept
	VocabularyBefore    int      `json:"vocabulary_before"`   // that the checkpoint has
	WeightBytesBefore   int64    `json:"weight_bytes_before"` // with all rows
	BytesPerToken       int64    `json:"bytes_per_token"`     // of weights that a token reads
	BytesPerTokenBefore int64    `json:"bytes_per_token_before"`
}

// freeze builds tasks and prompts into the description of a model, whose vocabulary loses the tokens that cannot come. The
// note says why it loses none.
func (o *Options) freeze(c *hf.Checkpoint, tok *packed) (note string, err error) {
	list, err := o.Frozen.prompts()
	if err != nil || len(list) == 0 {
		return "", err
	}
	if c.Embedding != nil {
		return "", optionError("Task", "is given for a model that makes embeddings, expected one that generates text")
	}
	facts := c.Config.Facts()
	o.asked = list
	codes := grammar.AllCodes
	if c.Masks != nil {
		codes = c.Masks.Entries
	}
	v, noLocations := grammar.NewVocabulary(tok.Tokenizer, facts.VocabSize, c.Generation.EOS, nil, codes)
	kept := make([]bool, facts.VocabSize)
	keep := func(ids ...int32) {
		for _, id := range ids {
			if 0 <= id && int(id) < len(kept) {
				kept[id] = true
			}
		}
	}
	keep(int32(tok.bos), int32(tok.eos))
	for _, id := range c.Generation.EOS {
		keep(int32(id))
	}
	for _, p := range list {
		keep(tok.Encode(p.Text+c.Model.PromptEnd, false)...)
		if p.Task == "" {
			if err := o.fits(c, tok, "Prompt", p.Text, 0); err != nil {
				return "", err
			}
			keep(texts(tok, facts.VocabSize, p.Text)...)
			continue
		}
		if noLocations != nil {
			return "", noLocations
		}
		g, err := v.Compile(grammar.Task{Segment: p.Task == detect.Segment, Classes: p.Classes, EmptyLabel: p.Task == detect.Segment, MaxBoxes: 1})
		if err != nil {
			return "", err
		}
		keep(g.Tokens()...)
		for _, classes := range detect.Prompts(p.Classes, len(p.Classes) > detect.Joint) {
			if err := o.fits(c, tok, "Task", detect.Prompt(p.Task, classes), g.MaxTokens()); err != nil {
				return "", err
			}
		}
		for _, class := range p.Classes { // asked for one at a time
			keep(tok.Encode(detect.Prompt(p.Task, []string{class})+c.Model.PromptEnd, false)...)
		}
	}
	if o.Frozen.KeepVocabulary || !slices.Contains(kept, false) {
		return "", nil
	}
	if name := perToken(c); name != "" {
		return fmt.Sprintf("all tokens of the vocabulary are kept, since adapter %s changes the embedding or the head", name), nil
	}
	for id, yes := range kept {
		if yes {
			o.kept = append(o.kept, int32(id))
		}
	}
	c.Config = c.Config.WithVocabulary(len(o.kept))
	return "", nil
}

// perToken is the name of a kept adapter that has a row a token, or "".
func perToken(c *hf.Checkpoint) string {
	for _, a := range c.Kept {
		_, table := a.Changes[c.Model.Embedding]
		if _, head := a.Changes[c.Model.Head]; table || head {
			return a.Name
		}
	}
	return ""
}

// fits says that a prompt about an image, and so many tokens of an answer, are more than the KV cache holds, or returns nil.
func (o *Options) fits(c *hf.Checkpoint, tok *packed, field, text string, answer int) error {
	const bos = 1
	need := c.Config.Facts().ImageTokens + bos + len(tok.Encode(text+c.Model.PromptEnd, false)) + answer
	if most := o.maxTokens(c); need > most {
		return optionError(field, "%.80q needs %d tokens, with those of a picture and of the shortest answer, but the KV cache holds %d: expected a shorter text, or --max-tokens %d or more",
			text, need, most, need)
	}
	return nil
}

// describeFrozen describes what is built in. Where the vocabulary was cut, the ids are those of the kept rows.
func (o Options) describeFrozen(m *manifest.Model, tok *packed, c *hf.Checkpoint) {
	m.Frozen = o.asked
	if o.kept == nil {
		return
	}
	m.Vocabulary, m.Kept = tok.rows, ranges(o.kept)
	t := tok.Keep(o.kept)
	number := func(id int) int {
		if id < 0 {
			return id
		}
		return int(t.Number(int32(id)))
	}
	m.BOS, m.SuffixEnd, m.PAD, m.Image = number(m.BOS), number(m.SuffixEnd), number(m.PAD), number(m.Image)
	m.EOS = nil
	for _, id := range c.Generation.EOS {
		m.EOS = append(m.EOS, number(id))
	}
}

// texts lists the tokens that an answer to a prompt of free text may have: all that are words. Locations and codes are
// words only of an answer to a prompt that asks for objects.
func texts(tok *packed, size int, prompt string) (ids []int32) {
	_, classes, ok := detect.Cut(prompt)
	objects := ok && classes != ""
	for id := range int32(min(size, tok.VocabSize())) {
		text := tok.Token(id)
		if text == "" || strings.HasPrefix(text, "<unused") || !objects && boxes.IsToken(text) {
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

// ranges are runs of ids that follow each other.
func ranges(ids []int32) (list [][2]int32) {
	for _, id := range ids {
		if n := len(list) - 1; n >= 0 && list[n][1]+1 == id {
			list[n][1] = id
		} else {
			list = append(list, [2]int32{id, id})
		}
	}
	return list
}

// cutSource is a source whose vocabulary has the kept rows.
type cutSource struct {
	weights.Source
	kept []int32
	of   func(key string) bool // whether a tensor has a row a token
}

// Tensor returns a tensor, of which rows are read as they are asked for.
func (s cutSource) Tensor(key string) (weights.Tensor, error) {
	t, err := s.Source.Tensor(key)
	if err != nil || !s.of(key) {
		return t, err
	}
	row := int64(t.DType.Bytes()) * int64(t.Shape[1])
	whole := t
	t.Shape, t.Data = []int{len(s.kept), t.Shape[1]}, nil
	t.Read = func(to []byte, from int64) {
		for len(to) > 0 {
			in := from % row
			n := min(int64(len(to)), row-in)
			at := int64(s.kept[from/row])*row + in
			if whole.Read != nil {
				whole.Read(to[:n], at)
			} else {
				copy(to, whole.Data[at:at+n])
			}
			to, from = to[n:], from+n
		}
	}
	return t, nil
}

// Prefetch and Evict leave out rows, which lie here and there.
func (s cutSource) Prefetch(key string, from, to int64) {
	if !s.of(key) {
		s.Source.Prefetch(key, from, to)
	}
}

func (s cutSource) Evict(key string, from, to int64) {
	if !s.of(key) {
		s.Source.Evict(key, from, to)
	}
}

// cutReport says what a compilation saves.
func (o Options) cutReport(c *hf.Checkpoint, p *program.Program, rows int) *Cut {
	if len(o.asked) == 0 {
		return nil
	}
	r := &Cut{Vocabulary: c.Config.Facts().VocabSize, VocabularyBefore: rows, WeightBytesBefore: p.WeightBytes}
	for _, a := range o.asked {
		r.Prompts = append(r.Prompts, a.Text)
	}
	r.BytesPerToken = readOf(c, p)
	r.BytesPerTokenBefore = r.BytesPerToken
	for _, w := range p.Weights {
		if len(w.Shape) < 2 || !vocabularyOf(c)(w.Name) {
			continue
		}
		pad := int64(1) // of rows
		if w.Layout.Kind == program.LayoutPanels {
			pad = packing.PanelPad
		}
		stored := func(rows int64) int64 { return (rows + pad - 1) / pad * pad }
		more := w.Bytes / stored(w.Shape[0]) * (stored(int64(rows)) - stored(w.Shape[0]))
		r.WeightBytesBefore += more
		if w.Name == headOf(c) {
			r.BytesPerTokenBefore += more
		}
	}
	return r
}

// vocabularyOf reports which tensors have a row a token.
func vocabularyOf(c *hf.Checkpoint) func(key string) bool {
	return func(key string) bool { return key == c.Model.Embedding || key == c.Model.Head }
}

// headOf names the matrix of the head.
func headOf(c *hf.Checkpoint) string {
	if c.Config.Facts().TieWordEmbeddings {
		return c.Model.Embedding
	}
	return c.Model.Head
}

// readOf returns the bytes of weights that a token reads: those of the decoder and the head.
func readOf(c *hf.Checkpoint, p *program.Program) (bytes int64) {
	for _, w := range p.Weights {
		if w.Name == headOf(c) || c.Model.Role(w.Name) == models.Decoder {
			bytes += w.Bytes
		}
	}
	return bytes
}
