package engine

// Lookup finds functions, their tensors and states by name, and keeps the first error; what it returns is of no use then.
type Lookup struct {
	Engine *Engine
	Err    error
}

// found returns what look finds, unless a look-up has failed.
func found[T any](l *Lookup, look func() (T, error)) (v T) {
	if l.Err == nil {
		v, l.Err = look()
	}
	return v
}

// Func finds a function.
func (l *Lookup) Func(name string) *Func {
	return found(l, func() (*Func, error) { return l.Engine.Func(name) })
}

// Input finds an input of a function.
func (l *Lookup) Input(f *Func, name string) Tensor {
	return found(l, func() (Tensor, error) { return f.Input(name) })
}

// Output finds an output of a function.
func (l *Lookup) Output(f *Func, name string) Tensor {
	return found(l, func() (Tensor, error) { return f.Output(name) })
}

// State finds a state.
func (l *Lookup) State(name string) Tensor {
	return found(l, func() (Tensor, error) { return l.Engine.State(name) })
}
