package annotate

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
)

// TSV writes a line an object: picture, label, score, x0, y0, x1, y1. A score that is not known is "-".
func TSV(w io.Writer, p Picture) error {
	for _, o := range p.Objects {
		fields := []string{field(p.Name), field(o.Label), "-"}
		if o.Score != nil {
			fields[2] = number(o.Score.Value())
		}
		for _, v := range o.Box.Box {
			fields = append(fields, number(v))
		}
		if _, err := fmt.Fprintln(w, strings.Join(fields, "\t")); err != nil {
			return err
		}
	}
	return nil
}

// number writes a number with the digits that tell it from others.
func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// field is a text without what ends a field.
var field = strings.NewReplacer("\t", `\t`, "\n", `\n`, "\r", `\r`).Replace

// Table writes lines for a terminal: the label, the score and the corners x0 y0 x1 y1 of every object, and "no cat" for a
// class without one.
func Table(w io.Writer, p Picture) error {
	rows := [][]string{{"label", "score", "x0", "y0", "x1", "y1"}}
	for _, o := range p.Objects {
		row := []string{o.Label, "-"}
		if o.Score != nil {
			row[1] = fmt.Sprintf("%.2f", o.Score.Value())
		}
		for _, v := range o.Box.Box {
			row = append(row, fmt.Sprintf("%.1f", v))
		}
		rows = append(rows, row)
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], columns(cell))
		}
	}
	var text strings.Builder
	if len(rows) > 1 {
		for _, row := range rows {
			for i, cell := range row {
				pad := strings.Repeat(" ", widths[i]-columns(cell))
				if i == 0 {
					text.WriteString(cell + pad)
				} else {
					text.WriteString("  " + pad + cell)
				}
			}
			text.WriteByte('\n')
		}
	}
	for _, class := range p.Missing() {
		fmt.Fprintf(&text, "no %s\n", class)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// columns is how wide a terminal shows a text: two columns for a letter of Chinese, Japanese or Korean, none for a mark over
// or under another letter and for what is not seen.
func columns(text string) int {
	n := 0
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		case wide(r):
			n += 2
		default:
			n++
		}
	}
	return n
}
