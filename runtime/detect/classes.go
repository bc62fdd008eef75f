// Package detect is what stands around an answer to "detect" or "segment" and needs no model: the classes that are asked
// for, the prompts that ask for them, and the objects to keep.
package detect

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"pgc/runtime/boxes"
)

// The tasks whose answers are objects. A prompt begins with its task.
const (
	Detect  = "detect"
	Segment = "segment" // with masks
)

// Task returns the task that asks for objects, with their masks or without.
func Task(masks bool) string {
	if masks {
		return Segment
	}
	return Detect
}

// IsTask reports whether a word is a task whose answers are objects.
func IsTask(word string) bool { return word == Detect || word == Segment }

// Cut takes a prompt that begins with such a task apart.
func Cut(prompt string) (task, classes string, ok bool) {
	task, classes, _ = strings.Cut(prompt, " ")
	return task, classes, IsTask(task)
}

// separator stands between classes in a prompt and between objects in an answer.
const separator = " ; "

// Classes splits a text such as "cat ; dog" at semicolons and commas of all scripts, with or without spaces.
func Classes(text string) ([]string, error) { return Check(strings.FieldsFunc(text, boxes.Separates)) }

// Check returns classes without spaces around them, each once, or says why one cannot be asked for: a separator or a
// bracket would be read as another class or as a token.
func Check(classes []string) (out []string, err error) {
	for _, c := range classes {
		c = strings.Join(strings.FieldsFunc(c, unicode.IsSpace), " ")
		at := strings.IndexFunc(c, func(r rune) bool { return boxes.Separates(r) || strings.ContainsRune("<>", r) || unicode.IsControl(r) })
		switch {
		case !utf8.ValidString(c):
			return nil, fmt.Errorf("the class %.80q is no UTF-8", c)
		case at >= 0:
			r, _ := utf8.DecodeRuneInString(c[at:])
			return nil, fmt.Errorf("the class %.80q holds %q, expected a label without ; , < > and control characters", c, r)
		case c != "" && !slices.Contains(out, c):
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no class is named, expected some such as 'cat ; dog'")
	}
	return out, nil
}

// Joint is how many classes one prompt asks for at most unless it is told otherwise: models answer less well beyond.
const Joint = 4

// Prompts returns the classes of each prompt: all in one, or one a prompt.
func Prompts(classes []string, perClass bool) [][]string {
	if !perClass {
		return [][]string{classes}
	}
	var out [][]string
	for i := range classes {
		out = append(out, classes[i:i+1])
	}
	return out
}

// Prompt asks for classes; task is one of those above.
func Prompt(task string, classes []string) string {
	return task + " " + strings.Join(classes, separator)
}
