package app

import (
	"fmt"
	"os"

	"golang.org/x/term"

	"pgc"
	"pgc/runtime/engine"
)

// machine is what a command may run on.
type machine struct {
	device pgc.Device
	gpus   engine.GPUs // nil for none
}

// options are those of the library.
func (m machine) options() []pgc.Option {
	options := []pgc.Option{pgc.WithDevice(m.device, m.gpus)}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		options = append(options, pgc.WithProgress(progress))
	}
	return options
}

// progress draws what is loaded onto a GPU, in one line that it removes at the end.
func progress(what string, done, total int64) {
	if done >= total {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
		return
	}
	fmt.Fprintf(os.Stderr, "\r\x1b[Kloading %s: %d %%", what, 100*done/total)
}
