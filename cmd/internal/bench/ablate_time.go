package bench

import (
	"context"
	"math"
	"time"

	"pgc/codegen"
	"pgc/codegen/cpu"
	"pgc/ir"
	"pgc/ir/target"
	"pgc/runtime/engine"
	"pgc/runtime/native"
)

// Time compiles the model with all passes, without each of them in turn, and without any, and times it. It needs no
// checkpoint: it makes weights up, because values other than NaN and subnormals do not change the time. It calls each
// after every row.
func (m Ablated) Time(ctx context.Context, t target.Target, threads int, each func(*Ablation)) (*Ablation, error) {
	a := &Ablation{Model: m.Name, Layers: m.Layers, CPU: t.Name, Threads: threads, Prompt: m.prompt()}
	b := cpu.Backend(t)
	var weights *made
	defer func() {
		if weights != nil {
			weights.memory.Close()
		}
	}()
	compile := func(plan *ir.Module) (*codegen.Result, error) { return codegen.Compile(ctx, plan, b) }
	err := m.each(m.variants(), compile, func(r *codegen.Result, row *AblationRow) error {
		if weights == nil || int64(weights.memory.Len()) < r.Program.WeightBytes {
			if weights != nil {
				weights.memory.Close()
			}
			var err error
			if weights, err = makeUp(r.Program.WeightBytes + r.Program.WeightBytes/8); err != nil {
				return err
			}
		}
		if len(a.Rows) == 0 { // what all others are compared with is not timed on a cold machine
			if err := weights.time(ctx, r, threads, m, row); err != nil {
				return err
			}
		}
		if err := weights.time(ctx, r, threads, m, row); err != nil {
			return err
		}
		a.Rows = append(a.Rows, *row)
		each(a)
		return nil
	})
	return a, err
}

// made holds made-up weights.
type made struct{ memory *native.Memory }

// makeUp fills memory with values that are sane in every type: small ones of both signs as bf16, and also as f32, as
// scales of groups and as integers.
func makeUp(bytes int64) (*made, error) {
	memory, err := native.Reserve(bytes)
	if err != nil {
		return nil, err
	}
	w := &made{memory}
	w.fill(0, bytes)
	return w, nil
}

func (w *made) fill(from, to int64) {
	b := w.memory.Bytes()[from:to]
	x := uint32(12345)
	n := min(len(b)&^1, 1<<20)
	for i := 0; i < n; i += 2 {
		x = x*1664525 + 1013904223
		h := uint16(0x3c00 + x>>24&0xff) // 0.0078 to 0.031
		h |= uint16(x>>23&1) << 15
		b[i], b[i+1] = byte(h), byte(h>>8)
	}
	for at := n; at < len(b); at += n { // a megabyte again and again
		copy(b[at:], b[:n])
	}
}

// time times the functions of a compiled model, called as in generation, and notes it in the row.
func (w *made) time(ctx context.Context, r *codegen.Result, threads int, m Ablated, row *AblationRow) error {
	r.Constants(func(at int64, data []byte) { copy(w.memory.Bytes()[at:], data) })
	defer r.Constants(func(at int64, data []byte) { w.fill(at, at+int64(len(data))) })
	code, err := native.LoadCode(r.Code.Bytes)
	if err != nil {
		return err
	}
	defer code.Close()
	e, err := engine.New(r.Program, code.Bytes(), w.memory.Bytes(), threads)
	if err != nil {
		return err
	}
	defer e.Close()
	if err := e.Slots(r.Program.Slots); err != nil {
		return err
	}
	if err := prepare(e, m.prompt(), m.ImageTokens); err != nil {
		return err
	}
	for _, p := range m.phases() {
		f := row.Funcs[p.name]
		if f.Seconds, err = p.time(ctx, e); err != nil {
			return err
		}
		row.Funcs[p.name] = f
	}
	return ctx.Err()
}

// time returns the seconds of the fastest run.
func (p phase) time(ctx context.Context, e *engine.Engine) (float64, error) {
	fs, err := p.bind(e)
	if err != nil {
		return 0, err
	}
	fastest := math.Inf(1)
	for i := range p.runs + 1 { // the first one touches the pages
		if i > 0 && fastest > 4 {
			break
		}
		start := time.Now()
		for _, fn := range fs {
			if err := fn.Run(ctx); err != nil {
				return 0, err
			}
		}
		fastest = min(fastest, time.Since(start).Seconds())
	}
	return fastest, nil
}
