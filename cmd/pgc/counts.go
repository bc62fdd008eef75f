package main

import (
	"context"
	"encoding/json"
	"strings"

	"pgc/codegen"
	"pgc/codegen/ptx/emu"
	"pgc/codegen/ptx/emulated"
	"pgc/internal/build"
	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/gpu"
	"pgc/runtime/output"
	"pgc/runtime/program"
)

// counts is what emulated kernels did.
type counts struct {
	Shape       string         `json:"shape,omitempty"`
	Layers      int            `json:"layers,omitempty"` // 0 is all
	Function    string         `json:"function,omitempty"`
	Tokens      int            `json:"tokens,omitempty"`       // in the KV cache before the step
	WeightBytes int64          `json:"weight_bytes,omitempty"` // that the function reads, as they lie on the device
	Launches    int            `json:"kernels"`                // that ran, each as often as it did
	GlobalBytes int64          `json:"global_bytes"`           // of sectors of 32 bytes that were moved from and to global memory, caches aside
	StreamBytes int64          `json:"dram_bytes"`             // of them, those that are read once, past the caches: the weights
	Conflicts   int64          `json:"bank_conflicts"`
	Narrowest   int            `json:"narrowest_stream_access"` // bytes a thread, of the streams of weights; 0 if there are none
	Kernels     []kernelCounts `json:"by_kernel"`

	at map[string]int
}

// kernelCounts is what one kernel did, in all its launches.
type kernelCounts struct {
	Kernel       string   `json:"kernel"`
	Launches     int      `json:"launches"`
	Blocks       int64    `json:"blocks"`
	Instructions int64    `json:"warp_instructions"`
	Conflicts    int64    `json:"bank_conflicts"`
	Accesses     []access `json:"accesses"`

	at map[emu.Pos]int // of accesses
}

// access is an instruction that touches memory.
type access struct {
	Instruction string `json:"instruction"`
	Line        int    `json:"line"`
	Width       int    `json:"bytes_a_thread"`
	Executions  int64  `json:"executions"` // by warps
	Bytes       int64  `json:"bytes"`
	Sectors     int64  `json:"sectors"`     // of 32 bytes
	Uncoalesced int64  `json:"uncoalesced"` // of them, those that the same bytes side by side would not need
	Conflicts   int64  `json:"bank_conflicts"`
}

// streams reports whether an instruction reads past the caches what is read once.
func streams(name string) bool { return strings.Contains(name, "no_allocate") }

const sectorBytes = 32

// add counts a launch.
func (c *counts) add(entry string, blocks int64, s emu.Stats) {
	if c.at == nil {
		c.at = map[string]int{}
	}
	i, ok := c.at[entry]
	if !ok {
		i = len(c.Kernels)
		c.at[entry], c.Kernels = i, append(c.Kernels, kernelCounts{Kernel: entry, at: map[emu.Pos]int{}})
	}
	k := &c.Kernels[i]
	k.Launches++
	k.Blocks, k.Instructions, k.Conflicts = k.Blocks+blocks, k.Instructions+s.Instructions, k.Conflicts+s.Conflicts
	c.Launches++
	c.Conflicts += s.Conflicts
	for _, in := range s.Counts {
		if in.Sectors == 0 && in.Conflicts == 0 {
			continue
		}
		n, ok := k.at[in.Pos]
		if !ok {
			n = len(k.Accesses)
			k.at[in.Pos], k.Accesses = n, append(k.Accesses, access{Instruction: in.Name, Line: in.Pos.Line})
		}
		a := &k.Accesses[n]
		a.Width = max(a.Width, in.Width)
		a.Executions, a.Bytes, a.Sectors = a.Executions+in.Executions, a.Bytes+in.Bytes, a.Sectors+in.Sectors
		a.Uncoalesced, a.Conflicts = a.Uncoalesced+in.Uncoalesced, a.Conflicts+in.Conflicts
		c.GlobalBytes += in.Sectors * sectorBytes
		if streams(in.Name) && in.Executions > 0 {
			c.StreamBytes += in.Sectors * sectorBytes
			if c.Narrowest == 0 || in.Width < c.Narrowest {
				c.Narrowest = in.Width
			}
		}
	}
}

// write writes the counts as JSON.
func (c *counts) write(path string) error {
	b, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return err
	}
	return output.WriteFile(path, append(b, '\n'))
}

// shapeOnGPU is a model without weights, loaded onto a GPU.
type shapeOnGPU struct {
	*build.Graph
	*engine.Engine
	gpu   string         // describes it
	loads []program.Load // of the weights that there would be
}

// loadShape compiles a released size, or a config.json, and loads it onto a GPU: its weights are what memory holds there.
func loadShape(ctx context.Context, shape string, layers int, o build.Options, gpus engine.GPUs) (*shapeOnGPU, error) {
	m, err := build.Plain(shape, layers, o)
	if err != nil {
		return nil, err
	}
	v, err := build.OnGPU(m.Module, o)
	if err != nil {
		return nil, err
	}
	r, err := codegen.Compile(ctx, v.Module, v.Backend)
	if err != nil {
		return nil, err
	}
	number, description, err := gpus.Find(-1)
	if err != nil {
		return nil, err
	}
	p := r.Program
	s := &shapeOnGPU{Graph: m, gpu: description, loads: p.Loads}
	p.Loads, p.WeightBytes = nil, 0
	x, err := gpus.Load(ctx, p, r.Code.Bytes, nil, number, engine.LoadOptions{})
	if err != nil {
		return nil, err
	}
	s.Engine = engine.On(x, p, 1)
	return s, nil
}

// countStep runs one decoding step of a model without weights in the emulator.
func countStep(ctx context.Context, shape string, layers int, o build.Options) (*counts, error) {
	c := &counts{Shape: shape, Layers: layers, Function: entry.Step}
	m, err := loadShape(ctx, shape, layers, o, gpu.Of(&emulated.Driver{Counts: true, Zeroed: true, Launched: c.add}))
	if err != nil {
		return nil, err
	}
	defer m.Close()
	step, err := m.Func(entry.Step)
	if err != nil {
		return nil, err
	}
	c.Tokens = m.ImageTokens + 10
	read := map[int64]bool{}
	for _, l := range m.Program.Func(entry.Step).Launches {
		for _, a := range l.Args {
			read[a.Offset] = read[a.Offset] || a.Space == program.SpaceWeights
		}
	}
	for _, l := range m.loads {
		for at, is := range read {
			if is && at >= l.To && at < l.To+l.DeviceBytes {
				c.WeightBytes += l.DeviceBytes
				break
			}
		}
	}
	for symbol, v := range map[string]int{entry.SymPast: c.Tokens, entry.SymKeys: c.Tokens + 1, entry.SymPrefix: c.Tokens} {
		step.Set(symbol, v)
	}
	return c, step.Run(ctx)
}
