// Package attention draws who attends to whom among the tokens of a prompt, as text, pixels or SVG, and where an answer looked, as a
// heat map over pictures.
package attention

import (
	"fmt"
	"slices"
	"strings"
)

// Mask is which of a prompt's tokens attend to which, by kind of layer.
type Mask struct {
	Tokens      []string // as a reader knows them
	Images      int      // whose tokens come first
	ImageTokens int      // of an image
	Prefix      int      // tokens that the suffix follows
	Kinds       []Kind
}

// Kind is the mask of some layers.
type Kind struct {
	Name   string
	Layers []int
	Window int    // 0 for none
	Seen   []byte // [tokens, tokens], a row a token, 0 or 1
}

// group is neighboring tokens that are drawn as one: those of a picture, or a single one of text.
type group struct {
	label       string
	first, size int
}

// groups folds the tokens of every picture.
func (m *Mask) groups() (all []group) {
	for i := range m.Images {
		label := fmt.Sprintf("<image> × %d", m.ImageTokens)
		if m.Images > 1 {
			label = fmt.Sprintf("<image %d> × %d", i+1, m.ImageTokens)
		}
		all = append(all, group{label, i * m.ImageTokens, m.ImageTokens})
	}
	for i, text := range m.Tokens[m.Images*m.ImageTokens:] {
		all = append(all, group{readable(text), m.Images*m.ImageTokens + i, 1})
	}
	return all
}

// readable is a token as people read it, and as the font has it: spaces and newlines are seen.
func readable(token string) string {
	token = strings.NewReplacer("▁", "_", "\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(token)
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '\uFFFD'
		}
		return r
	}, token)
}

// share is how much of a block is seen, from 0 to 1.
func (m *Mask) share(k Kind, query, key group) float64 {
	n, seen := len(m.Tokens), 0
	for i := range query.size {
		for _, v := range k.Seen[(query.first+i)*n+key.first:][:key.size] {
			seen += int(v)
		}
	}
	return float64(seen) / float64(query.size*key.size)
}

// title says what a kind is.
func (k Kind) title() string {
	name := strings.ReplaceAll(k.Name, "_", " ")
	if k.Window > 0 {
		name += fmt.Sprintf(" (window of %d)", k.Window)
	}
	return fmt.Sprintf("%s, %s", name, layers(k.Layers))
}

// layers lists numbers of layers, with ranges and steps in short.
func layers(list []int) string {
	if len(list) == 1 {
		return fmt.Sprintf("layer %d", list[0])
	}
	step := list[1] - list[0]
	even := slices.Equal(list, sequence(list[0], step, len(list)))
	switch {
	case even && step == 1:
		return fmt.Sprintf("layers %d to %d", list[0], list[len(list)-1])
	case even && len(list) > 3:
		return fmt.Sprintf("layers %d, %d, …, %d", list[0], list[1], list[len(list)-1])
	}
	return "layers " + strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ", "), "[]")
}

func sequence(first, step, n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = first + i*step
	}
	return list
}
