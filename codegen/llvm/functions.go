package llvm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"

	"github.com/llir/llvm/ir"

	"pgc/ir/target"
	"pgc/ir/tile"
)

// Function is the LLVM IR of one kernel. Its symbol is the hash of the text: equal kernels, in one program or in several,
// are one function.
type Function struct {
	Symbol  string
	Text    []byte   // the definition
	Externs []string // declarations of the intrinsics that it calls, a line each
}

// EmitFunction emits a kernel.
func EmitFunction(t target.Target, k *tile.Kernel) (Function, error) {
	m, err := module(t, []*tile.Kernel{k})
	if err != nil {
		return Function{}, err
	}
	f := Function{}
	for _, declared := range m.Funcs[1:] {
		f.Externs = append(f.Externs, declared.LLString()+"\n")
	}
	m.Funcs = m.Funcs[:1]
	body, err := text(&ir.Module{Funcs: m.Funcs})
	if err != nil {
		return Function{}, err
	}
	before, after, found := bytes.Cut(body, []byte("@"+k.Name+"("))
	if !found {
		return Function{}, fmt.Errorf("kernel %s: the text of its function does not begin with its name", k.Name)
	}
	h := sha256.New()
	h.Write(before)
	h.Write(after)
	f.Symbol = fmt.Sprintf("kernel_%x", h.Sum(nil)[:16])
	f.Text = slices.Concat(before, []byte("@"+f.Symbol+"("), after)
	return f, nil
}

// Module is the text of a module with these functions.
func Module(fs []Function) []byte {
	var out []byte
	declared := map[string]bool{}
	for _, f := range fs {
		out = append(append(out, f.Text...), '\n')
		for _, line := range f.Externs {
			if !declared[line] {
				declared[line] = true
				out = append(out, line...)
			}
		}
	}
	return out
}

// atOnce is how many parts Side works on at the same time, and leastPart the text of a module in bytes that llc is started for
// at least: to start it takes as long as a tenth of that.
const (
	atOnce    = 4
	leastPart = 128 << 10
)

// Parts divides functions into modules, as many as Side works on at the same time and of about the same length: llc takes
// as long for a text as it is long, and to start.
func Parts(fs []Function) (parts [][]Function) {
	left := 0 // the text of this part and those behind it
	for _, f := range fs {
		left += len(f.Text)
	}
	begun, text := 0, 0
	for i, f := range fs {
		text += len(f.Text)
		n := max(1, min(atOnce-len(parts), left/leastPart))
		if i == len(fs)-1 || text*n >= left && left-text >= leastPart {
			parts, begun = append(parts, fs[begun:i+1]), i+1
			left, text = left-text, 0
		}
	}
	return parts
}

// Unverified makes llc take a module as it is: what Emit writes is right, and to look whether it is takes a twentieth of llc's
// time. Tests do without it.
const Unverified = "-disable-verify"

// AssembleFunctions compiles functions with llc to relocatable objects that define each of them once, in this order.
func AssembleFunctions(ctx context.Context, fs []Function, t target.Target) ([][]byte, error) {
	path, err := FindLLC()
	if err != nil {
		return nil, err
	}
	objs, err := RunFunctions(ctx, path, append(flags(t, "obj"), Unverified), fs)
	return objs, explain(ctx, path, t, err)
}

// RunFunctions is how llc is run on functions. Tests put a memory in front of ExecFunctions.
var RunFunctions = ExecFunctions

// ExecFunctions runs the llc at path on Parts of the functions.
func ExecFunctions(ctx context.Context, path string, args []string, fs []Function) ([][]byte, error) {
	return Side(Parts(fs), func(part []Function) ([]byte, error) {
		return Run(ctx, path, args, Module(part))
	})
}

// Side calls f with every part, some at the same time, and returns the results in their order, or the first error.
func Side[P, R any](parts []P, f func(P) (R, error)) ([]R, error) {
	results, errs := make([]R, len(parts)), make([]error, len(parts))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, p := range parts {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i], errs[i] = f(p)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return results, nil
}
