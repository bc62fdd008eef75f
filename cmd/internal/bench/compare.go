package bench

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"pgc/ir/target"
	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/manifest"
	"pgc/runtime/plural"
	"pgc/runtime/program"
)

// Comparison is what an adapter that is kept beside the model costs: functions with it and without, run by turns in one process.
type Comparison struct {
	Model   string         `json:"model"`
	Adapter string         `json:"adapter"`
	CPU     string         `json:"cpu"` // the instruction set
	Threads int            `json:"threads"`
	Prompt  int            `json:"prompt_tokens"`
	Phases  []ComparePhase `json:"phases"`
}

// ComparePhase compares the functions of a step of an answer. Times are threads' seconds in tasks.
type ComparePhase struct {
	Name  string       `json:"name"`
	Time  Sides        `json:"time"`
	Rows  []CompareRow `json:"kernels"`
	Turns int          `json:"turns"` // how often it was compared
}

// Sides are times without the adapter, of the same once more, which shows the noise, and with the adapter: sums over launches. Without,
// it is the mean of the middle half of turns; to that, the others add such a mean of what a turn took longer, so that what changes from
// minute to minute, or disturbs a few turns, does not count.
type Sides struct {
	None    float64 `json:"none"`
	Again   float64 `json:"none_again"`
	Adapter float64 `json:"adapter"`
}

// CompareRow is a kernel's share of a phase.
type CompareRow struct {
	Kernel   string  `json:"kernel"`
	Launches [2]int  `json:"launches"` // without the adapter, and with it
	Seconds  Sides   `json:"seconds"`
	Added    float64 `json:"added"` // by the adapter, a share of the phase's time without it
}

// Compare times every step of an answer without an adapter, without it again and with it, by turns, so often.
func Compare(ctx context.Context, path, adapter string, rounds int, o Options) (*Comparison, error) {
	image, err := program.OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	m, err := manifest.Decode(image.Program.Model)
	if err != nil {
		return nil, err
	}
	number, err := m.AdapterNumber(adapter)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if n := m.ImageTokens + o.Text + 1; o.Text < 1 || n > m.MaxTokens {
		return nil, fmt.Errorf("%s: %d tokens of a picture and %d of text do not fit its KV cache of %d tokens, or no text: expected 1 to %d tokens of text",
			path, m.ImageTokens, o.Text, m.MaxTokens, m.MaxTokens-m.ImageTokens-1)
	}
	var engines [3]*engine.Engine // each with memory of its own
	for i := range engines {
		if engines[i], err = engine.Open(image, o.ISA, o.Threads); err != nil {
			return nil, err
		}
		defer engines[i].Close()
		if err := engines[i].Slots(engines[i].Program.Slots); err != nil {
			return nil, err
		}
		if err := prepare(engines[i], m.ImageTokens+o.Text, m.ImageTokens); err != nil {
			return nil, err
		}
	}
	e := engines[0]
	t, err := target.Find(e.Program.Target.CPU)
	if err != nil {
		return nil, err
	}
	c := &Comparison{Model: m.Name, Adapter: adapter, CPU: t.Name, Threads: o.Threads, Prompt: m.ImageTokens + o.Text}
	list := append(phases(c.Prompt), together(c.Prompt))
	if e.Has(entry.Verify) {
		list = append(list, verify(c.Prompt))
	}
	if m.Embedding != nil {
		list = embedding(c.Prompt)
	}
	for _, p := range list {
		compared, err := p.compare(ctx, engines, number, rounds)
		if err != nil {
			return nil, err
		}
		c.Phases = append(c.Phases, *compared)
	}
	return c, nil
}

// adapted is the phase of adapter number n.
func (p phase) adapted(e *engine.Engine, n int) (phase, error) {
	p.funcs = slices.Clone(p.funcs)
	for i, name := range p.funcs {
		if mixed := entry.Mixed(name); e.Has(mixed) {
			f, err := e.Func(mixed)
			if err != nil {
				return p, err
			}
			to, err := f.Input(entry.InAdapters)
			if err != nil {
				return p, err
			}
			if err := engine.Put(to, 0, slices.Repeat([]int32{int32(n)}, e.Program.Slots)); err != nil {
				return p, err
			}
			p.funcs[i] = mixed
		} else if own := entry.Adapted(name, n); e.Has(own) { // others are the same with every adapter
			p.funcs[i] = own
		}
	}
	return p, nil
}

// partSeconds is about how much of a launch is timed at once: less than the system lets a thread run for.
const partSeconds = 500e-6

// step is one launch of a function, of which a turn's times are compared: without the adapter, without it again and with it. Where
// one of both lacks it, its number there is -1.
type step struct {
	kernel        string
	funcs         int    // number of the function in the phase
	none, adapter int    // number of the launch
	tasks, part   int64  // how many there are, and how many a turn times
	times         [3]lap // of all tasks; 0 where there are none
}

// compare times the phase without the adapter, without it again and with it by turns, in another order every turn: functions of many
// rows by some tasks of every launch, each time others, and those of a few milliseconds whole. Every engine takes every side once,
// since the pages of its memory lie as they lie.
func (p phase) compare(ctx context.Context, engines [3]*engine.Engine, number, rounds int) (*ComparePhase, error) {
	turn := whole
	if slices.Contains([]string{entry.EncodeImage, entry.Prefill, entry.Embed}, p.name) {
		turn = parts
	}
	var steps []step
	for epoch := range engines {
		var sides [3][]*engine.Func
		for i := range sides {
			e, of, err := engines[(i+epoch)%len(engines)], p, error(nil)
			if i == 2 {
				of, err = p.adapted(e, number)
			}
			if err == nil {
				sides[i], err = of.bind(e)
			}
			if err != nil {
				return nil, err
			}
		}
		if steps == nil {
			for i := range sides[0] {
				steps = append(steps, align(i, kernelsOf(engines[0], sides[0][i]), kernelsOf(engines[0], sides[2][i]))...)
			}
		}
		first := slices.Clone(steps) // touches the pages, and makes what launches read
		if err := whole(ctx, sides, first, 0); err != nil {
			return nil, err
		}
		if epoch == 0 {
			for i := range steps {
				steps[i].tasks, steps[i].part = first[i].tasks, first[i].partOf(engines[0].Threads())
			}
		}
		for round := range (rounds + len(engines) - 1) / len(engines) {
			if err := turn(ctx, sides, steps, round); err != nil {
				return nil, err
			}
		}
	}
	c := compared(steps)
	c.Name, c.Turns = p.name, len(steps[0].times[0])
	return c, nil
}

// partOf is how many tasks a turn times, after the first one: not all where that takes long.
func (s *step) partOf(threads int) int64 {
	seconds := slices.Max([]float64{s.times[0][0], s.times[1][0], s.times[2][0]})
	return min(s.tasks, max(int64(threads), int64(partSeconds/seconds*float64(s.tasks))))
}

// parts times some tasks of every launch, and reckons from them what all take.
func parts(ctx context.Context, sides [3][]*engine.Func, steps []step, round int) error {
	for i := range steps {
		s := &steps[i]
		first, end := int64(0), int64(0)
		if s.part < s.tasks {
			first = int64(round) * s.part % s.tasks
			end = min(s.tasks, first+s.part)
		}
		for turn := range len(sides) + 1 {
			side := (max(0, turn-1) + round) % len(sides)
			at, seconds := s.at(side), 0.0
			if at >= 0 {
				t, err := sides[side][s.funcs].ProfileTasks(ctx, at, first, end)
				if err != nil {
					return err
				}
				if seconds = busy(t); end > 0 {
					seconds *= float64(s.tasks) / float64(end-first)
				}
			}
			if turn == 0 { // brings the weights into the cache
				continue
			}
			s.times[side] = append(s.times[side], seconds)
		}
	}
	return ctx.Err()
}

// whole times the sides one after the other.
func whole(ctx context.Context, sides [3][]*engine.Func, steps []step, round int) error {
	for turn := range sides {
		side := (turn + round) % len(sides)
		all := make([][]engine.Timing, len(sides[side]))
		for i, f := range sides[side] {
			var err error
			if all[i], err = f.Profile(ctx); err != nil {
				return err
			}
		}
		for i := range steps {
			s, seconds := &steps[i], 0.0
			if at := s.at(side); at >= 0 {
				seconds, s.tasks = busy(all[s.funcs][at]), 0
				for _, t := range all[s.funcs][at].Threads {
					s.tasks += int64(t.Tasks)
				}
			}
			s.times[side] = append(s.times[side], seconds)
		}
	}
	return ctx.Err()
}

// at is the number of the launch of a side.
func (s *step) at(side int) int {
	if side == 2 {
		return s.adapter
	}
	return s.none
}

// kernelsOf lists the kernels of a function's launches.
func kernelsOf(e *engine.Engine, f *engine.Func) (names []string) {
	for i := range e.Program.Funcs {
		if of := &e.Program.Funcs[i]; of.Name == f.Name() {
			for _, l := range of.Launches {
				names = append(names, e.Program.Kernels[l.Kernel].Name)
			}
		}
	}
	return names
}

// align finds the launches that function number f has without the adapter and with it: the longest common sequence of kernels.
func align(f int, none, adapter []string) (steps []step) {
	length := make([][]int, len(none)+1) // of what is common to the ends of both
	for i := range length {
		length[i] = make([]int, len(adapter)+1)
	}
	for i := len(none) - 1; i >= 0; i-- {
		for j := len(adapter) - 1; j >= 0; j-- {
			if length[i][j] = max(length[i+1][j], length[i][j+1]); none[i] == adapter[j] {
				length[i][j] = length[i+1][j+1] + 1
			}
		}
	}
	for i, j := 0, 0; i < len(none) || j < len(adapter); {
		switch {
		case i < len(none) && j < len(adapter) && none[i] == adapter[j]:
			steps = append(steps, step{kernel: none[i], funcs: f, none: i, adapter: j})
			i, j = i+1, j+1
		case i < len(none) && (j == len(adapter) || length[i+1][j] >= length[i][j+1]):
			steps = append(steps, step{kernel: none[i], funcs: f, none: i, adapter: -1})
			i++
		default:
			steps = append(steps, step{kernel: adapter[j], funcs: f, none: -1, adapter: j})
			j++
		}
	}
	return steps
}

// busy is how long threads were in tasks of a launch.
func busy(t engine.Timing) float64 {
	sum := 0.0
	for _, s := range t.Threads {
		sum += s.Busy.Seconds()
	}
	return sum
}

// compared sums what steps took, by kernel.
func compared(steps []step) *ComparePhase {
	c := &ComparePhase{}
	rows := map[string]*CompareRow{}
	for _, s := range steps {
		row := rows[s.kernel]
		if row == nil {
			row = &CompareRow{Kernel: s.kernel}
			rows[s.kernel] = row
		}
		again, longer := slices.Clone(s.times[1]), slices.Clone(s.times[2])
		for i, none := range s.times[0] {
			again[i] -= none
			longer[i] -= (none + s.times[1][i]) / 2
		}
		of := Sides{None: s.times[0].middle()}
		of.Again = of.None + again.middle()
		of.Adapter = (of.None+of.Again)/2 + longer.middle()
		for i, at := range []int{s.none, s.adapter} {
			if at >= 0 {
				row.Launches[i]++
			}
		}
		row.Seconds.add(of)
		c.Time.add(of)
	}
	for row := range maps.Values(rows) {
		row.Added = (row.Seconds.Adapter - row.Seconds.base()) / c.Time.base()
		c.Rows = append(c.Rows, *row)
	}
	slices.SortFunc(c.Rows, func(a, b CompareRow) int {
		return cmp.Or(cmp.Compare(b.Seconds.Adapter, a.Seconds.Adapter), cmp.Compare(a.Kernel, b.Kernel))
	})
	return c
}

// middle is the mean of the middle halves of the times of each engine's turn at a side.
func (l lap) middle() float64 {
	sum, n := 0.0, len(l)/3
	for epoch := range 3 {
		s := slices.Sorted(slices.Values(l[epoch*n:][:n]))
		s = s[n/4 : n-n/4]
		for _, t := range s {
			sum += t / float64(3*len(s))
		}
	}
	return sum
}

// base is the time without the adapter.
func (s *Sides) base() float64 { return (s.None + s.Again) / 2 }

func (s *Sides) add(o Sides) {
	s.None, s.Again, s.Adapter = s.None+o.None, s.Again+o.Again, s.Adapter+o.Adapter
}

// Print writes the comparison as text.
func (c *Comparison) Print(w io.Writer) {
	fmt.Fprintf(w, "%s with adapter %s and without, %s, %s, prompt of %d tokens\n", c.Model, c.Adapter, c.CPU, plural.Of(c.Threads, "thread"), c.Prompt)
	for _, p := range c.Phases {
		fmt.Fprintf(w, "\n%s: %.2f ms without it, %.2f ms with it, %+.2f %% (without it again: %+.2f %%), %s\n", p.Name, 1e3*p.Time.base(), 1e3*p.Time.Adapter,
			100*(p.Time.Adapter/p.Time.base()-1), 100*(p.Time.Again/p.Time.None-1), plural.Of(p.Turns, "turn"))
		for _, k := range p.Rows {
			fmt.Fprintf(w, "  %-42s %4d, %4d × %9.3f ms without, %9.3f with: %+6.2f %% (%+.2f %%)\n", k.Kernel, k.Launches[0], k.Launches[1],
				1e3*k.Seconds.base(), 1e3*k.Seconds.Adapter, 100*k.Added, 100*(k.Seconds.Again-k.Seconds.None)/p.Time.None)
		}
	}
}
