package bench

import (
	"fmt"
	"io"
)

// Print writes the report as text.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%s, %s, %d threads, prompt of %d tokens, arena of %.1f MB\n", r.Model, r.CPU, r.Threads, r.Prompt, float64(r.ArenaBytes)/1e6)
	fmt.Fprintf(w, "peaks: %.1f GFLOP/s (f32 multiply-add), %.1f GFLOP/s (bf16 products), %.1f GOP/s (int8 products), %.1f GOP/s (int4 by int8), %.1f GB/s (memory reads), %.1f GB/s (cache reads)\n",
		r.Peaks.Flops/1e9, r.Peaks.BF16/1e9, r.Peaks.Int8/1e9, r.Peaks.Int4/1e9, r.Peaks.Bandwidth/1e9, r.Peaks.Cache/1e9)
	if a := r.Answer; a != nil {
		fmt.Fprintf(w, "answer: first token after %.3f s (picture %.3f, prefill and sampling %.3f), then %.2f tokens/s over %d (%.2f for %d sequences together); from process start %.3f s; peak RSS %.1f MB\n",
			a.First, a.Picture, a.First-a.Picture, a.PerSecond, a.Tokens, a.Batch, a.MaxBatch, a.Start, float64(a.PeakRSS)/1e6)
	}
	for _, p := range r.Phases {
		fmt.Fprintf(w, "\n%s: %.2f ms, %.1f GFLOP/s (%.0f %% of f32 multiply-add), %.1f GB/s (%.0f %% of memory reads)\n", p.Name, p.Seconds*1e3,
			float64(p.Flops)/p.Seconds/1e9, 100*float64(p.Flops)/p.Seconds/r.Peaks.Flops,
			float64(p.Bytes)/p.Seconds/1e9, 100*float64(p.Bytes)/p.Seconds/r.Peaks.Bandwidth)
		for _, k := range p.Rows {
			fmt.Fprintf(w, "  %-42s %4d × %9.3f ms %5.1f %% of the time %7.1f GFLOP/s %6.1f GB/s %4.0f %% of its roof\n", k.Kernel, k.Launches,
				k.Seconds*1e3, 100*k.Seconds/p.Seconds, float64(k.Flops)/k.Seconds/1e9, float64(k.Bytes)/k.Seconds/1e9, 100*k.Roof)
		}
	}
}
