package program

// WantedTasks is how many tasks a launch should have for so many threads: two for each, so that half of a launch can go to
// whoever is ahead, 96 or more where threads are many, so that their number need not divide it; and no more than eight
// for each, since what a task reads besides its part of the weights it reads again.
func WantedTasks(threads int) int64 {
	return max(2*int64(threads), min(96, 8*int64(threads)))
}

// Divide chooses the launch's grains for so many threads and returns the number of its tasks: the first grain is the largest
// one that makes as many tasks as are wanted, or 1, then the second one likewise, and so on. values has the symbols'
// values and room for the grains behind them.
func (l *Launch) Divide(values []int64, threads int) int64 {
	grains, want := values[len(values)-len(l.Grains):], WantedTasks(threads)
	copy(grains, l.Grains)
	tasks := l.Tasks.Eval(values)
	for i, most := range l.Grains {
		if tasks >= want {
			break
		}
		few, many := most, int64(0) // grains that make too few tasks, and enough
		for few-many > 1 {
			grains[i] = (few + many) / 2
			if l.Tasks.Eval(values) >= want {
				many = grains[i]
			} else {
				few = grains[i]
			}
		}
		grains[i] = max(1, many)
		tasks = l.Tasks.Eval(values)
	}
	return tasks
}

// divided reports whether the number of tasks depends on the grains alone, and not on symbols, of which there are so many.
func (e *Expr) divided(symbols int) bool {
	if e.Op == OpSym && e.Value < int64(symbols) {
		return false
	}
	for i := range e.Args {
		if !e.Args[i].divided(symbols) {
			return false
		}
	}
	return true
}

// Fixed reports whether Divide gives the same for all values of the symbols, of which there are so many.
func (l *Launch) Fixed(symbols int) bool { return l.Tasks.divided(symbols) }
