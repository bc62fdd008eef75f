package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// bar returns a function that draws a progress bar with a speed, or nil where standard error is not a terminal.
func bar(speed func(done int64, seconds float64) string) func(what string, done, total int64) {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return nil
	}
	start, last := time.Now(), time.Time{}
	return func(what string, done, total int64) {
		if done == 0 {
			start = time.Now()
		}
		if done < total && time.Since(last) < 100*time.Millisecond {
			return
		}
		last = time.Now()
		if done >= total {
			fmt.Fprint(os.Stderr, "\r\x1b[K")
			return
		}
		const width = 20
		full := int(width * done / max(1, total))
		passed := time.Since(start).Seconds()
		left := ""
		if done > 0 {
			left = fmt.Sprintf(" %.0f s left", passed*float64(total-done)/float64(done))
		}
		fmt.Fprintf(os.Stderr, "\r\x1b[K[%s%s] %3d %%%s%s: %.60s", strings.Repeat("=", full), strings.Repeat(" ", width-full),
			100*done/max(1, total), speed(done, passed), left, what)
	}
}

// progress returns a bar that counts bytes.
func progress() func(what string, done, total int64) {
	return bar(func(done int64, seconds float64) string {
		return fmt.Sprintf(" %.2f GB/s", float64(done)/1e9/max(seconds, 1e-3))
	})
}

// steps returns a bar that counts anything but bytes.
func steps() func(what string, done, total int64) {
	return bar(func(int64, float64) string { return "" })
}
