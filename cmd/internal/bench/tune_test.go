package bench

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"io"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"pgc/codegen/kernels"
	"pgc/codegen/schedule"
	"pgc/ir/target"
)

// stopwatch gives made-up times of candidates, of which four in eleven are disturbed.
func stopwatch(times ...float64) func(candidate, lap int) (float64, error) {
	calls := 0
	return func(candidate, lap int) (float64, error) {
		calls++
		t := times[candidate] * float64(lap+1)
		if calls*7%11 < 4 {
			t *= 1 + float64(calls%7)
		}
		return t, nil
	}
}

func TestRaces(t *testing.T) {
	for _, c := range []struct {
		times []float64
		want  int
	}{
		{[]float64{1, 0.9, 0.8, 1.3}, 2}, {[]float64{1}, 0},
		{[]float64{1, 0.99, 1.5}, 0}, // not clearly
		{[]float64{1, 1.2, 1.1}, 0}, {[]float64{1, 0.5, 0.5}, 1},
	} {
		best, all, err := race(len(c.times), 2, 10, stopwatch(c.times...))
		if err != nil || best != c.want {
			t.Errorf("%v: %d wins (%v), expected %d", c.times, best, err, c.want)
		}
		for i, r := range all {
			if slow := c.times[i] > 1.25*c.times[c.want]; slow && len(r.laps[0]) > 2*warmUp && i > 0 {
				t.Errorf("%v: candidate %d, which loses, runs %d rounds", c.times, i, len(r.laps[0]))
			}
		}
	}
	broken := errors.New("broken")
	if _, _, err := race(2, 1, 1, func(int, int) (float64, error) { return 0, broken }); err != broken {
		t.Errorf("got %v", err)
	}
}

// TestSearchFindsTheBest searches where the time is known: every step has its own best value.
func TestSearchFindsTheBest(t *testing.T) {
	cpu := find(t, "x86-64-v3")
	time := func(p schedule.Product) float64 {
		distance := func(n, best int64) float64 { return float64(max(n-best, best-n)) / float64(best) }
		return 1 + distance(int64(p.Many.MR), 4) + distance(int64(p.Many.Vecs), 2) + distance(p.Many.KC, 256) + distance(p.Many.NC, 64) + distance(p.Many.MC, 144)
	}
	found, both, err := search("", schedule.OfMany(schedule.FMA, cpu), schedule.Default.Of(schedule.FMA, cpu), 5, io.Discard,
		func(all []schedule.Product, seconds float64) (int, []result, error) {
			var times []float64
			for _, p := range all {
				times = append(times, time(p))
			}
			return race(len(all), 1, seconds, stopwatch(times...))
		})
	if want := (schedule.Many{MR: 4, Vecs: 2, KC: 256, NC: 64, MC: 144}); err != nil || found.Many != want || len(both) != 2 || both[1].score >= both[0].score {
		t.Errorf("found %+v, %+v, %v; expected %+v", found.Many, both, err, want)
	}
}

// TestTune tunes classes of a tiny product on this machine, and reads what is printed back as rows of the table.
func TestTune(t *testing.T) {
	cpu, err := target.FindHere()
	if err != nil {
		t.Fatal(err)
	}
	class := schedule.Class(classes(TuneOptions{Target: cpu, K: 128, N: 64})[0])
	var log strings.Builder
	all, err := Tune(context.Background(), TuneOptions{Target: cpu, K: 128, N: 64, Only: []string{string(class)}, Seconds: 0.01, Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].Class != class || len(all[0].Lines) < 3 || !strings.Contains(log.String(), ", many rows, MR×Vecs: ") {
		t.Errorf("got %+v and\n%s", all, log.String())
	}
	changed := *all[0]
	changed.Product.Many.KC, changed.Product.One.Side = 384, 2
	same := &Tuned{Class: schedule.U8, Lines: []string{"measured"}}
	attention := &Tuned{Attention: schedule.Attention{MR: 4, Vecs: 2, Strips: 8}}
	var out strings.Builder
	if err := PrintTuned(&out, cpu, "a machine", []*Tuned{&changed, same, attention}); err != nil {
		t.Fatal(err)
	}
	rows := readRows(t, out.String())
	if want := (schedule.Row{Class: class, Family: cpu.Family, Lanes: cpu.Lanes, Product: changed.Product}); len(rows) != 1 || rows[0] != want {
		t.Errorf("%s\nreads as %+v, expected %+v", out.String(), rows, want)
	}
	for _, want := range []string{"// " + cpu.Name + ", one thread of a machine.\n", "// U8: the table's row is as good", "// " + all[0].Lines[0] + "\n",
		fmt.Sprintf("{%q, %d, 4, 2, 8},", cpu.Family, cpu.Lanes)} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if _, err := Tune(context.Background(), TuneOptions{Target: cpu, K: 128, N: 64, Only: []string{"none"}, Seconds: 1, Log: io.Discard}); err == nil ||
		!strings.Contains(err.Error(), "is of class none: expected one of ") {
		t.Errorf("got %v", err)
	}
}

// TestStripsAreMeasured expects what is timed for a number of attention's schedule to depend on it: strips are shared only
// where keys and values are many.
func TestStripsAreMeasured(t *testing.T) {
	for _, name := range []string{"x86-64-v3", "cascadelake"} {
		cpu := find(t, name)
		for _, j := range jobs(TuneOptions{Target: cpu, K: 128, N: 64, Only: []string{string(attentionClass)}}) {
			for _, s := range j.laps {
				built := map[string]bool{}
				for _, step := range j.space(cpu).Steps {
					for _, row := range step.Next(schedule.Default.Attention(cpu)) {
						k, err := kernels.BuildBy(&schedule.Table{Products: schedule.Default.Products, Attentions: []schedule.Attention{row}}, "k", s.spec, cpu)
						if err != nil {
							t.Fatal(err)
						}
						built[fmt.Sprint(k.Grains, k.Tile)] = true
					}
				}
				if len(built) < 2 {
					t.Errorf("%s, %s, %s: one kernel, whatever the schedule says", name, j.space(cpu).Name, s.name)
				}
			}
		}
	}
}

// TestRowsOfTheTable reads every row of the table back as it would be printed.
func TestRowsOfTheTable(t *testing.T) {
	var source strings.Builder
	for _, r := range schedule.Default.Products {
		source.WriteString(rowSource(r) + "\n")
	}
	rows := readRows(t, source.String())
	if !reflect.DeepEqual(rows, schedule.Default.Products) {
		t.Errorf("got %+v", rows)
	}
}

// readRows parses rows of products as Go, field by field in the order of the types.
func readRows(t *testing.T, source string) (rows []schedule.Row) {
	t.Helper()
	source, _, _ = strings.Cut(source, "// Attentions:\n")
	e, err := parser.ParseExpr("[]Row{\n" + source + "\n}")
	if err != nil {
		t.Fatalf("%v\n%s", err, source)
	}
	for _, row := range e.(*ast.CompositeLit).Elts {
		var r schedule.Row
		values := row.(*ast.CompositeLit).Elts
		r.Class = schedule.Class(values[0].(*ast.Ident).Name)
		r.Family, _ = strconv.Unquote(values[1].(*ast.BasicLit).Value)
		r.Lanes, _ = strconv.Atoi(values[2].(*ast.BasicLit).Value)
		parts := values[3].(*ast.CompositeLit).Elts
		for i, part := range []any{&r.Many, &r.One, &r.Few} {
			v := reflect.ValueOf(part).Elem()
			for j, x := range parts[i].(*ast.CompositeLit).Elts {
				switch x := x.(type) {
				case *ast.BasicLit:
					n, err := strconv.ParseInt(x.Value, 10, 64)
					if err != nil {
						t.Fatal(err)
					}
					v.Field(j).SetInt(n)
				case *ast.Ident:
					v.Field(j).SetBool(x.Name == "true")
				}
			}
		}
		rows = append(rows, r)
	}
	return rows
}

func find(t *testing.T, name string) target.Target {
	t.Helper()
	cpu, err := target.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return cpu
}
