package bench

import (
	"fmt"
	"io"

	"pgc/runtime/plural"
)

// Print writes the report as text.
func (r *Report) Print(w io.Writer) {
	on := fmt.Sprintf("%s, %s", r.CPU, plural.Of(r.Threads, "thread"))
	if r.GPU != "" {
		on = r.GPU
	}
	fmt.Fprintf(w, "%s, %s, prompt of %d tokens, arena of %.1f MB\n", r.Model, on, r.Prompt, float64(r.ArenaBytes)/1e6)
	if p := r.Peaks; p != nil {
		fmt.Fprintf(w, "peaks: %.1f GFLOP/s (f32 multiply-add), %.1f GFLOP/s (bf16 products), %.1f GOP/s (int8 products), %.1f GOP/s (int4 by int8), %.1f GB/s (memory reads), %.1f GB/s (cache reads)\n",
			p.Flops/1e9, p.BF16/1e9, p.Int8/1e9, p.Int4/1e9, p.Bandwidth/1e9, p.Cache/1e9)
	}
	if a := r.Answer; a != nil {
		fmt.Fprint(w, "answer")
		if a.Prompt != "" {
			fmt.Fprintf(w, " to %.80q", a.Prompt)
		}
		fmt.Fprintf(w, ": first token after %.3f s (picture %.3f, prefill and sampling %.3f)", a.First, a.Picture, a.First-a.Picture)
		if a.Tokens > 0 {
			fmt.Fprintf(w, ", then %.2f tokens/s over %d (%.2f for %d sequences together)", a.PerSecond, a.Tokens, a.Batch, a.MaxBatch)
		} else {
			fmt.Fprint(w, ", which was the last")
		}
		if a.Start > 0 {
			fmt.Fprintf(w, "; from process start %.3f s", a.Start)
		}
		if a.PeakRSS > 0 {
			fmt.Fprintf(w, "; peak RSS %.1f MB", float64(a.PeakRSS)/1e6)
		}
		fmt.Fprintln(w)
	}
	share := func(v float64, peak func(*Peaks) float64, of string) string {
		if r.Peaks == nil {
			return ""
		}
		return fmt.Sprintf(" (%.0f %% of %s)", 100*v/peak(r.Peaks), of)
	}
	for _, p := range r.Phases {
		flops, bytes := float64(p.Flops)/p.Seconds, float64(p.Bytes)/p.Seconds
		fmt.Fprintf(w, "\n%s: %.2f ms, %.1f GFLOP/s%s, %.1f GB/s%s\n", p.Name, p.Seconds*1e3,
			flops/1e9, share(flops, func(p *Peaks) float64 { return p.Flops }, "f32 multiply-add"),
			bytes/1e9, share(bytes, func(p *Peaks) float64 { return p.Bandwidth }, "memory reads"))
		for _, k := range p.Rows {
			fmt.Fprintf(w, "  %-42s %4d × %9.3f ms %5.1f %% of the time %7.1f GFLOP/s %6.1f GB/s", k.Kernel, k.Launches,
				k.Seconds*1e3, 100*k.Seconds/p.Seconds, float64(k.Flops)/k.Seconds/1e9, float64(k.Bytes)/k.Seconds/1e9)
			if r.Peaks != nil {
				fmt.Fprintf(w, " %4.0f %% of its roof", 100*k.Roof)
			}
			fmt.Fprintln(w)
		}
	}
}
