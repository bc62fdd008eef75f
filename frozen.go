package pgc

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"pgc/runtime/detect"
	"pgc/runtime/generate"
	"pgc/runtime/grammar"
	"pgc/runtime/manifest"
)

// Frozen is a prompt that is built into an executable, which then answers no other.
type Frozen struct {
	Text    string   // of a task as it is asked: "detect cat ; dog"
	Task    string   // detect or segment, whose answers are objects; "" for a text
	Classes []string // of a task
}

// Frozen lists the prompts that are built in, in the order in which they were given; none where any may be asked.
func (e *Executable) Frozen() (list []Frozen) {
	for _, p := range e.model.Frozen {
		list = append(list, Frozen(p))
	}
	return list
}

// Kept is how many tokens of the vocabulary an executable keeps, with which its prompts and all that answers them can be
// written, and of how many.
type Kept struct {
	Tokens int `json:"tokens"`
	Of     int `json:"of"`
}

func keptOf(m *manifest.Model) *Kept {
	if m.Kept == nil {
		return nil
	}
	return &Kept{m.VocabSize, m.Vocabulary}
}

// ErrOwnLabels says that an executable with tasks of its own finds objects of their classes only.
var ErrOwnLabels = errors.New("free_labels is given, but the executable has labels of its own: compile without --task for others")

// errFrozen says that an executable answers its own prompts only.
func errFrozen(m *manifest.Model) error {
	var texts []string
	for _, p := range m.Frozen {
		texts = append(texts, fmt.Sprintf("%.80q", p.Text))
	}
	return fmt.Errorf("the executable answers %s only, expected no other prompt: compile without --task and --prompt for those", strings.Join(texts, ", "))
}

// freeze prepares a request to an executable with prompts of its own, which it must be one of.
func (m *Model) freeze(r Request, g *generate.Request) error {
	model := m.exe.model
	if len(model.Frozen) == 0 {
		return nil
	}
	i := slices.IndexFunc(model.Frozen, func(p manifest.Frozen) bool { return p.Text == r.Prompt })
	if i < 0 || r.ParseSpecials || r.Suffix != nil || len(r.Images) != 1 {
		return errFrozen(model)
	}
	p := model.Frozen[i]
	if p.Task == "" {
		return nil
	}
	var err error
	task := grammar.Task{Segment: p.Task == detect.Segment, Classes: p.Classes, MaxBoxes: min(defaultMaxBoxes, model.MaxTokens)}
	task.EmptyLabel = task.Segment && len(p.Classes) == 1
	g.Grammar, err = m.scheduler.Grammar(task)
	if err == nil && r.MaxNewTokens == nil {
		g.MaxNewTokens = g.Grammar.MaxTokens()
	}
	return err
}

// freeze says why an executable with prompts of its own cannot be asked for objects, or returns nil.
func (r DetectRequest) freeze(m *manifest.Model) error {
	if len(m.Frozen) == 0 {
		return nil
	}
	task := detect.Task(r.Segment)
	known := func(p manifest.Frozen) bool {
		return p.Task == task && !slices.ContainsFunc(r.Classes, func(c string) bool { return !slices.Contains(p.Classes, c) })
	}
	switch {
	case !slices.ContainsFunc(m.Frozen, known):
		return errFrozen(m)
	case r.FreeLabels:
		return ErrOwnLabels
	}
	return nil
}
