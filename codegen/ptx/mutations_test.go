package ptx

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgc/codegen/kernels"
	"pgc/codegen/ptx/emu"
)

// launched is a launch that a test made, with the memory as it was.
type launched struct {
	kernel *Kernel
	tasks  int64
	args   []any
}

// recorder is told of launches, unless nil.
var recorder func(launched)

// again copies the memory of a launch, so that it can be made once more.
func (l launched) again() launched {
	copies := map[*emu.Memory]*emu.Memory{}
	l.args = slices.Clone(l.args)
	for i, a := range l.args {
		if p, ok := a.(emu.Pointer); ok {
			if copies[p.Memory] == nil {
				copies[p.Memory] = &emu.Memory{Data: slices.Clone(p.Memory.Data)}
			}
			l.args[i] = emu.Pointer{Memory: copies[p.Memory], Offset: p.Offset}
		}
	}
	return l
}

// launchesOf runs f and returns its launches of kernels that have barriers, waits or fences, by the kernels' texts, in the
// order of the first.
func launchesOf(t *testing.T, f func()) (all [][]launched) {
	t.Helper()
	places := map[string]int{}
	recorder = func(l launched) {
		at, ok := places[l.kernel.Text]
		if !ok {
			if at = -1; orders.MatchString(l.kernel.Text) {
				at = len(all)
				all = append(all, nil)
			}
			places[l.kernel.Text] = at
		}
		if at >= 0 {
			all[at] = append(all[at], l.again())
		}
	}
	defer func() { recorder = nil }()
	f()
	return all
}

// remade is a test whose launches TestMutations makes again. The first of the two to run executes it, and the other one takes
// what it left.
type remade struct {
	test func(t *testing.T)
	left *left
}

// left is the launches of a test, as launchesOf returns them, and whether it failed.
type left struct {
	launches [][]launched
	failed   bool
}

// join adds launches to those of the same kernels.
func join(all, more [][]launched) [][]launched {
	places := map[string]int{}
	for i, list := range all {
		places[list[0].kernel.Text] = i
	}
	for _, list := range more {
		if at, ok := places[list[0].kernel.Text]; ok {
			all[at] = append(all[at], list...)
		} else {
			all = append(all, list)
		}
	}
	return all
}

// run returns the launches of the test.
func (r *remade) run(t *testing.T) [][]launched {
	t.Helper()
	if l := r.left; l != nil {
		r.left = nil
		if l.failed {
			t.Error("failed where TestMutations and the test of these launches first needed them")
		}
		return l.launches
	}
	l := &left{failed: true} // until it has come to its end
	r.left = l
	l.launches = launchesOf(t, func() { r.test(t) })
	l.failed = t.Failed()
	return l.launches
}

// orders matches what orders accesses.
var orders = regexp.MustCompile(`(?m)^\t(@\S+ )?(bar\.sync|bar\.warp\.sync|cp\.async\.wait_group|cp\.async\.commit_group|membar|fence|\S+\.acq_rel)[^;]*;$`)

// needless are instructions that no launch misses, by the name that TestMutations gives them, and why they stay: none.
var needless = map[string]string{}

// TestMutations drops every barrier, wait and fence of the kernels of a small model, of products and of attention in turn.
// Each time the emulator finds what is wrong, or the list of exceptions says why nothing is. Kernels of one template with
// the same sequence of such instructions stand for each other: some have too little work for all of them.
func TestMutations(t *testing.T) {
	all := launchesOf(t, func() {
		for _, c := range attentionCases {
			d, plain := attended(t, c.name, c.source)
			for _, syms := range append(c.blind, c.syms...) {
				in, _ := tensors(t, plain, syms)
				d.call("f", in, syms)
			}
		}
	})
	for _, r := range []*remade{recordedBatch, recordedBatchRows, recordedFew, recordedMany, recordedScattered, recordedTop, recordedModel} {
		all = join(all, r.run(t))
	}
	var sequences []string
	kernelsOf := map[string][][]launched{}
	for _, launches := range all {
		s := sequence(launches[0].kernel)
		if kernelsOf[s] == nil {
			sequences = append(sequences, s)
		}
		kernelsOf[s] = append(kernelsOf[s], launches)
	}
	unused := map[string]bool{}
	for name := range needless {
		unused[name] = true
	}
	mutants := 0
	for _, s := range sequences {
		kind, list, _ := strings.Cut(s, ": ")
		for i, what := range strings.Split(list, ", ") {
			mutants++
			name := fmt.Sprintf("%s: %s number %d of %s", kind, what, i+1, list)
			found := missed(t, kernelsOf[s], i)
			t.Logf("%s: %v", name, found)
			switch reason := needless[name]; {
			case found == nil && reason == "":
				t.Errorf("%s: nothing is wrong without it in %s", name, kernelsOf[s][0][0].kernel.Name)
			case found != nil && reason != "":
				t.Errorf("%s: %v, but the list says: %s", name, found, reason)
			}
			delete(unused, name)
		}
	}
	t.Logf("%d kernels of %d sequences, %d mutants", len(all), len(sequences), mutants)
	for name := range unused {
		t.Errorf("%s: no such instruction is left", name)
	}
}

// sequence names a kernel's template and what orders accesses in it, without operands.
func sequence(k *Kernel) string {
	var ops []string
	for _, line := range orders.FindAllString(k.Text, -1) {
		ops = append(ops, ordering.FindString(line))
	}
	return kernels.Kind(k.Spec) + ": " + strings.Join(ops, ", ")
}

var ordering = regexp.MustCompile(`[a-z]+\.[a-z_.0-9]+`)

// weaker is what is left of an instruction without the order that it makes.
func weaker(line string) string {
	if strings.Contains(line, "atom.acq_rel") {
		return strings.Replace(line, ".acq_rel", ".relaxed", 1)
	}
	return ""
}

// missed returns what the emulator finds in any kernel without its ordering instruction number i: launches by one block
// and by several.
func missed(t *testing.T, all [][]launched, i int) *emu.Finding {
	t.Helper()
	for _, launches := range all {
		k := *launches[0].kernel
		at := orders.FindAllStringIndex(k.Text, -1)[i]
		k.Text = k.Text[:at[0]] + weaker(k.Text[at[0]:at[1]]) + k.Text[at[1]:]
		text := moduleOf([]*Kernel{&k})
		m := &module{parse(t, text), text}
		for _, l := range launches {
			for _, blocks := range []int64{1, blocksOf(&k, l.tasks)} {
				l := l.again()
				_, err := emulator{}.run(m, &k, blocks, append(l.args, l.tasks))
				var f *emu.Finding
				if errors.As(err, &f) {
					return f
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return nil
}
