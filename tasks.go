package pgc

import "strings"

// taskOf returns the task that a prompt names by its first word, or "".
func (m *Model) taskOf(prompt string) string {
	word, _, _ := strings.Cut(strings.TrimLeft(prompt, " "), " ")
	return m.model.Verbs[strings.ToLower(strings.Trim(word, "\n.:"))]
}
