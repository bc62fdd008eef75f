package generate

import (
	"slices"

	"pgc/runtime/engine"
	"pgc/runtime/entry"
)

// functions holds the functions of a program, and the tensors that a session puts into the executor and gets from it.
type functions struct {
	decodeBatch, stepBatch  positioned
	logitsBatch             scored
	mixedLogits             mixedScored   // without a function where no adapter changes the head
	parts, partsBatch       []partly      // of the logits, the largest first; none where the program has no such functions
	features                engine.Tensor // states
	next, nextBatch, hidden engine.Tensor
	last, lastBatch         engine.Tensor // hidden states that logits and logits_batch read
	mixedDecode, mixedStep  mixed         // of the model alone, where it has adapters
	looking                 looking
	masks                   *masks    // nil without a decoder of masks
	adapted                 []adapted // by the number of the adapter; the first is the model alone
}

// adapted are the functions of one sequence in the form that one adapter gives them.
type adapted struct {
	encode           *engine.Func
	pixels           engine.Tensor // of encode
	prefill, forward prompted
	decode, step     *engine.Func
	rows             rows
	verify           rows // without a function where nothing is guessed
	ownHead          bool // whether it changes the head; else these are the model's
	greedy           *engine.Func
	logits, head     scored
}

// rows is a function of some tokens of a sequence.
type rows struct {
	positioned
	next engine.Tensor
}

// partly is a function that writes so many logits, from a panel of the head on.
type partly struct {
	scored
	size int
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

// mixed is a function in which every sequence of a batch has an adapter of its own.
type mixed struct {
	positioned
	adapters engine.Tensor
}

// mixedScored is a function that writes the logits of sequences that have an adapter each.
type mixedScored struct {
	scored
	adapters engine.Tensor
}

// scored is a function that writes logits.
type scored struct {
	*engine.Func
	out engine.Tensor
	*likeliest
}

// find looks all of them up; there are so many tokens and adapters, and perhaps a decoder of masks.
func find(e *engine.Engine, vocabulary, adapters int, decodesMasks bool) (*functions, error) {
	l := &engine.Lookup{Engine: e}
	f := &functions{
		decodeBatch: findPositioned(l, entry.DecodeBatch), stepBatch: findPositioned(l, entry.StepBatch), logitsBatch: findScored(l, entry.LogitsBatch),
		features: l.State(entry.StateFeatures), hidden: l.State(entry.StateHidden),
		next: l.State(entry.StateNext), nextBatch: l.State(entry.StateNextBatch),
		last: l.State(entry.StateLast), lastBatch: l.State(entry.StateLastBatch),
	}
	f.logitsBatch.likeliest = findLikeliest(l, f.logitsBatch.Func, e.Program.Slots, vocabulary)
	if e.Has(entry.Span) {
		f.parts = []partly{{findScored(l, entry.Span), entry.SpanRows}, {findScored(l, entry.Few), entry.FewRows}}
		f.partsBatch = []partly{{findScored(l, entry.SpanBatch), entry.SpanRows}, {findScored(l, entry.FewBatch), entry.FewRows}}
	}
	for n := range adapters + 1 {
		name := func(function string) string { return entry.Adapted(function, n) }
		a := adapted{encode: l.Func(name(entry.EncodeImage)), decode: l.Func(name(entry.Decode)), step: l.Func(name(entry.Step)),
			prefill: findPrompted(l, name(entry.Prefill)), forward: findPrompted(l, name(entry.Forward))}
		a.pixels = l.Input(a.encode, entry.InPixels)
		a.rows = findRows(l, name(entry.Rows))
		if e.Has(entry.Verify) {
			a.verify = findRows(l, name(entry.Verify))
		}
		if a.ownHead = n > 0 && e.Has(name(entry.Greedy)); n == 0 || a.ownHead {
			a.greedy, a.logits, a.head = l.Func(name(entry.Greedy)), findScored(l, name(entry.Logits)), findScored(l, name(entry.Head))
			a.logits.likeliest = findLikeliest(l, a.logits.Func, 1, vocabulary)
		} else {
			a.greedy, a.logits, a.head = f.adapted[0].greedy, f.adapted[0].logits, f.adapted[0].head
		}
		f.adapted = append(f.adapted, a)
	}
	if adapters > 0 {
		f.mixedDecode, f.mixedStep = findMixed(l, entry.DecodeBatch), findMixed(l, entry.StepBatch)
	}
	if name := entry.Mixed(entry.LogitsBatch); e.Has(name) {
		f.mixedLogits.scored = findScored(l, name)
		f.mixedLogits.likeliest = findLikeliest(l, f.mixedLogits.Func, e.Program.Slots, vocabulary)
		f.mixedLogits.adapters = l.Input(f.mixedLogits.Func, entry.InAdapters)
	}
	f.looking = findLooking(l, adapters)
	if decodesMasks {
		f.masks = findMasks(l)
	}
	return f, l.Err
}

// ofSteps lists the functions of steps, which may run between the parts of a prompt.
func (f *functions) ofSteps() []*engine.Func {
	list := []*engine.Func{f.decodeBatch.Func, f.stepBatch.Func, f.logitsBatch.Func, f.mixedDecode.Func, f.mixedStep.Func, f.mixedLogits.Func}
	for _, p := range slices.Concat(f.parts, f.partsBatch) {
		list = append(list, p.Func)
	}
	for i, a := range f.adapted {
		list = append(list, a.decode, a.step, a.rows.Func, a.verify.Func)
		if i == 0 || a.ownHead {
			list = append(list, a.greedy, a.logits.Func)
		}
	}
	if f.masks != nil {
		list = append(list, f.masks.Func)
	}
	return slices.DeleteFunc(list, func(g *engine.Func) bool { return g == nil }) // no mixed ones without adapters, none that verifies without guesses
}

func findPrompted(l *engine.Lookup, name string) prompted {
	f := l.Func(name)
	return prompted{f, l.Input(f, entry.InIDs), l.Input(f, entry.InSlots)}
}

func findPositioned(l *engine.Lookup, name string) positioned {
	f := l.Func(name)
	return positioned{f, l.Input(f, entry.InPositions)}
}

func findRows(l *engine.Lookup, name string) rows {
	f := findPositioned(l, name)
	return rows{f, l.Input(f.Func, entry.InNext)}
}

// headOf returns the function that writes the logits of a batch whose rows have these adapters, which it is told.
func (f *functions) headOf(adapters []int32) (scored, error) {
	if !slices.ContainsFunc(adapters, func(n int32) bool { return f.adapted[n].ownHead }) {
		return f.logitsBatch, nil
	}
	return f.mixedLogits.scored, engine.Put(f.mixedLogits.adapters, 0, adapters)
}

// verifies reports whether there is a function that verifies guesses.
func (f *functions) verifies() bool { return f.adapted[0].verify.Func != nil }

func findMixed(l *engine.Lookup, name string) mixed {
	f := findPositioned(l, entry.Mixed(name))
	return mixed{f, l.Input(f.Func, entry.InAdapters)}
}

func findScored(l *engine.Lookup, name string) scored {
	f := l.Func(name)
	return scored{Func: f, out: l.Output(f, entry.OutLogits)}
}
