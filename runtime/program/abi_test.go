package program

import "testing"

// TestLines: what workers write is on other cache lines than what they read or wait for, and nothing else is on the line
// that tells the end of a launch.
func TestLines(t *testing.T) {
	const line = 64
	read := []int{CtlTable, CtlCount, CtlScratch, CtlStride, CtlSpin, CtlStamp, CtlStop, CtlTrace, CtlTraces}
	written := map[string][]int{"state": {CtlState}, "sleepers": {CtlSleepers}, "end of a job": {CtlDone, CtlTicks, CtlThreads, CtlFirst},
		"end of a launch": {CtlComplete, CtlWaiters}, "shares": {CtlBytes}}
	used := map[int]string{}
	for _, at := range read {
		used[at/line] = "what is read"
	}
	for name, fields := range written {
		for _, at := range fields {
			if other, ok := used[at/line]; ok && other != name {
				t.Errorf("%s and %s share line %d of the control block", name, other, at/line)
			}
			used[at/line] = name
		}
	}
	for _, at := range []int{RecKernel, RecArgs, RecTasks, RecFirst} {
		if at/line == RecRuns/line || at/line == RecDone/line {
			t.Errorf("what is read at %d of a record lies on a line that is written", at)
		}
	}
	if ShareBytes < 2*line || RecordBytes%line != 0 || CtlBytes%line != 0 {
		t.Errorf("shares of %d bytes, records of %d, a control block of %d: expected whole lines, two for a share", ShareBytes, RecordBytes, CtlBytes)
	}
}
