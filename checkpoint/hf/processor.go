package hf

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
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

// readGeneration reads generation_config.json. What config.json says holds for ids that it does not give; a setting that
// is not supported must have its neutral value.
func (c *Checkpoint) readGeneration() error {
	s, err := optional(c.Dir, "generation_config.json")
	if err != nil {
		return err
	}
	g := Generation{EOS: c.Config.EOSList, MaxNewTokens: s.int("max_new_tokens", 0), DoSample: s.bool("do_sample", false),
		Temperature: s.float("temperature", 1), TopK: s.int("top_k", 50), TopP: s.float("top_p", 1),
		RepetitionPenalty: s.float("repetition_penalty", 1)}
	if s.has("eos_token_id") {
		g.EOS = s.ids("eos_token_id")
	}
	c.Config.inVocabulary(s, "eos_token_id", g.EOS...)
	for key, id := range map[string]int{"bos_token_id": c.Config.BOS, "pad_token_id": c.Config.PAD} {
		if n := s.int(key, id); n != id {
			s.fail(key, "is %d, but config.json says %d", n, id)
		}
	}
	if g.Temperature < 0 || g.DoSample && g.Temperature == 0 {
		s.fail("temperature", "is %g, expected a positive number", g.Temperature)
	}
	if !(g.TopP > 0 && g.TopP <= 1) {
		s.fail("top_p", "is %g, expected a number over 0 and up to 1", g.TopP)
	}
	if !(g.RepetitionPenalty > 0) {
		s.fail("repetition_penalty", "is %g, expected a positive number", g.RepetitionPenalty)
	}
	if s.has("max_length") && g.MaxNewTokens == 0 && s.int("max_length", 20) != 20 { // 20 is transformers' default
		s.fail("max_length", "is %s and would count the picture's tokens: expected max_new_tokens", s.show("max_length"))
	}
	for _, key := range slices.Sorted(maps.Keys(neutral)) {
		s.only(key, neutral[key]...)
	}
	s.rest(inertGeneration)
	c.Generation = g
	return s.err
}

// Preprocessor is how pixels become the model's input: (value·RescaleFactor − Mean) / Std, per channel.
type Preprocessor struct {
	RescaleFactor float64
	Mean, Std     [3]float64
}

// readPreprocessor reads image_processor of processor_config.json if it is there, else preprocessor_config.json, as
// transformers does. Missing keys have SiglipImageProcessor's defaults.
func (c *Checkpoint) readPreprocessor() error {
	whole, err := optional(c.Dir, "processor_config.json")
	if err != nil {
		return err
	}
	s, nested := whole.section("image_processor")
	if whole.err != nil {
		return whole.err
	}
	if !nested {
		if s, err = optional(c.Dir, "preprocessor_config.json"); err != nil {
			return err
		}
	}
	v := c.Config.Model.Vision
	p := Preprocessor{RescaleFactor: s.float("rescale_factor", 1.0/255), Mean: s.channels("image_mean"), Std: s.channels("image_std")}
	if !s.bool("do_rescale", true) {
		p.RescaleFactor = 1
	}
	if !s.bool("do_normalize", true) {
		p.Mean, p.Std = [3]float64{}, [3]float64{1, 1, 1}
	}
	if slices.Contains(p.Std[:], 0) {
		s.fail("image_std", "is %s, expected numbers other than 0", s.show("image_std"))
	}
	if p.RescaleFactor == 0 {
		s.fail("rescale_factor", "is 0, expected another number")
	}
	s.only("do_resize", true)
	s.only("resample", 3.0) // bicubic
	for _, key := range []string{"do_center_crop", "do_pad", "do_flip_channel_order"} {
		s.only(key, false)
	}
	s.has("crop_size") // read only with do_center_crop
	s.has("pad_size")  // read only with do_pad
	s.side(v.ImageSize)
	for _, of := range []*section{s, whole} {
		if n := of.int("image_seq_length", v.Tokens()); n != v.Tokens() {
			of.fail("image_seq_length", "is %d, but config.json makes %d tokens of a picture", n, v.Tokens())
		}
	}
	s.rest(inertImages)
	c.Preprocessor = p
	if s.err == nil {
		s.err = whole.err
	}
	return s.err
}

// side checks that pictures are resized to what the encoder takes; size is an object or one number.
func (s *section) side(want int) {
	if !s.has("size") {
		if s.raw != nil && want != 224 && len(s.raw) > 0 {
			s.fail("size", "is missing, which means 224, but image_size in config.json is %d", want)
		}
		return
	}
	var one int
	if json.Unmarshal(s.raw["size"], &one) == nil {
		if one != want {
			s.fail("size", "is %d, but image_size in config.json is %d", one, want)
		}
		return
	}
	size, _ := s.section("size")
	for _, key := range []string{"height", "width"} {
		if !size.has(key) {
			size.fail(key, "is missing: expected height and width of %d", want)
		}
		if n := size.int(key, want); n != want {
			size.fail(key, "is %d, but image_size in config.json is %d", n, want)
		}
	}
	size.rest(nil)
	if s.err == nil {
		s.err = size.err
	}
}

// channels reads a number for each of the three channels, or one for all.
func (s *section) channels(key string) [3]float64 {
	v := []float64{.5, .5, .5}
	if s.has(key) {
		var one float64
		if json.Unmarshal(s.raw[key], &one) == nil {
			v = []float64{one, one, one}
		} else if json.Unmarshal(s.raw[key], &v) != nil || len(v) != 3 {
			s.fail(key, "is %s, expected three numbers", s.show(key))
			return [3]float64{.5, .5, .5}
		}
	}
	for _, x := range v {
		if math.Abs(x) > 1e6 {
			s.fail(key, "is %s, expected small numbers", s.show(key))
		}
	}
	return [3]float64(v)
}
