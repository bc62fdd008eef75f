package emu

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// compiled is where the PTX of other compilers lies.
const compiled = "../../../cmd/internal/ptxrun/testdata"

// BenchmarkWarpInstructions measures how many instructions of warps are executed a second, on kernels of compilers.
func BenchmarkWarpInstructions(b *testing.B) {
	floats := func(n int) Pointer { // of 0x3c00: 1 in float16, small in the other formats
		m := &Memory{Data: make([]byte, n)}
		for i := range m.Data {
			m.Data[i] = []byte{0, 0x3c}[i%2]
		}
		return Pointer{Memory: m}
	}
	null := Pointer{}
	for _, c := range []struct {
		name, file string
		l          Launch
	}{
		{"matmul", "triton_matmul.ptx", Launch{Entry: "matmul", Grid: [3]int{4, 4}, Shared: 16384, Args: []any{floats(128 * 512 * 2), floats(512 * 128 * 2), floats(512), floats(128 * 128 * 2),
			int32(128), int32(128), int32(512), int32(512), int32(128), int32(128), null, null}}},
		{"attention", "triton_attention.ptx", Launch{Entry: "attention", Grid: [3]int{8}, Shared: 40960, Args: []any{floats(128 * 512), floats(128 * 512), floats(128 * 512), floats(128 * 1024),
			int32(128), int32(128), float32(0.06), null, null}}},
		{"gemv", "triton_gemv_int4.ptx", Launch{Entry: "gemv_int4", Grid: [3]int{32}, Shared: 16384, Args: []any{floats(256 * 1024 / 2), floats(256 * 32 * 2), floats(2048), floats(1024),
			int32(256), int32(1024), null, null}}},
		{"functions", "nvrtc.ptx", Launch{Entry: "functions", Grid: [3]int{64}, Block: [3]int{128}, Args: []any{floats(8192 * 4), floats(8192 * 4), floats(8192 * 4), int32(8192)}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			text, err := os.ReadFile(filepath.Join(compiled, c.file))
			if err != nil {
				b.Fatal(err)
			}
			m, err := ParseFile(c.file, string(text))
			if err != nil {
				b.Fatal(err)
			}
			c.l.Workers = runtime.GOMAXPROCS(0)
			total, before, best := int64(0), processorSeconds(), 0.0
			b.ResetTimer()
			for range b.N {
				start := processorSeconds()
				s, err := m.Run(c.l)
				if err != nil {
					b.Fatal(err)
				}
				total += s.Instructions
				best = max(best, float64(s.Instructions)/(processorSeconds()-start)/1e6)
			}
			b.ReportMetric(float64(total)/b.Elapsed().Seconds()/1e6, "M/s")
			b.ReportMetric(float64(total)/(processorSeconds()-before)/1e6, "M/core-s")
			b.ReportMetric(best, "M/core-s-at-best") // of one run: what other processes on the machine disturb least
		})
	}
}

// processorSeconds is the time that all cores have spent on this process: what counts where a machine is shared.
func processorSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
