package native

// clockRate returns about how often a second the clock ticks that the worker loop reads: the time stamp counter.
func clockRate() int64 { return 3e9 }
