package app

import (
	"fmt"

	"pgc"
	"pgc/runtime/process"
)

// warn prints what is doubtful about an answer, a line for each kind, the first time it comes. where begins the text.
func (a *App) warn(where string, list []pgc.Warning) {
	for _, w := range list {
		if !a.warned[w.Kind] {
			a.warned[w.Kind] = true
			fmt.Fprintf(a.Err, "warning: %s\n", process.Line(where+w.Text))
		}
	}
}
