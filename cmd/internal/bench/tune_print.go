package bench

import (
	"fmt"
	"go/format"
	"io"
	"strings"

	"pgc/codegen/schedule"
	"pgc/ir/target"
)

// line says what a subject reached with the table's schedule and with the best, in shares of its limit.
func (m *meter) line(s subject, before, after lap) string {
	limit, of := m.peaks.arithmetic(&s.row)
	per, unit := float64(s.ops), "GOP/s"
	if bandwidth, name := m.peaks.bandwidth(&s.row); float64(s.row.Bytes)/bandwidth > float64(s.row.Flops)/limit {
		limit, of, per, unit = bandwidth, name, float64(s.row.Bytes), "GB/s"
	}
	share := func(l lap) float64 { return 100 * per / l.least() / limit }
	spread := 100 * (after.median()/after.least() - 1)
	return fmt.Sprintf("%s: %.0f → %.0f %% of %.1f %s (%s), median +%.0f %%", s.name, share(before), share(after), limit/1e9, unit, of, spread)
}

// PrintTuned writes the rows that were found better than the table's, as Go source for codegen/schedule/table.go, each
// with its measurement; for the others the measurement alone.
func PrintTuned(w io.Writer, t target.Target, machine string, all []*Tuned) error {
	family := t.Family
	var rows, attentions, same strings.Builder
	for _, f := range all {
		to, name := &rows, string(f.Class)
		if f.Class == "" {
			to, name = &attentions, "attention"
		}
		if !f.Changed() {
			to = &same
			fmt.Fprintf(to, "// %s: the table's row is as good as any that was tried.\n", name)
		}
		for _, l := range f.Lines {
			fmt.Fprintf(to, "// %s\n", l)
		}
		switch {
		case !f.Changed():
		case f.Class == "":
			fmt.Fprintf(to, "{%q, %d, %d, %d, %d},\n", family, t.Lanes, f.Attention.MR, f.Attention.Vecs, f.Attention.Strips)
		default:
			fmt.Fprintln(to, rowSource(schedule.Row{Class: f.Class, Family: family, Lanes: t.Lanes, Product: f.Product}))
		}
	}
	fmt.Fprintf(w, "// %s, one thread of %s.\n", t.Name, machine)
	for _, list := range []struct{ field, of, rows string }{{"Products", "Row", rows.String()}, {"Attentions", "Attention", attentions.String()}} {
		if list.rows == "" {
			continue
		}
		source, err := format.Source(fmt.Appendf(nil, "package schedule\n\nvar _ = []%s{\n%s}\n", list.of, list.rows))
		if err != nil {
			return err
		}
		_, body, _ := strings.Cut(string(source), "{\n")
		fmt.Fprintf(w, "// %s:\n%s", list.field, strings.TrimSuffix(body, "}\n"))
	}
	_, err := io.WriteString(w, same.String())
	return err
}

// rowSource writes a row as the table has it.
func rowSource(r schedule.Row) string {
	m, o, f := r.Many, r.One, r.Few
	return fmt.Sprintf("{%s, %q, %d, Product{Many{%d, %d, %d, %d, %d, %v}, One{%d, %d, %d}, Few{%d, %d, %d, %d}}},", r.Class, r.Family, r.Lanes,
		m.MR, m.Vecs, m.KC, m.NC, m.MC, m.Pack, o.Side, o.Chains, o.Ahead, f.MR, f.Vecs, f.Side, f.Ahead)
}
