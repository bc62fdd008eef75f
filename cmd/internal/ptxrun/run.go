package ptxrun

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"pgc/codegen/ptx/emu"
	"pgc/runtime/input"
	"pgc/runtime/output"
	"pgc/runtime/safetensors"
)

// maxText bounds a PTX file, in bytes.
const maxText = 64 << 20

// Request is one run of a kernel.
type Request struct {
	File        string
	Kernel      string // empty for the only one
	Grid, Block []int  // up to three sizes; an empty Block is what the text demands
	Shared      int    // bytes of dynamic shared memory
	Args        []string
	Out         string
	Most        int64 // instructions that a block may execute, all its warps together; 0 is no bound
	Progress    func(what string, done, total int64)
	Note        func(text string) // what is odd and no fault; nil where nobody wants to know
}

// Misuse is an error of the request, not of the kernel.
type Misuse struct{ error }

// Run executes. An error is a *emu.Finding where something is wrong with the text or with what it does.
func Run(r Request) error {
	grid, err := triple("--grid", r.Grid)
	if err != nil {
		return err
	}
	block, err := triple("--block", r.Block)
	if err != nil {
		return err
	}
	args, err := r.arguments()
	if err != nil {
		return err
	}
	output.Protect(r.File)
	if err := output.Allowed(r.Out); err != nil {
		return err
	}
	text, err := input.ReadFile(r.File, maxText)
	if err != nil {
		return err
	}
	m, err := emu.ParseFile(r.File, string(text))
	if err != nil {
		return err
	}
	name, err := r.kernel(m)
	if err != nil {
		return err
	}
	k, err := m.Kernel(name)
	if err != nil {
		return err
	}
	if len(args) != len(k.Params) {
		var names []string
		for _, p := range k.Params {
			names = append(names, fmt.Sprintf("%s of %d bytes", p.Name, p.Size))
		}
		return Misuse{fmt.Errorf("--arg is given %d times; %s has %d parameters: %s", len(args), name, len(k.Params), strings.Join(names, ", "))}
	}
	l := emu.Launch{Entry: name, Grid: grid, Block: block, Shared: r.Shared, Most: r.Most}
	if r.Progress != nil {
		l.Progress = func(done, total int) { r.Progress("blocks", int64(done), int64(total)) }
	}
	for _, a := range args {
		l.Args = append(l.Args, a.value)
	}
	if _, err := m.Run(l); err != nil {
		var f *emu.Finding
		if !errors.As(err, &f) {
			return Misuse{fmt.Errorf("%s: %w", r.File, err)}
		}
		return f
	}
	return r.write(args)
}

// triple is up to three sizes.
func triple(flag string, v []int) (out [3]int, err error) {
	if len(v) > 3 {
		return out, Misuse{fmt.Errorf("%s has %d sizes, expected X,Y,Z", flag, len(v))}
	}
	for i, n := range v {
		if n < 1 {
			return out, Misuse{fmt.Errorf("%s: a size of %d, expected 1 or more", flag, n)}
		}
		out[i] = n
	}
	return out, nil
}

// arguments reads the --arg flags.
func (r *Request) arguments() ([]argument, error) {
	files := map[string]*safetensors.File{}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	open := func(path string) (*safetensors.File, error) {
		if files[path] == nil {
			f, err := safetensors.Open(path)
			if err != nil {
				return nil, err
			}
			output.Protect(path)
			files[path] = f
		}
		return files[path], nil
	}
	var out []argument
	var names []string
	for _, text := range r.Args {
		a, err := parseArgument(text, open)
		if err != nil {
			return nil, err
		}
		if a.result != nil {
			if name := a.result.spec.Name; slices.Contains(names, name) {
				return nil, Misuse{fmt.Errorf("--arg %s: another result is named %s", text, name)}
			}
			names = append(names, a.result.spec.Name)
		}
		out = append(out, a)
	}
	return out, nil
}

// kernel is the name of the kernel to run.
func (r *Request) kernel(m *emu.Module) (string, error) {
	names := m.Entries()
	switch {
	case slices.Contains(names, r.Kernel):
		return r.Kernel, nil
	case len(names) == 0:
		return "", Misuse{fmt.Errorf("%s has no kernel", r.File)}
	case r.Kernel == "" && len(names) == 1:
		return names[0], nil
	case r.Kernel == "":
		return "", Misuse{fmt.Errorf("--kernel is missing; %s has %s", r.File, strings.Join(names, ", "))}
	}
	return "", Misuse{fmt.Errorf("%s has no kernel %s; it has %s", r.File, r.Kernel, strings.Join(names, ", "))}
}

// write writes the results in the order of the arguments.
func (r *Request) write(args []argument) error {
	var specs []safetensors.Spec
	for _, a := range args {
		if a.result != nil {
			specs = append(specs, a.result.spec)
		}
	}
	w, err := safetensors.Create(r.Out, nil, specs)
	if err != nil {
		return err
	}
	for _, a := range args {
		if a.result == nil {
			continue
		}
		if first, n := a.result.mem.Missing(); n > 0 && r.Note != nil {
			r.Note(fmt.Sprintf("nobody has written %d of the %d bytes of %s, the first of them byte %d; they are zero in %s", n, len(a.result.mem.Data), a.result.spec.Name, first, r.Out))
		}
		if _, err := w.Write(a.result.mem.Data); err != nil {
			w.Abort()
			return err
		}
	}
	return w.Close()
}
