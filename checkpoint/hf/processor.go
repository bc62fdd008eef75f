package hf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"pgc/models"
	"pgc/models/config"
)

// Generation is generation_config.json.
type Generation struct {
	EOS               []int
	MaxNewTokens      int // 0 if not given
	DoSample          bool
	Temperature       float64
	TopK              int
	TopP              float64
	RepetitionPenalty float64
}

// readGeneration reads generation_config.json, or where there is none the same settings of config.json, where older
// versions of transformers kept them. Ids that it lacks are those of config.json. A setting that would change the answer to
// a request and is not supported must have its neutral value. One that says how to search or draw is a note: a request
// decides whether it is greedy.
func (c *Checkpoint) readGeneration() error {
	s, err := readJSON(c.Dir, "generation_config.json", maxConfig)
	missing := errors.Is(err, fs.ErrNotExist)
	if missing {
		s, err = c.olderGeneration()
	}
	if err != nil {
		return err
	}
	facts := c.Config.Facts()
	g := Generation{EOS: facts.EOSTokenID, MaxNewTokens: s.Int("max_new_tokens", 0), DoSample: s.Bool("do_sample", false),
		Temperature: s.Float("temperature", 1), TopK: s.Int("top_k", 50), TopP: s.Float("top_p", 1),
		RepetitionPenalty: s.Float("repetition_penalty", 1)}
	if s.Has("max_new_tokens") && g.MaxNewTokens == 0 {
		s.Fail("max_new_tokens", "is 0, expected a positive number")
	}
	if ids := s.Tokens("eos_token_id"); ids != nil {
		g.EOS = ids
	} else if c.Model.Embeds == nil && c.bigvision == nil {
		found := "missing"
		if s.Raw("eos_token_id") != nil {
			found = s.Show("eos_token_id")
		}
		s.Note("eos_token_id", "is %s, with which transformers ends no answer: here answers end with %s", found, strings.Trim(fmt.Sprint(g.EOS), "[]"))
	}
	models.CheckEnds(s, "eos_token_id", facts.VocabSize, g.EOS...)
	for _, key := range []string{"bos_token_id", "pad_token_id"} {
		id := map[string]int{"bos_token_id": facts.BOSTokenID, "pad_token_id": facts.PADTokenID}[key]
		if n := s.ID(key, id); n != id {
			s.Note(key, "is %d and %d in config.json: passed over, the tokenizer's is used", n, id)
		}
	}
	if g.Temperature < 0 || g.DoSample && g.Temperature == 0 {
		s.Fail("temperature", "is %g, expected a positive number", g.Temperature)
	}
	if !(g.TopP > 0 && g.TopP <= 1) {
		s.Fail("top_p", "is %g, expected a number over 0 and up to 1", g.TopP)
	}
	if !(g.RepetitionPenalty > 0) {
		s.Fail("repetition_penalty", "is %g, expected a positive number", g.RepetitionPenalty)
	}
	if s.Has("max_length") && g.MaxNewTokens == 0 && s.Int("max_length", 20) != 20 { // 20 is transformers' default
		s.Note("max_length", "is %s and counts the prompt's tokens: passed over, expected max_new_tokens (or --max-new-tokens N)", s.Show("max_length"))
	}
	for _, key := range slices.Sorted(maps.Keys(neutral)) {
		s.Only(key, neutral[key]...)
	}
	for _, key := range slices.Sorted(maps.Keys(searching)) {
		if !s.Is(key, searching[key]...) {
			s.Note(key, "is %s, which is not supported: passed over, answers are those of greedy search", s.Show(key))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(drawing)) {
		if g.DoSample {
			s.Only(key, drawing[key]...)
		} else if !s.Is(key, drawing[key]...) {
			s.Note(key, "is %s, which is not supported: passed over where --temperature draws tokens", s.Show(key))
		}
	}
	if !missing {
		s.Rest(inertGeneration)
	}
	c.Generation = g
	return c.take(s)
}

// olderGeneration is config.json as transformers reads it for how to generate: with the decoder's settings that the whole
// model does not have.
func (c *Checkpoint) olderGeneration() (*config.Section, error) {
	s, err := optional(c.Dir, configFile)
	if err != nil || c.Model.Embeds != nil {
		return config.Empty(filepath.Join(c.Dir, configFile)), err
	}
	text, _ := s.Section("text_config")
	return s.Or(text), nil
}

// Preprocessor is how pixels become the model's input: (value·RescaleFactor − Mean) / Std, per channel.
type Preprocessor struct {
	RescaleFactor float64
	Mean, Std     [3]float64
}

// siglipImages is the class of transformers whose defaults and steps are those here.
const siglipImages = "SiglipImageProcessor"

// readPreprocessor reads image_processor of processor_config.json if it is there, else preprocessor_config.json, as
// transformers does. Missing keys have SiglipImageProcessor's defaults.
func (c *Checkpoint) readPreprocessor() error {
	whole, err := optional(c.Dir, "processor_config.json")
	if err != nil {
		return err
	}
	s, nested := whole.Section("image_processor")
	if whole.Err() != nil {
		return whole.Err()
	}
	if !nested {
		if s, err = optional(c.Dir, "preprocessor_config.json"); err != nil {
			return err
		}
	}
	facts := c.Config.Facts()
	p := Preprocessor{RescaleFactor: s.Float("rescale_factor", 1.0/255), Mean: channels(s, "image_mean"), Std: channels(s, "image_std")}
	if !s.Bool("do_rescale", true) {
		p.RescaleFactor = 1
	}
	if !s.Bool("do_normalize", true) {
		p.Mean, p.Std = [3]float64{}, [3]float64{1, 1, 1}
	}
	if slices.Contains(p.Std[:], 0) {
		s.Fail("image_std", "is %s, expected numbers other than 0", s.Show("image_std"))
	}
	if p.RescaleFactor == 0 {
		s.Fail("rescale_factor", "is 0, expected another number")
	}
	if kind := s.String("image_processor_type", siglipImages); !strings.HasPrefix(kind, siglipImages) { // …Fast, …Pil
		s.Fail("image_processor_type", "is %.80q, which is not supported: expected %q", kind, siglipImages)
	}
	s.Only("do_resize", true)
	s.Only("resample", 3.0) // bicubic
	for _, key := range []string{"do_center_crop", "do_pad", "do_flip_channel_order"} {
		s.Only(key, false)
	}
	s.Has("crop_size") // read only with do_center_crop
	s.Has("pad_size")  // read only with do_pad
	side(s, facts.ImageSize)
	for _, of := range []*config.Section{s, whole} {
		if n := of.Int("image_seq_length", facts.ImageTokens); n != facts.ImageTokens {
			of.Fail("image_seq_length", "is %d, but config.json makes %d tokens of an image: expected the processor's files of this model", n, facts.ImageTokens)
		}
	}
	s.Rest(inertImages)
	c.Preprocessor = p
	if c.Model.Embeds != nil {
		c.Embedding = c.Model.Embeds(c.Config, whole)
	}
	if s.File() == whole.File() {
		return c.take(s)
	}
	return errors.Join(c.take(s), c.take(whole))
}

// take takes the notes on a file, or returns its error.
func (c *Checkpoint) take(s *config.Section) error {
	c.Notes = append(c.Notes, s.Notes()...)
	return s.Err()
}

// side checks that images are resized to what the encoder takes; size is an object or one number.
func side(s *config.Section, want int) {
	if !s.Has("size") {
		if want != 224 && s.Len() > 0 {
			s.Fail("size", "is missing, which means 224, but image_size in config.json is %d: expected the processor's files of this model", want)
		}
		return
	}
	var one int
	if json.Unmarshal(s.Raw("size"), &one) == nil {
		if one != want {
			s.Fail("size", "is %d, but image_size in config.json is %d: expected the processor's files of this model", one, want)
		}
		return
	}
	size, _ := s.Section("size")
	for _, key := range []string{"height", "width"} {
		if !size.Has(key) {
			size.Fail(key, "is missing: expected height and width of %d", want)
		}
		if n := size.Int(key, want); n != want {
			size.Fail(key, "is %d, but image_size in config.json is %d: expected the processor's files of this model", n, want)
		}
	}
	size.Rest(nil)
}

// channels reads a number for each of the three channels, or one for all.
func channels(s *config.Section, key string) [3]float64 {
	v := []float64{.5, .5, .5}
	if s.Has(key) {
		var one float64
		if json.Unmarshal(s.Raw(key), &one) == nil {
			v = []float64{one, one, one}
		} else if json.Unmarshal(s.Raw(key), &v) != nil || len(v) != 3 {
			s.Fail(key, "is %s, expected three numbers", s.Show(key))
			return [3]float64{.5, .5, .5}
		}
	}
	for _, x := range v {
		if math.Abs(x) > 1e6 {
			s.Fail(key, "is %s, expected small numbers", s.Show(key))
		}
	}
	return [3]float64(v)
}
