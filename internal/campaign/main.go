// Command campaign looks for inputs that break the promises of docs/RELIABILITY.md. In turn it runs every fuzz target of
// this module and cases of its own: commands of both programs with damaged files, odd arguments, signals, limits, failing
// system calls, full disks. The seed determines the cases. What breaks a rule is reduced and kept as a replay file, which
// the tests of this package run again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	becomeLaunched()
	duration := flag.Duration("time", 10*time.Minute, "how long to look")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "the same seed gives the same cases")
	finds := flag.String("finds", "internal/campaign/testdata/found", "the folder that finds are kept in")
	replay := flag.String("replay", "", "only run the case of this file")
	times := flag.Int("times", 1, "how often -replay runs the case, until it breaks a rule")
	targets := flag.Bool("targets", true, "also run the fuzz targets")
	flag.Parse()
	if err := isolate(); err != nil {
		fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "pgc-campaign-")
	if err != nil {
		fatal(err)
	}
	w, err := prepare(ctx, dir)
	switch {
	case err != nil:
	case *replay != "":
		err = w.replay(ctx, *replay, *times)
	default:
		err = w.campaign(ctx, *duration, *seed, *finds, *targets)
	}
	w.close()
	os.RemoveAll(dir)
	if err != nil {
		fatal(err)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "campaign:", err)
	os.Exit(1)
}

// isolate gives root's process mounts of its own, which end with it.
func isolate() error {
	const done = "PGC_CAMPAIGN_ISOLATED"
	if os.Getuid() != 0 || os.Getenv(done) != "" {
		return nil
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("mounts of its own: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), done+"=1"))
}

// prepare makes a workshop in a folder. Other users may look into it.
func prepare(ctx context.Context, dir string) (*workshop, error) {
	if err := errors.Join(os.Chmod(dir, 0o755), adopt()); err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("go list -m: %w", err)
	}
	w, err := newWorkshop(ctx, dir, strings.TrimSpace(string(out)))
	if err != nil {
		return nil, err
	}
	_, w.groups = w.group(1 << 40)
	_, w.filters = w.run(ctx, &Case{Program: "answers", Args: []text{"info"}, Rate: 1e-9})
	return w, nil
}

// campaign runs cases, and fuzz targets between them, until the time is over.
func (w *workshop) campaign(ctx context.Context, duration time.Duration, seed uint64, finds string, withTargets bool) error {
	fmt.Printf("seed %d\n", seed)
	targets, err := fuzzTargets(w.root)
	if err == nil {
		err = os.MkdirAll(finds, 0o777)
	}
	if err != nil {
		return err
	}
	if !withTargets {
		targets = nil
	}
	end, cases, skipped, broken, fuzzed := time.Now().Add(duration), 0, 0, map[string]int{}, 0
	slice := min(20*time.Second, duration/time.Duration(4*len(targets)+1)) // of a target; cases have three times as long
	for n := 0; time.Now().Before(end) && ctx.Err() == nil; n++ {
		if len(targets) > 0 {
			t := targets[n%len(targets)]
			fuzzed++
			if found := t.fuzz(ctx, slice); found != "" {
				broken["target "+t.name]++
				fmt.Printf("%s in %s: %s\n", t.name, t.dir, found)
			}
		}
		for stop := time.Now().Add(3 * slice); time.Now().Before(stop) && ctx.Err() == nil; cases++ {
			c := w.make(seed + uint64(cases))
			if w.cannot(c) != "" {
				skipped++
				continue
			}
			found, r, err := w.judge(ctx, c)
			if err != nil {
				fmt.Printf("case %d cannot be run: %v\n%v\n", seed+uint64(cases), err, c)
				continue
			}
			for _, f := range found {
				name := mark(c, f)
				if broken[name]++; broken[name] > 1 {
					continue
				}
				reduced := w.reduce(ctx, c, r, f.rule)
				if err := keep(finds, name, reduced); err != nil {
					return err
				}
				fmt.Printf("case %d: %s: %s\n\t%q\n\t%s.json\n", seed+uint64(cases), f.rule, f.what, plain(reduced.Args), name)
			}
		}
	}
	fmt.Printf("%d cases, %d that this user cannot run, %d runs of %d fuzz targets, %d kinds of finds\n", cases-skipped, skipped, fuzzed, len(targets), len(broken))
	if len(broken) > 0 && ctx.Err() == nil {
		return fmt.Errorf("%d kinds of finds, expected none: see %s", len(broken), finds)
	}
	return nil
}

// replay runs one case, several times unless it breaks a rule before, and prints what came.
func (w *workshop) replay(ctx context.Context, path string, times int) error {
	c, err := readCase(path)
	if err != nil {
		return err
	}
	var found []finding
	var r *result
	for i := 0; i < max(1, times) && len(found) == 0 && ctx.Err() == nil; i++ {
		if found, r, err = w.judge(ctx, c); err != nil {
			return err
		}
	}
	fmt.Printf("status %d %s after %v, %v of processor time, %d MiB\nstdout: %.2000q\nstderr: %.4000q\nfailed: %v\n",
		r.status, r.signal, r.wall, r.cpu, r.memory>>20, r.stdout, r.stderr, r.failed)
	for _, f := range found {
		fmt.Printf("%s: %s\n", f.rule, f.what)
	}
	if len(found) > 0 {
		return fmt.Errorf("the case breaks %d rules, expected none", len(found))
	}
	return nil
}

// close removes what is outside the workshop's folder.
func (w *workshop) close() {
	if w != nil && w.ungroup != nil {
		w.ungroup()
	}
}
