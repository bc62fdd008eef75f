package app

import (
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"pgc/runtime/cli"
)

// words are what random command lines are made of: what is right, what nearly is, and what is odd.
var words = []string{"generate", "detect", "batch", "segment", "tokenize", "info", "embed", "rank", "answer", "mask", "merge", "serve", "help",
	"a.png", "caption en", "", "-", "--", "-3", "x\xff", "…",
	"--image", "--image=b.png", "--image=", "--prompt", "--prompt=", "--suffix=s", "-o", "-oOUT", "--output=-", "--input", "--input=in",
	"--each", "--json", "--json=no", "--json=YES", "--json=maybe", "--stream", "--no-stream", "--no-stream=false", "--no-per-class", "--per-class=0",
	"--max-new-tokens", "7", "0x10", "1_000", "7.5", "--max-new-tokens=-1", "--top-k=1e3", "--temperature", "--temperature=0.5", "--temperature=x",
	"--seed=18446744073709551615", "--seed=18446744073709551616", "--seed=-1", "--threads=2", "--threads", "--stop", "--stop=a,b", "--stop=",
	"--skip-special-tokens", "--skip-special-tokens=false", "--format=tsv", "--format=xml", "--format", "--format=", "--header=A: b, c", "--isa=x", "--isa=",
	"--no-verify", "--no-no-verify", "--version", "--version=false", "--help", "-h", "-hx", "-x", "--imag", "--jsn", "--cors=a,b\\,c,d\\e,", "--host", "h",
	"--request-timeout=90s", "--request-timeout=90", "--max-queue-bytes=9223372036854775807", "--shard=auto", "--texts", "--no-texts", "--token=3", "--layer"}

// TestLikeKong reads random command lines as kong would, by the same structs. One thing more is taken: pictures and prompts
// with flags between them.
func TestLikeKong(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	makes := map[string]func() any{"generating": func() any { return &generating{} }, "embedding": func() any { return &embedding{} }, "frozen": func() any { return &frozen{} }}
	accepted, refused := 0, 0
	for range 300 {
		for kind, make := range makes {
			args := []string{words[random.IntN(13)]} // a command, mostly
			if random.IntN(4) == 0 {
				args = nil
			}
			for range random.IntN(6) {
				args = append(args, words[random.IntN(len(words))])
			}
			if len(args) == 0 {
				continue
			}
			theirs, ours, helped := make(), make(), false
			k, err := kong.New(theirs, kong.Exit(func(int) { helped = true }), kong.Writers(io.Discard, io.Discard), verbatim)
			if err != nil {
				t.Fatal(err)
			}
			context, wantErr := k.Parse(args)
			parsed, err := cli.Of(ours).Parse(args)
			switch {
			case helped:
				if err != nil || !parsed.Help {
					t.Fatalf("%s %q: %+v (%v), expected help", kind, args, parsed, err)
				}
				continue
			case wantErr != nil:
				interleaved := strings.HasPrefix(wantErr.Error(), "unexpected argument")
				none := strings.HasPrefix(wantErr.Error(), "expected one of") && err == nil && parsed.Value == nil
				if err == nil && !interleaved && !none {
					t.Fatalf("%s %q: accepted, expected %v", kind, args, wantErr)
				}
				refused++
				continue
			case err != nil:
				t.Fatalf("%s %q: %v, expected none", kind, args, err)
			}
			if word, _, _ := strings.Cut(context.Command(), " "); word != parsed.Command {
				t.Fatalf("%s %q: command %s, expected %s", kind, args, parsed.Command, word)
			}
			accepted++
			// What is not asked for has no defaults here, which nothing reads.
			one, other := of(theirs, parsed.Command), of(ours, parsed.Command)
			if !reflect.DeepEqual(one, other) || parsed.Value != other[1] {
				t.Fatalf("%s %q: %+v, expected %+v", kind, args, other, one)
			}
		}
	}
	if accepted < 50 || refused < 400 {
		t.Errorf("%d command lines were accepted and %d refused: they test little", accepted, refused)
	}
}

// verbatim takes arguments as bytes.
var verbatim = kong.KindMapper(reflect.String, kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
	token, err := ctx.Scan.PopValue("string")
	if err == nil {
		target.SetString(token.Value.(string))
	}
	return err
}))

// of returns the flags of all commands, and a pointer to the struct of one command.
func of(root any, command string) []any {
	var c common
	switch r := root.(type) {
	case *generating:
		c = r.common
	case *embedding:
		c = r.common
	case *frozen:
		c = r.common
	}
	c = common{Version: c.Version, NoVerify: c.NoVerify, Device: c.Device, Header: c.Header, ISA: c.ISA, AssumeISA: c.AssumeISA}
	v := reflect.ValueOf(root).Elem()
	for _, f := range reflect.VisibleFields(v.Type()) {
		if strings.EqualFold(f.Name, command) {
			return []any{c, v.FieldByIndex(f.Index).Addr().Interface()}
		}
	}
	return []any{c, nil}
}

// TestHelpText: help tells all that kong's does.
func TestHelpText(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"generate", "--help"}, {"detect", "-h"}, {"batch", "--help"}, {"mask", "--help"}, {"serve", "--help"}, {"merge", "--help"}, {"a.png", "--help"}} {
		theirs := &generating{}
		k, err := kong.New(theirs, kong.Exit(func(int) {}), kong.Writers(io.Discard, io.Discard))
		if err != nil {
			t.Fatal(err)
		}
		g, got := cli.Of(&generating{}), &strings.Builder{}
		parsed, err := g.Parse(args)
		if err != nil {
			t.Fatal(err)
		}
		g.Help(got, "exe", "A model.", parsed)
		text := strings.Join(strings.Fields(got.String()), " ")
		flags := k.Model.Flags
		for _, c := range k.Model.Children {
			if c.Name == parsed.Command {
				flags = append(flags, c.Flags...)
			} else if parsed.Command == "" && !strings.Contains(text, c.Name+" "+c.Help) {
				t.Errorf("%q: no %s %s in\n%s", args, c.Name, c.Help, got)
			}
		}
		for _, f := range flags {
			name, help := "--"+f.Name+" ", " "+f.Help
			if f.Name == "help" {
				help = ""
			}
			if i := strings.Index(text, name); i < 0 || !strings.Contains(text[i:], help) {
				t.Errorf("%q: no --%s %s in\n%s", args, f.Name, f.Help, got)
			}
		}
		for line := range strings.Lines(got.String()) {
			if n := len([]rune(line)); n > 81 {
				t.Errorf("%q: a line of %d columns: %s", args, n, line)
			}
		}
	}
}
