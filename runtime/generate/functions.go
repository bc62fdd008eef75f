package generate

import (
	"pgc/runtime/engine"
	"pgc/runtime/entry"
)

// functions holds the functions of a program, and the tensors that a session puts into the executor and gets from it.
type functions struct {
	encode                  *engine.Func
	pixels                  engine.Tensor // of encode
	prefill, forward        prompted
	greedy                  *engine.Func
	decode, step            *engine.Func
	decodeBatch, stepBatch  positioned
	logits, logitsBatch     scored
	head                    scored
	features                engine.Tensor // states
	next, nextBatch, hidden engine.Tensor
}

// prompted is a function of a prompt's tokens.
type prompted struct {
	*engine.Func
	ids, slots engine.Tensor
}

// positioned is a function of a token of every sequence of a batch.
type positioned struct {
	*engine.Func
	positions engine.Tensor
}

// scored is a function that writes logits.
type scored struct {
	*engine.Func
	out engine.Tensor
}

// find looks all of them up.
func find(e *engine.Engine) (*functions, error) {
	r := resolver{e: e}
	f := &functions{
		encode: r.fn(entry.EncodeImage), greedy: r.fn(entry.Greedy), decode: r.fn(entry.Decode), step: r.fn(entry.Step),
		prefill: r.prompted(entry.Prefill), forward: r.prompted(entry.Forward),
		decodeBatch: r.positioned(entry.DecodeBatch), stepBatch: r.positioned(entry.StepBatch),
		logits: r.scored(entry.Logits), logitsBatch: r.scored(entry.LogitsBatch), head: r.scored(entry.Head),
		features: r.state(entry.StateFeatures), hidden: r.state(entry.StateHidden),
		next: r.state(entry.StateNext), nextBatch: r.state(entry.StateNextBatch),
	}
	f.pixels = r.input(f.encode, entry.InPixels)
	return f, r.err
}

// resolver looks names up until one is missing.
type resolver struct {
	e   *engine.Engine
	err error
}

// found returns v unless it could not be found, or something before it.
func found[T any](r *resolver, look func() (T, error)) (v T) {
	if r.err == nil {
		v, r.err = look()
	}
	return v
}

func (r *resolver) fn(name string) *engine.Func {
	return found(r, func() (*engine.Func, error) { return r.e.Func(name) })
}

func (r *resolver) input(f *engine.Func, name string) engine.Tensor {
	return found(r, func() (engine.Tensor, error) { return f.Input(name) })
}

func (r *resolver) state(name string) engine.Tensor {
	return found(r, func() (engine.Tensor, error) { return r.e.State(name) })
}

func (r *resolver) prompted(name string) prompted {
	f := r.fn(name)
	return prompted{f, r.input(f, entry.InIDs), r.input(f, entry.InSlots)}
}

func (r *resolver) positioned(name string) positioned {
	f := r.fn(name)
	return positioned{f, r.input(f, entry.InPositions)}
}

func (r *resolver) scored(name string) scored {
	f := r.fn(name)
	return scored{f, found(r, func() (engine.Tensor, error) { return f.Output(entry.OutLogits) })}
}
