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
	l := &engine.Lookup{Engine: e}
	f := &functions{
		encode: l.Func(entry.EncodeImage), greedy: l.Func(entry.Greedy), decode: l.Func(entry.Decode), step: l.Func(entry.Step),
		prefill: findPrompted(l, entry.Prefill), forward: findPrompted(l, entry.Forward),
		decodeBatch: findPositioned(l, entry.DecodeBatch), stepBatch: findPositioned(l, entry.StepBatch),
		logits: findScored(l, entry.Logits), logitsBatch: findScored(l, entry.LogitsBatch), head: findScored(l, entry.Head),
		features: l.State(entry.StateFeatures), hidden: l.State(entry.StateHidden),
		next: l.State(entry.StateNext), nextBatch: l.State(entry.StateNextBatch),
	}
	f.pixels = l.Input(f.encode, entry.InPixels)
	return f, l.Err
}

func findPrompted(l *engine.Lookup, name string) prompted {
	f := l.Func(name)
	return prompted{f, l.Input(f, entry.InIDs), l.Input(f, entry.InSlots)}
}

func findPositioned(l *engine.Lookup, name string) positioned {
	f := l.Func(name)
	return positioned{f, l.Input(f, entry.InPositions)}
}

func findScored(l *engine.Lookup, name string) scored {
	f := l.Func(name)
	return scored{f, l.Output(f, entry.OutLogits)}
}
