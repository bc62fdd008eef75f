package app

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"pgc"
	"pgc/runtime/process"
)

// printer prints the answers of generate.
type printer struct {
	*generateCmd
	a      *App
	load   time.Duration
	failed int // pictures that gave none
	total  int
}

// Escapes of the lines of --each.
var (
	oneLine  = strings.NewReplacer("\n", `\n`, "\r", `\r`)
	oneField = strings.NewReplacer("\n", `\n`, "\r", `\r`, "\t", `\t`)
)

// failure is the object that generate --each --json prints for a picture without an answer.
type failure struct {
	Image string `json:"image"`
	Error string `json:"error"`
}

// give counts an answer and returns the error that ends the command. With --each that of a request ends only itself.
func (p *printer) give(j job, err error) (ends error) {
	p.total++
	if err == nil || !p.Each || p.a.ctx.Err() != nil || errors.Is(err, pgc.ErrDamaged) {
		return err
	}
	p.failed++
	fmt.Fprintln(p.a.Err, process.Line(err.Error()))
	if p.JSON {
		return writeJSON(p.a.Out, failure{j.images[0], err.Error()})
	}
	return nil
}

// finish returns the error of pictures that gave no answer.
func (p *printer) finish() error {
	if p.failed > 0 {
		return fmt.Errorf("%d of %d answers failed", p.failed, p.total)
	}
	return nil
}

// print prints an answer, or why there is none.
func (p *printer) print(j job, r pgc.Request, got *pgc.Answer, err error) error {
	if ends := p.give(j, err); ends != nil || err != nil {
		return ends
	}
	if p.Draw != "" {
		if err := draw(p.a, p.Draw, r.Images[0], got.Boxes); err != nil {
			return err
		}
	}
	if err := p.write(j, got); err != nil {
		return err
	}
	p.warn(j, got)
	return nil
}

// write writes an answer to standard output.
func (p *printer) write(j job, got *pgc.Answer) error {
	if p.JSON {
		line := newAnswer(got, p.load)
		if p.Each {
			line.Image = j.images[0]
		}
		return writeJSON(p.a.Out, line)
	}
	text := got.Text
	if p.Each {
		text = oneField.Replace(j.images[0]) + "\t" + oneLine.Replace(text)
	}
	_, err := fmt.Fprintln(p.a.Out, text)
	return err
}

// stream prints the text of an answer as it is generated.
func (p *printer) stream(m *pgc.Model, j job, r pgc.Request) error {
	begun := false
	got, err := m.Watch(p.a.ctx, r, func(t pgc.Token) {
		if p.Each && !begun {
			fmt.Fprint(p.a.Out, process.Line(j.images[0]), "\t")
		}
		begun = true
		if p.Each {
			t.Text = oneLine.Replace(t.Text)
		}
		fmt.Fprint(p.a.Out, t.Text)
	})
	if begun || err == nil {
		fmt.Fprintln(p.a.Out)
	}
	if ends := p.give(j, err); ends != nil || err != nil {
		return ends
	}
	p.warn(j, got)
	if p.Draw != "" {
		return draw(p.a, p.Draw, r.Images[0], got.Boxes)
	}
	return nil
}

// warn prints the warnings of an answer.
func (p *printer) warn(j job, got *pgc.Answer) {
	where := ""
	if p.Each {
		where = process.Line(j.images[0]) + ": "
	}
	p.a.warn(where, got.Warnings)
}
