package bench

import (
	"bufio"
	"encoding/json"
	"fmt"

	"pgc/runtime/output"
)

// event is an event of the Chrome trace format, which Perfetto also reads. Times are in microseconds.
type event struct {
	Name  string         `json:"name"`
	Cat   string         `json:"cat,omitempty"`
	Phase string         `json:"ph"`
	Time  float64        `json:"ts"`
	Dur   float64        `json:"dur,omitempty"`
	PID   int            `json:"pid"`
	TID   int            `json:"tid"`
	Args  map[string]any `json:"args,omitempty"`
}

// Trace writes what every thread did in the reported runs: a process per phase, a thread per thread, and an event per
// launch that it took tasks of, from its first task to its last.
func (r *Report) Trace(path string) error {
	f, err := output.Create(path)
	if err != nil {
		return err
	}
	defer f.Abort()
	w := bufio.NewWriter(f)
	w.WriteString("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n")
	for i, e := range r.events() {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if i > 0 {
			w.WriteString(",\n")
		}
		w.Write(line)
	}
	w.WriteString("\n]}\n")
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

func (r *Report) events() []event {
	var out []event
	for pid, p := range r.Phases {
		out = append(out, event{Name: "process_name", Phase: "M", PID: pid + 1, Args: map[string]any{"name": p.Name}})
		for tid := range r.Threads {
			out = append(out, event{Name: "thread_name", Phase: "M", PID: pid + 1, TID: tid + 1, Args: map[string]any{"name": fmt.Sprint("worker ", tid)}})
		}
		for _, t := range p.timings {
			if r.GPU != "" {
				out = append(out, event{Name: t.Kernel, Cat: "kernel", Phase: "X", Time: t.Start * 1e6, Dur: t.Seconds * 1e6, PID: pid + 1, TID: 1,
					Args: map[string]any{"value": t.Value}})
			}
			for tid, s := range t.Threads {
				if s.Tasks == 0 {
					continue
				}
				span := (s.End - s.Start).Seconds()
				out = append(out, event{Name: t.Kernel, Cat: "kernel", Phase: "X", Time: s.Start.Seconds() * 1e6, Dur: span * 1e6, PID: pid + 1, TID: tid + 1,
					Args: map[string]any{"value": t.Value, "tasks": s.Tasks, "busy_us": s.Busy.Seconds() * 1e6}})
			}
		}
	}
	return out
}
