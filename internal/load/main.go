// Command load asks a server of an executable with many clients at the same time, and says what that cost: answers a
// second of the server's processor time beside those of the command batch on the same requests, memory over time, the time
// to the first token beside the length of the queue. It fails on any error but 429.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// settings are the flags.
type settings struct {
	file, pictures string
	clients        int
	faults         int  // clients that misbehave
	again          bool // whether pictures are sent again as they were
	time, warm     time.Duration
	least          float64
	extra          string // further flags of serve
}

func main() {
	var s settings
	flag.StringVar(&s.file, "file", "captioner", "the executable")
	flag.StringVar(&s.pictures, "pictures", "models/paligemma/demo/pictures", "a folder of pictures")
	flag.IntVar(&s.clients, "clients", 200, "how many clients ask at the same time")
	flag.IntVar(&s.faults, "faults", 0, "how many more clients leave, do not read, send halves and nonsense; then the processor's time is not judged")
	flag.BoolVar(&s.again, "again", false, "send pictures again as they were, which the server knows then, instead of as other files with the same pixels")
	flag.DurationVar(&s.time, "time", 10*time.Minute, "for how long they ask")
	flag.DurationVar(&s.warm, "warm", 0, "from when on memory is looked at (default: a tenth of the time)")
	flag.Float64Var(&s.least, "least", 0.95, "answers a processor second, as a part of batch's, that are enough")
	flag.StringVar(&s.extra, "serve", "", "further flags of serve, separated by spaces")
	flag.Parse()
	if s.warm == 0 {
		s.warm = s.time / 10
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// run measures and judges.
func run(ctx context.Context, s settings) error {
	requests, err := listRequests(s.pictures)
	if err != nil {
		return err
	}
	server, err := startServer(s)
	if err != nil {
		return err
	}
	defer server.kill()
	load, err := attack(ctx, s, server, requests)
	if err != nil {
		return err
	}
	if err := server.end(); err != nil {
		return err
	}
	load.print(os.Stdout, server)
	batch, err := measureBatch(ctx, s, requests, load)
	if err != nil {
		return err
	}
	served := float64(load.answers) / server.cpu.Seconds()
	fmt.Printf("answers a processor second: %.1f served, %.1f by batch: %.1f %%\n", served, batch, 100*served/batch)
	var bad error
	if load.wrong > 0 {
		bad = errors.Join(bad, fmt.Errorf("%d answers differ from those of batch", load.wrong))
	}
	if load.failed > 0 {
		bad = errors.Join(bad, fmt.Errorf("%d requests failed, the first with %s", load.failed, load.first))
	}
	if grown := load.growth(); grown > 0.05 {
		bad = errors.Join(bad, fmt.Errorf("memory grew by %.1f %%, expected 5 at most", 100*grown))
	}
	if s.faults == 0 && served < s.least*batch {
		bad = errors.Join(bad, fmt.Errorf("a processor second gave %.0f %% of batch's answers, expected %.0f", 100*served/batch, 100*s.least))
	}
	return bad
}
