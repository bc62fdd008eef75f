// Command testreport reads what go test -json prints and says what go test says without it; at the end it lists the
// tests that were skipped, with their reasons. It exits with 1 if anything failed, and if a test that -must names was
// skipped or did not run.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	must := flag.String("must", "", "names of tests that must pass, with commas between")
	flag.Parse()
	var names []string
	if *must != "" {
		names = strings.Split(*must, ",")
	}
	if err := report(os.Stdin, os.Stdout, names); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// event is a line of go test -json.
type event struct {
	Action, Package, Test, Output string
}

// test identifies a test.
type test struct{ pkg, name string }

// report copies to w what is to be seen of the events in r. Its error says what failed.
func report(r io.Reader, w io.Writer, must []string) error {
	output, skipped, passed := map[test]string{}, []string{}, map[string]bool{}
	packages, failed := 0, 0
	for d := json.NewDecoder(r); ; {
		var e event
		if err := d.Decode(&e); err == io.EOF {
			break
		} else if err != nil {
			return fmt.Errorf("go test -json: %w", err)
		}
		at := test{e.Package, e.Test}
		switch {
		case e.Action == "build-output" || e.Action == "output" && e.Test == "" && e.Output != "PASS\n":
			io.WriteString(w, e.Output)
		case e.Action == "output":
			output[at] += e.Output
		case e.Test == "" && (e.Action == "pass" || e.Action == "skip"):
			packages++
		case e.Test == "" && e.Action == "fail":
			failed++
			for t, text := range output { // of tests that never ended
				if t.pkg == e.Package {
					io.WriteString(w, text)
				}
			}
		case e.Action == "fail":
			io.WriteString(w, output[at])
		case e.Action == "skip":
			skipped = append(skipped, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(output[at])))
		case e.Action == "pass":
			passed[e.Test] = true
		}
		if e.Action == "pass" || e.Action == "fail" || e.Action == "skip" {
			delete(output, at)
		}
	}
	if len(skipped) > 0 {
		fmt.Fprintf(w, "skipped tests, %d:\n\t%s\n", len(skipped), strings.Join(skipped, "\n\t"))
	}
	var errs []error
	if failed > 0 || packages == 0 {
		errs = append(errs, fmt.Errorf("%d packages failed, %d passed", failed, packages))
	}
	for _, name := range must {
		if !passed[name] {
			errs = append(errs, fmt.Errorf("%s did not run and pass, expected it to", name))
		}
	}
	return errors.Join(errs...)
}

// reason is what a skipped test says, without what go test adds.
func reason(output string) string {
	var said []string
	for _, line := range strings.Split(output, "\n") {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			said = append(said, line)
		}
	}
	return strings.Join(said, " ")
}
