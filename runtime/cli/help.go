package cli

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	indent  = 2  // columns before a table's left column
	gap     = 4  // columns between its columns
	widest  = 30 // columns of a left cell that has text beside it, or 3/8 of the line if that is more
	general = 80 // columns of a line where the environment says nothing
)

// Help prints what there is: about the program called name, or about the command of what was parsed if there is one.
func (g *Grammar) Help(out io.Writer, name, about string, parsed *Parsed) {
	h := &helper{width: columns()}
	if parsed.Command == "" {
		h.line("Usage: " + name + " <command> [flags]")
		h.text(about)
		h.flags(g.root)
		var rows []row
		for _, c := range g.commands {
			rows = append(rows, row{c.name, c.tag.Get("help")})
		}
		h.table("Commands:", rows)
		h.line("")
		h.line(fmt.Sprintf("Run \"%s <command> --help\" for more information on a command.", name))
	} else {
		usage := "Usage: " + name + " " + parsed.Command
		var arguments []row
		for _, f := range parsed.own {
			switch {
			case f.has("arg"):
				arguments = append(arguments, row{f.summary(), f.tag.Get("help")})
			case f.has("required"):
				usage += " " + f.summary()
			}
		}
		for _, a := range arguments {
			usage += " " + a.left
		}
		h.line(usage + " [flags]")
		for _, c := range g.commands {
			if c.name == parsed.Command {
				h.text(c.tag.Get("help"))
			}
		}
		h.table("Arguments:", arguments)
		h.flags(g.root, parsed.own)
	}
	io.WriteString(out, h.String())
}

// columns is the width of a line: COLUMNS of the environment, else general.
func columns() int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n >= widest+2*gap {
		return n
	}
	return general
}

// summary is a flag with what stands for its value, or an argument.
func (f *field) summary() string {
	if f.has("arg") {
		text := "<" + f.name + ">"
		if f.value.Kind() == reflect.Slice {
			text += " ..."
		}
		if f.has("optional") {
			text = "[" + text + "]"
		}
		return text
	}
	if f.isBool() {
		return "--" + f.name
	}
	value := f.tag.Get("placeholder")
	if value == "" {
		if value = f.value.Type().Name(); value == "" {
			value = f.name
		}
		value = strings.ToUpper(value)
	}
	if f.value.Kind() == reflect.Slice && f.divided() {
		value += ",..."
	}
	return "--" + f.name + "=" + value
}

// row is a row of a table.
type row struct{ left, right string }

// helper writes help.
type helper struct {
	strings.Builder
	width int
}

func (h *helper) line(text string) { h.WriteString(strings.TrimRight(text, " ") + "\n") }

// text writes a paragraph.
func (h *helper) text(text string) {
	h.line("")
	for _, line := range wrap(text, h.width) {
		h.line(line)
	}
}

// flags writes a table of the flags in some lists of fields, with a line between the lists.
func (h *helper) flags(lists ...[]field) {
	rows := []row{{"-h, --" + helpFlag.name, helpFlag.tag.Get("help")}}
	for i, list := range lists {
		between := i > 0
		for _, f := range list {
			if f.has("arg") {
				continue
			}
			if between {
				rows, between = append(rows, row{}), false
			}
			left := "    "
			if f.short() != "" {
				left = "-" + f.short() + ", "
			}
			left += f.summary()
			if f.has("negatable") {
				left = strings.Replace(left, "--", "--[no-]", 1)
			}
			rows = append(rows, row{left, f.tag.Get("help")})
		}
	}
	h.table("Flags:", rows)
}

// table writes rows of two columns, if there are any.
func (h *helper) table(title string, rows []row) {
	if len(rows) == 0 {
		return
	}
	h.line("")
	h.line(title)
	most, left := max(widest, 3*(h.width-indent)/8), 0
	for _, r := range rows {
		if n := utf8.RuneCountInString(r.left); n < most {
			left = max(left, n)
		}
	}
	margin := strings.Repeat(" ", indent+left+gap)
	for _, r := range rows {
		lines := wrap(r.right, h.width-len(margin))
		n := utf8.RuneCountInString(r.left)
		first := strings.Repeat(" ", indent) + r.left
		if n < most && len(lines) > 0 {
			first += strings.Repeat(" ", left-n+gap) + lines[0]
			lines = lines[1:]
		}
		h.line(first)
		for _, line := range lines {
			h.line(margin + line)
		}
	}
}

// wrap divides a text into lines of a width, which a longer word exceeds.
func wrap(text string, width int) (lines []string) {
	for _, word := range strings.Fields(text) {
		n := len(lines) - 1
		if n >= 0 && utf8.RuneCountInString(lines[n])+1+utf8.RuneCountInString(word) <= width {
			lines[n] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}
