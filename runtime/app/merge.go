package app

import (
	"fmt"
	"io"
	"os"
	"strings"

	"pgc/runtime/plural"
	"pgc/runtime/shard"
)

// MergeCmd joins shards: a command of executables and of pgc.
type MergeCmd struct {
	Shards []string `arg:"" name:"shard" help:"All shards that batch --shard wrote, such as answers-*-of-*.jsonl."`
	Output string   `short:"o" required:"" placeholder:"OUT.jsonl" help:"Where to write the answers, in the order of the input. Nothing is written if an answer is missing or double."`
}

type mergeCmd struct{ MergeCmd }

// Run joins the shards of a batch.
func (c *mergeCmd) Run(a *App) error { return c.Merge(a.Err) }

// Merge joins the shards and says on stderr what came of it.
func (c *MergeCmd) Merge(stderr io.Writer) error {
	for _, name := range c.Shards {
		if strings.HasSuffix(name, unfinished) {
			return fmt.Errorf("%s is a shard whose work was interrupted: run it again, expected complete ones", name)
		}
		if _, err := os.Stat(name + unfinished); err == nil {
			fmt.Fprintf(stderr, "warning: %s is being worked on, since there is %s%s\n", name, name, unfinished)
		}
	}
	m, err := shard.Merge(c.Output, c.Shards)
	if err != nil {
		return err
	}
	note := ""
	if m.Errors > 0 {
		note = fmt.Sprintf(", %d of them errors: batch answers them anew with this output", m.Errors)
	}
	_, err = fmt.Fprintf(stderr, "%s of %s%s\n", plural.Of(m.Rows, "answer"), plural.Of(m.Shards, "shard"), note)
	return err
}

// bareShard completes --shard without a value, which stands for auto.
func bareShard(args []string) []string {
	if args[0] != "batch" {
		return args
	}
	out := make([]string, 0, len(args))
	for i, arg := range args {
		if arg == "--shard" && (i+1 == len(args) || strings.HasPrefix(args[i+1], "--")) {
			arg += "=auto"
		}
		out = append(out, arg)
	}
	return out
}
