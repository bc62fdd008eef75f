package bench

import (
	"context"
	"fmt"
	"io"
	"strings"

	"pgc/codegen/schedule"
	"pgc/ir/target"
)

// TuneOptions says what Tune searches.
type TuneOptions struct {
	Target  target.Target
	K, N    int64    // the width of products: of x, and columns
	Only    []string // classes, or all
	Seconds float64  // of measuring, for all classes together
	Log     io.Writer
}

// Tuned is what Tune found for a class.
type Tuned struct {
	Class     schedule.Class // "" for attention
	Before    schedule.Product
	Product   schedule.Product
	Was       schedule.Attention
	Attention schedule.Attention
	Lines     []string // what was measured
}

// Changed reports whether a better schedule than the table's was found.
func (t *Tuned) Changed() bool { return t.Product != t.Before || t.Attention != t.Was }

// Tune searches the schedules of a family of CPUs on this one, on one thread. Candidates whose results are not those of
// the table's schedule, bit for bit, are an error.
func Tune(ctx context.Context, o TuneOptions) ([]*Tuned, error) {
	list := jobs(o)
	if len(list) == 0 {
		return nil, fmt.Errorf("no kernel of %s is of class %s: expected one of %s", o.Target.Name, strings.Join(o.Only, ", "), strings.Join(classes(o), ", "))
	}
	m, err := newMeter(ctx, o)
	if err != nil {
		return nil, err
	}
	defer m.close()
	var out []*Tuned
	found := map[schedule.Class]*Tuned{}
	for _, j := range list {
		t := found[j.class]
		if t == nil {
			t = &Tuned{Class: j.class}
			if j.class == attentionClass {
				t.Class = ""
				t.Was = schedule.Default.Attention(o.Target)
				t.Attention = t.Was
			} else {
				t.Before = schedule.Default.Of(j.class, o.Target)
				t.Product = t.Before
			}
			found[j.class] = t
			out = append(out, t)
		}
		seconds := o.Seconds / float64(len(list))
		if err := j.search(m, t, seconds); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// search goes through a space, that of a name, a step after another, from `now` on: a step races the best so far against what it tries.
// It returns the best and the race of the best of all against the first, for the record.
func search[S comparable](name string, space schedule.Space[S], now S, seconds float64, log io.Writer, run func(candidates []S, seconds float64) (int, []result, error)) (S, []result, error) {
	first := now
	seconds /= float64(len(space.Steps) + 1)
	for _, step := range space.Steps {
		candidates := []S{now}
		for _, s := range step.Next(now) {
			if s != now {
				candidates = append(candidates, s)
			}
		}
		if len(candidates) == 1 {
			continue
		}
		fmt.Fprintf(log, "%s, %s: %d schedules\n", name, step.Name, len(candidates))
		best, all, err := run(candidates, seconds)
		if err != nil {
			return now, nil, err
		}
		for i, r := range all {
			mark := ""
			if i == best {
				mark = " ←"
			}
			if r.laps == nil {
				fmt.Fprintf(log, "  %+v: cannot be built\n", space.Show(candidates[i]))
				continue
			}
			fmt.Fprintf(log, "  %+v: %.3f of the time (median %.3f, %d rounds)%s\n", space.Show(candidates[i]), r.score, score(r, all[0], lap.median), len(r.laps[0]), mark)
		}
		now = candidates[best]
	}
	candidates := []S{first}
	if now != first {
		candidates = append(candidates, now)
	}
	best, all, err := run(candidates, seconds)
	if err != nil {
		return now, nil, err
	}
	return candidates[best], []result{all[0], all[best]}, nil
}
