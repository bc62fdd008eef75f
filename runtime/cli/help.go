package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	least   = 40 // columns of a line at least
	general = 80 // columns of a line where the environment says nothing
)

// Help prints what there is: about the program called name, or about the command of what was parsed if there is one.
func (g *Grammar) Help(out io.Writer, name, about string, parsed *Parsed) {
	h := &helper{width: columns()}
	if parsed.Command == "" {
		h.paragraph("Usage: " + name + " <command> [flags]")
		h.paragraph(about)
		h.flags("Flags:", help(&helped{}), g.root)
		h.table("Commands:", g.commands, func(c field) string { return c.name })
		h.paragraph(fmt.Sprintf("Run \"%s <command> --help\" for more information on a command.", name))
	} else {
		usage := "Usage: " + name + " " + parsed.Command
		var arguments []field
		for _, f := range parsed.own {
			if f.has("arg") {
				arguments = append(arguments, f)
			} else if f.has("required") {
				usage += " " + f.summary()
			}
		}
		for _, a := range arguments {
			usage += " " + a.summary()
		}
		h.paragraph(usage + " [flags]")
		for _, c := range g.commands {
			if c.name == parsed.Command {
				h.paragraph(c.tag.Get("help"))
			}
		}
		h.table("Arguments:", arguments, func(a field) string { return a.summary() })
		h.flags("Flags:", help(&helped{}), parsed.own)
		h.flags("Flags of all commands:", g.root)
	}
	io.WriteString(out, strings.TrimPrefix(h.String(), "\n"))
}

// columns is the width of a line: COLUMNS of the environment, else general.
func columns() int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n >= least {
		return n
	}
	return general
}

// helper writes help: blocks with a blank line before each.
type helper struct {
	strings.Builder
	width int
}

func (h *helper) paragraph(text string) {
	h.WriteString("\n" + strings.Join(wrap(text, h.width), "\n") + "\n")
}

// flags writes a table of the flags in some lists of fields, as pflag does.
func (h *helper) flags(title string, lists ...[]field) {
	if set := flagSet(lists...); set.HasFlags() {
		h.WriteString("\n" + title + "\n" + set.FlagUsagesWrapped(h.width))
	}
}

// table writes fields with their help, if there are any.
func (h *helper) table(title string, list []field, left func(f field) string) {
	if len(list) == 0 {
		return
	}
	h.WriteString("\n" + title + "\n")
	widest := 0
	for _, f := range list {
		widest = max(widest, utf8.RuneCountInString(left(f)))
	}
	for _, f := range list {
		cell := left(f)
		for _, line := range wrap(f.tag.Get("help"), h.width-widest-5) {
			fmt.Fprintf(h, "  %-*s   %s\n", widest, cell, line)
			cell = ""
		}
	}
}

// wrap divides a text into lines of a width, which a longer word exceeds. There is one line at least.
func wrap(text string, width int) []string {
	lines := []string{""}
	for i, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case i == 0:
			*last = word
		case utf8.RuneCountInString(*last)+1+utf8.RuneCountInString(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}
