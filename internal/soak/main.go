// Command soak answers for a long time, in one process and in many, and says whether anything grows: memory, open files,
// threads, mappings, files and processes left behind.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	file := flag.String("file", "", "an executable that pgc compiled")
	picture := flag.String("picture", "", "a picture")
	answers := flag.Int("answers", 100_000, "answers in this process")
	opens := flag.Int("opens", 1000, "how often the executable is opened and closed in this process")
	processes := flag.Int("processes", 10_000, "runs of the executable")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := soak{file: *file, picture: *picture}
	for _, path := range []*string{&s.file, &s.picture} {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			fmt.Fprintln(os.Stderr, "soak:", err)
			os.Exit(1)
		}
		*path = absolute
	}
	for _, part := range []struct {
		name  string
		count int
		run   func(ctx context.Context, n int) (*series, error)
	}{{"answers", *answers, s.answers}, {"opens", *opens, s.opens}, {"processes", *processes, s.processes}} {
		if part.count == 0 {
			continue
		}
		got, err := part.run(ctx, part.count)
		if got != nil {
			fmt.Printf("%d %s: %s\n", part.count, part.name, got)
		}
		if err == nil {
			err = got.check(0.01, 0)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "soak: %s: %v\n", part.name, err)
			os.Exit(1)
		}
	}
}
