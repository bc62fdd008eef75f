package hf

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"pgc/checkpoint/bigvision"
	"pgc/checkpoint/download"
	"pgc/models/config"
	"pgc/models/registry"
)

// isBigVision reports whether a checkpoint is a file of big_vision.
func isBigVision(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && filepath.Ext(path) == ".npz"
}

// readBigVision opens a file of big_vision and makes its configuration. Its other settings are defaults.
func (c *Checkpoint) readBigVision() error {
	if err := download.Whole(c.Dir); err != nil {
		return err
	}
	var err error
	if c.bigvision, err = bigvision.Open(c.Dir); err != nil {
		return err
	}
	c.files = append(c.files, c.bigvision.File)
	text, notes, err := c.bigvision.Config(imageToken(c.Tokenizer))
	if err != nil {
		return err
	}
	s, err := config.Parse(c.Dir, text)
	if err != nil {
		return err
	}
	c.Notes = append(c.Notes, notes...)
	c.Model, c.Config, err = registry.Read(s)
	return errors.Join(err, c.take(s))
}

// imageToken returns the id that a tokenizer.json gives <image>, or that transformers' processor gives it: the one behind the
// last.
func imageToken(tokenizer []byte) int {
	var file struct {
		Added []struct {
			ID      int    `json:"id"`
			Content string `json:"content"`
		} `json:"added_tokens"`
		Model struct {
			Vocab map[string]int `json:"vocab"`
		} `json:"model"`
	}
	json.Unmarshal(tokenizer, &file) // its errors are found where it is compiled
	next := 0
	for _, t := range file.Added {
		if t.Content == "<image>" {
			return t.ID
		}
		next = max(next, t.ID+1)
	}
	for _, id := range file.Model.Vocab {
		next = max(next, id+1)
	}
	return next
}

// locateWeights gives the weights of a file of big_vision their canonical names.
func (c *Checkpoint) locateWeights() error {
	all, err := c.bigvision.Weights()
	if err != nil {
		return err
	}
	for name, w := range all {
		c.tensors[c.Model.Canonical(name)] = located{Tensor: w.Tensor, file: c.bigvision.File, stored: w.From, ready: true}
	}
	return nil
}

// needsTokenizer is the error of a file of big_vision without a tokenizer beside it.
func needsTokenizer(path string) error {
	return fmt.Errorf("%s has no tokenizer: expected --tokenizer DIR with tokenizer.json or tokenizer.model of PaliGemma", path)
}
