package program

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
)

// validateSets checks the programs of a file: each one, and that all but what an instruction set has of its own is
// equal.
func validateSets(sets []*Program) error {
	if len(sets) == 0 {
		return errors.New("program: no instruction set is given")
	}
	for i, p := range sets {
		if err := p.Validate(); err != nil {
			return err
		}
		for _, q := range sets[:i] {
			if q.Target.CPU == p.Target.CPU {
				return fmt.Errorf("program: instruction set %s is given twice", p.Target.CPU)
			}
		}
		if !bytes.Equal(sharedBytes(p, false), sharedBytes(sets[0], false)) {
			return differ(sets[0], p)
		}
		if same := slices.IndexFunc(sets[:i], func(q *Program) bool { return q.Target.Kind == p.Target.Kind }); same >= 0 &&
			!bytes.Equal(sharedBytes(p, true), sharedBytes(sets[same], true)) {
			return differ(sets[same], p)
		}
	}
	return nil
}

func differ(p, q *Program) error {
	return fmt.Errorf("program: instruction sets %s and %s differ in more than their code", p.Target.CPU, q.Target.CPU)
}

// sharedBytes is what must be equal in all programs of a file, and with ports in those of a kind of target.
func sharedBytes(p *Program, ports bool) []byte {
	c := &codec{writing: true}
	if !ports {
		without := *p
		without.Funcs = slices.Clone(p.Funcs)
		for i := range without.Funcs {
			without.Funcs[i].Inputs, without.Funcs[i].Outputs = nil, nil
		}
		p = &without
	}
	c.shared(p)
	return c.buf
}

// maxSlots is the most batch slots that a program may have.
const maxSlots = 1024

// factors are the types of what kernels multiply.
var factors = []DType{"f32", "bf16", "f16", "int8", "int4", "nf4"}

// multiplies reports whether a kernel has the types of a product, or none.
func (k Kernel) multiplies() bool {
	return k.LHS == "" && k.RHS == "" || slices.Contains(factors, k.LHS) && slices.Contains(factors, k.RHS)
}

// Validate checks what the runtime relies on: that every number of a kernel, symbol, state or port names one that
// exists, and that sizes and fixed offsets are in range.
func (p *Program) Validate() error {
	for _, s := range p.Symbols {
		if s.Max < 0 {
			return fmt.Errorf("program: symbol %s: maximum %d is negative", s.Name, s.Max)
		}
	}
	if p.Slots < 0 || p.Slots > maxSlots {
		return fmt.Errorf("program: %d batch slots, expected 0 to %d", p.Slots, maxSlots)
	}
	for _, s := range p.States {
		if s.Bytes < 0 {
			return fmt.Errorf("program: state %s: size %d is negative", s.Name, s.Bytes)
		}
		if s.Bytes > math.MaxInt64/maxSlots {
			return fmt.Errorf("program: state %s: size %d, expected at most %d", s.Name, s.Bytes, int64(math.MaxInt64/maxSlots))
		}
		if s.PerSlot && p.Slots == 0 {
			return fmt.Errorf("program: state %s: 0 batch slots, expected 1 to %d", s.Name, maxSlots)
		}
	}
	for _, k := range p.Kernels {
		if err := p.validateKernel(k); err != nil {
			return fmt.Errorf("program: kernel %s: %w", k.Name, err)
		}
		if !k.multiplies() {
			return fmt.Errorf("program: kernel %s: products of %q by %q, expected types that products have, of both or neither", k.Name, k.LHS, k.RHS)
		}
	}
	if p.MinBatch < 0 {
		return fmt.Errorf("program: smallest batch %d is negative", p.MinBatch)
	}
	if err := p.validateTarget(); err != nil {
		return fmt.Errorf("program: %w", err)
	}
	if p.WorkerOffset < 0 || p.ScratchBytes < 0 || p.WeightBytes < 0 {
		return fmt.Errorf("program: worker offset %d, scratch size %d or weights size %d is negative",
			p.WorkerOffset, p.ScratchBytes, p.WeightBytes)
	}
	for _, w := range p.Weights {
		if w.Offset < 0 || w.Bytes < 0 || w.Bytes > p.WeightBytes-w.Offset {
			return fmt.Errorf("program: weight %s: bytes %d+%d lie outside the weights section of %d bytes",
				w.Name, w.Offset, w.Bytes, p.WeightBytes)
		}
		if err := w.Layout.validate(w.Shape); err != nil {
			return fmt.Errorf("program: weight %s: %w", w.Name, err)
		}
	}
	if err := p.validateLoads(); err != nil {
		return fmt.Errorf("program: %w", err)
	}
	for i := range p.Funcs {
		if err := p.validateFunc(&p.Funcs[i]); err != nil {
			return fmt.Errorf("program: func %s: %w", p.Funcs[i].Name, err)
		}
	}
	return nil
}

// validateTarget checks what a program of its kind of target has.
func (p *Program) validateTarget() error {
	switch {
	case p.Target.Kind >= targetKinds:
		return fmt.Errorf("a target of unknown %v", p.Target.Kind)
	case p.Target.Kind == CPU && p.Text != Span{}:
		return errors.New("text for GPUs in a program for CPUs")
	case p.Target.Kind == PTX && (p.WorkerOffset != 0 || p.ScratchBytes != 0):
		return errors.New("a worker loop or scratch memory in a program for GPUs")
	case p.Text.Offset < 0 || p.Text.Bytes < 0:
		return fmt.Errorf("text of %d bytes at %d", p.Text.Bytes, p.Text.Offset)
	}
	return nil
}

// validateLoads checks how weights come into a device's memory.
func (p *Program) validateLoads() error {
	if p.Target.Kind == CPU && (p.DeviceBytes != 0 || len(p.Loads) > 0) {
		return errors.New("weights for a device's memory in a program for CPUs")
	}
	if p.DeviceBytes < 0 {
		return fmt.Errorf("weights of %d bytes on the device", p.DeviceBytes)
	}
	for i := range p.Loads {
		l := &p.Loads[i]
		if l.Offset < 0 || l.Bytes < 0 || l.Bytes > p.WeightBytes-l.Offset {
			return fmt.Errorf("load %d: bytes %d+%d lie outside the weights section of %d bytes", i, l.Offset, l.Bytes, p.WeightBytes)
		}
		if l.To < 0 || l.DeviceBytes < 0 || l.DeviceBytes > p.DeviceBytes-l.To {
			return fmt.Errorf("load %d: bytes %d+%d lie outside the %d bytes of weights on the device", i, l.To, l.DeviceBytes, p.DeviceBytes)
		}
		if len(l.Launches) == 0 && l.Bytes != l.DeviceBytes {
			return fmt.Errorf("load %d: %d bytes are copied to %d", i, l.Bytes, l.DeviceBytes)
		}
		for j := range l.Launches {
			if err := p.validateLaunch(nil, &l.Launches[j], l.Bytes); err != nil {
				return fmt.Errorf("load %d: launch %d: %w", i, j, err)
			}
		}
	}
	return nil
}

// maxThreads is the most threads that a block has on any GPU, and maxShared the most shared memory.
const (
	maxThreads = 1024
	maxShared  = 227 << 10
)

func (p *Program) validateKernel(k Kernel) error {
	if k.CodeOffset < 0 {
		return fmt.Errorf("code offset %d is negative", k.CodeOffset)
	}
	if p.Target.Kind == CPU {
		if k.Threads != 0 || k.TaskThreads != 0 || k.SharedBytes != 0 || k.DynamicShared {
			return errors.New("blocks of threads in a program for CPUs")
		}
		return nil
	}
	if k.TaskThreads < 1 || k.Threads > maxThreads || k.Threads < k.TaskThreads || k.Threads%k.TaskThreads != 0 {
		return fmt.Errorf("%d threads of a block and %d of a task, expected up to %d and a divisor", k.Threads, k.TaskThreads, maxThreads)
	}
	if k.SharedBytes < 0 || k.SharedBytes > maxShared {
		return fmt.Errorf("%d bytes of shared memory, expected up to %d", k.SharedBytes, maxShared)
	}
	if k.CodeOffset < p.Text.Offset || k.CodeOffset-p.Text.Offset >= p.Text.Bytes {
		return fmt.Errorf("its text at %d lies outside the module of %d bytes at %d", k.CodeOffset, p.Text.Bytes, p.Text.Offset)
	}
	return nil
}

func (p *Program) validateFunc(f *Func) error {
	if f.ArenaBytes < 0 {
		return fmt.Errorf("arena size %d is negative", f.ArenaBytes)
	}
	for _, ports := range [][]Port{f.Inputs, f.Outputs} {
		for _, port := range ports {
			if port.DType.Bytes() == 0 {
				return fmt.Errorf("port %s: unknown dtype %q", port.Name, port.DType)
			}
			for _, e := range port.Shape {
				if err := p.validateExpr(e); err != nil {
					return fmt.Errorf("port %s: %w", port.Name, err)
				}
			}
		}
	}
	for i := range f.Launches {
		l := &f.Launches[i]
		if err := p.validateLaunch(f, l, 0); err != nil {
			return fmt.Errorf("launch %d: %w", i, err)
		}
	}
	return nil
}

// validateLaunch checks a launch of a function or, if f is nil, of a load from a staging buffer of so many bytes.
func (p *Program) validateLaunch(f *Func, l *Launch, staged int64) error {
	if l.Kernel < 0 || l.Kernel >= len(p.Kernels) {
		return fmt.Errorf("kernel %d of %d", l.Kernel, len(p.Kernels))
	}
	if err := p.validateWork(f, l, staged); err != nil {
		return fmt.Errorf("kernel %s: %w", p.Kernels[l.Kernel].Name, err)
	}
	return nil
}

func (p *Program) validateWork(f *Func, l *Launch, staged int64) error {
	for _, g := range l.Grains {
		if g < 1 || g > MaxTasks || p.Target.Kind != CPU {
			return fmt.Errorf("a grain of up to %d, expected 1 or more, and none for a GPU", g)
		}
	}
	if err := validateExpr(l.Tasks, len(p.Symbols)+len(l.Grains), 1); err != nil {
		return err
	}
	for _, e := range []Expr{l.Flops, l.Bytes} {
		if err := p.validateExpr(e); err != nil {
			return err
		}
	}
	for i, a := range l.Args {
		if a.Space == SpaceGrain && len(a.Terms) == 0 {
			if a.Index < 0 || a.Index >= len(l.Grains) {
				return fmt.Errorf("argument %d: grain %d of %d", i, a.Index, len(l.Grains))
			}
			continue
		}
		if err := p.validateArg(f, a, staged); err != nil {
			return fmt.Errorf("argument %d: %w", i, err)
		}
	}
	return nil
}

func (p *Program) validateArg(f *Func, a Arg, staged int64) error {
	switch {
	case a.Space >= spaces || a.Space == SpaceGrain: // that of a launch has no terms
		return fmt.Errorf("unknown %v", a.Space)
	case f == nil && (a.Space == SpaceArena || a.Space == SpaceInput || a.Space == SpaceOutput || a.Space == SpaceState):
		return fmt.Errorf("%v in a load", a.Space)
	case f != nil && a.Space == SpaceStaging:
		return fmt.Errorf("%v in a function", a.Space)
	}
	for _, t := range a.Terms {
		if t.Sym < 0 || t.Sym >= len(p.Symbols) {
			return fmt.Errorf("offset by symbol %d of %d", t.Sym, len(p.Symbols))
		}
	}
	count, size := 1, int64(-1) // how many there are, and how large this one is if that is fixed
	switch a.Space {
	case SpaceWeights:
		if size = p.WeightBytes; p.Target.Kind == PTX {
			size = p.DeviceBytes
		}
	case SpaceStaging:
		size = staged
	case SpaceArena:
		size = f.ArenaBytes
	case SpaceState:
		if count = len(p.States); a.Index >= 0 && a.Index < count {
			size = p.StateBytes(p.States[a.Index])
		}
	case SpaceInput:
		count = len(f.Inputs)
	case SpaceOutput:
		count = len(f.Outputs)
	case SpaceSymbol:
		count = len(p.Symbols)
	}
	if a.Index < 0 || a.Index >= count {
		return fmt.Errorf("%v %d of %d", a.Space, a.Index, count)
	}
	if size >= 0 && (a.Offset < 0 || a.Offset > size) {
		return fmt.Errorf("offset %d lies outside the %v of %d bytes", a.Offset, a.Space, size)
	}
	return nil
}

func (p *Program) validateExpr(e Expr) error { return validateExpr(e, len(p.Symbols), 1) }

func validateExpr(e Expr, symbols, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("an expression is nested more than %d deep", maxDepth)
	}
	switch {
	case e.Op >= exprOps:
		return fmt.Errorf("unknown expression %d", uint8(e.Op))
	case e.Op == OpSym && (e.Value < 0 || e.Value >= int64(symbols)):
		return fmt.Errorf("an expression uses symbol %d of %d", e.Value, symbols)
	case e.Op > OpSym && len(e.Args) == 0:
		return errors.New("an expression has no arguments")
	}
	for _, a := range e.Args {
		if err := validateExpr(a, symbols, depth+1); err != nil {
			return err
		}
	}
	return nil
}
