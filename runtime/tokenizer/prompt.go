package tokenizer

import (
	"fmt"
	"strings"
)

// Layout describes the prompts of a model: the ids of tokens that are not text, from the checkpoint's configuration,
// and the number of tokens of an image.
type Layout struct {
	Image, BOS, EOS int32
	ImageTokens     int
	End             string // text behind the prompt, a newline in PaliGemma
}

// IgnoreLabel marks tokens that the loss ignores (PyTorch's ignore_index).
const IgnoreLabel = -100

// Prompt is a tokenized prompt: the processor's input_ids, token_type_ids and labels, each [tokens].
type Prompt struct {
	IDs    []int32
	Types  []int32 // 0 in the prefix, whose tokens see each other in both directions; 1 in the suffix
	Labels []int32 // the ids of the suffix; IgnoreLabel in the prefix
	Prefix int     // tokens of the prefix
}

// Prompt lays out a prompt about images as transformers' PaliGemmaProcessor does (processing_paligemma.py): the image
// tokens of every image, <bos>, the text and the end, tokenized together; then, if suffix is not nil, the suffix
// and <eos>.
//
// The texts are taken literally unless parseSpecials is set. Then special tokens in them count, and where the prompt
// itself says <image>, it must do so once for every image: their tokens stand there, and <bos> behind the last.
func (t *Tokenizer) Prompt(l Layout, images int, prompt string, suffix *string, parseSpecials bool) (Prompt, error) {
	var ids []int32
	image := t.Token(l.Image)
	if n := strings.Count(prompt, image); parseSpecials && image != "" && n > 0 {
		if n != images {
			return Prompt{}, fmt.Errorf("the prompt holds %s %d times, expected once for each of %d images", image, n, images)
		}
		end := strings.LastIndex(prompt, image) + len(image)
		text := strings.ReplaceAll(prompt[:end], image, strings.Repeat(image, l.ImageTokens))
		ids = t.append(ids, text+t.Token(l.BOS)+prompt[end:]+l.End, true)
	} else {
		ids = make([]int32, 0, images*l.ImageTokens+len(prompt)/2+16)
		for range images * l.ImageTokens {
			ids = append(ids, l.Image)
		}
		ids = t.append(append(ids, l.BOS), prompt+l.End, parseSpecials)
	}
	p := Prompt{Prefix: len(ids)}
	if suffix != nil {
		ids = append(t.append(ids, *suffix, parseSpecials), l.EOS)
	}
	n := 0
	for _, id := range ids {
		if id == l.Image {
			n++
		}
	}
	if n != images*l.ImageTokens {
		return Prompt{}, fmt.Errorf("prompt and suffix hold %d image tokens, expected %d for each of %d images", n, l.ImageTokens, images)
	}
	p.IDs, p.Types, p.Labels = ids, make([]int32, len(ids)), make([]int32, len(ids))
	for i, id := range ids {
		if i < p.Prefix {
			p.Labels[i] = IgnoreLabel
		} else {
			p.Types[i], p.Labels[i] = 1, id
		}
	}
	return p, nil
}
