package build

import (
	"fmt"

	"pgc/checkpoint/hf"
	"pgc/ir"
	"pgc/models/maskdecoder"
	"pgc/runtime/manifest"
)

// addMasks adds the function that decodes masks to a model's module.
func addMasks(m *ir.Module, c *maskdecoder.Config) error {
	masks, err := maskdecoder.Graph(c)
	if err != nil {
		return err
	}
	for _, f := range masks.Funcs {
		f.Clone(m)
	}
	return nil
}

// checkMasks says which tensor of the decoder of masks does not fit the model's tokens.
func (p *packed) checkMasks(c *hf.Checkpoint) error {
	if c.Masks == nil {
		return nil
	}
	tokens := 0
	for {
		if id, ok := p.ID(fmt.Sprintf("<seg%03d>", tokens)); !ok || int(id) >= c.Config.Facts().VocabSize {
			break
		}
		tokens++
	}
	book := c.Masks.Weights()[0]
	if c.Masks.Entries > tokens {
		return fmt.Errorf("%s: tensor %s has shape %v, a row for each of %d codes, but the model has %d tokens <seg000>, <seg001>, …: expected at most as many rows",
			c.MasksFile, book.Name, book.Shape, c.Masks.Entries, tokens)
	}
	return nil
}

// describeMasks tells the runtime of the decoder of masks.
func describeMasks(m *manifest.Model, c *hf.Checkpoint) {
	if c.Masks == nil {
		return
	}
	m.Masks = &manifest.Masks{Entries: c.Masks.Entries, Side: maskdecoder.Side}
	m.Parts = append(m.Parts, manifest.Part{Prefix: maskdecoder.Prefix, Name: maskdecoder.Role})
	for _, w := range c.Masks.Weights() {
		m.Parameters += w.Elements()
	}
}
