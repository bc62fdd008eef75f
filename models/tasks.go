package models

import (
	"slices"
	"strings"
)

// Task is what prompts of a model ask for, and how people say of a checkpoint that it was fine-tuned for that alone.
type Task struct {
	Name     string
	Verbs    []string // the first words of its prompts
	Releases []string // parts of what is behind "-ft-" in names of released checkpoints; the first that fits counts, of all tasks
	Tags     []string // of model cards, their pipelines included
	DataSets []string // without owners, dashes and upper case
}

// named returns the name of the first task that is so, or "".
func (m *Model) named(is func(Task) bool) string {
	if i := slices.IndexFunc(m.Tasks, is); i >= 0 {
		return m.Tasks[i].Name
	}
	return ""
}

// ReleasedFor returns the task that the name of a released checkpoint says it was fine-tuned for, or "".
func (m *Model) ReleasedFor(name string) string {
	_, set, ok := strings.Cut(strings.ToLower(name), "-ft-")
	return m.named(func(t Task) bool {
		return ok && slices.ContainsFunc(t.Releases, func(part string) bool { return strings.Contains(set, part) })
	})
}

// TaggedFor returns the task that a tag of a model card names, or "".
func (m *Model) TaggedFor(tag string) string {
	return m.named(func(t Task) bool { return slices.Contains(t.Tags, strings.ToLower(tag)) })
}

// TaughtBy returns the one task that a data set teaches, or "".
func (m *Model) TaughtBy(set string) string {
	name := strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(set))
	return m.named(func(t Task) bool { return slices.Contains(t.DataSets, name) })
}

// TakesSeveral reports whether a checkpoint's name says that it was trained on several images at a time.
func (m *Model) TakesSeveral(name string) bool {
	return slices.ContainsFunc(m.Several, func(part string) bool { return strings.Contains(strings.ToLower(name), part) })
}

// Verbs returns the tasks that the first words of prompts name.
func (m *Model) Verbs() map[string]string {
	verbs := map[string]string{}
	for _, t := range m.Tasks {
		for _, v := range t.Verbs {
			verbs[v] = t.Name
		}
	}
	return verbs
}
