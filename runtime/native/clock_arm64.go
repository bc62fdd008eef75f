package native

// clockRate returns how often a second the clock ticks that the worker loop reads.
func clockRate() int64
