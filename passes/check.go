package passes

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"pgc/ir"
)

// checkOrder runs a pass on copies of a function with the operations in other valid orders. The result must verify and
// have as many operations of every kind as in the original order.
func checkOrder(p Pass, before, after *ir.Func) error {
	want := kinds(after)
	rng := rand.New(rand.NewPCG(uint64(len(before.Ops)), 7))
	for range 2 {
		m := &ir.Module{Symbols: before.Module.Symbols}
		f := before.Clone(m)
		shuffle(f, rng)
		p.Run(f, nil)
		if err := f.Verify(); err != nil {
			return fmt.Errorf("with its operations in another order: %w", err)
		}
		if got := kinds(f); !maps.Equal(got, want) {
			return fmt.Errorf("depends on the order of operations: it makes %v, in another order %v", want, got)
		}
	}
	return nil
}

// kinds counts the operations of every kind.
func kinds(f *ir.Func) map[string]int {
	n := map[string]int{}
	for _, op := range f.Ops {
		n[op.Def.Name]++
	}
	return n
}

// shuffle reorders the operations at random, keeping definitions before uses.
func shuffle(f *ir.Func, rng *rand.Rand) {
	waits, users := map[*ir.Op]int{}, map[*ir.Op][]*ir.Op{}
	var ready []*ir.Op
	for _, op := range f.Ops {
		for _, v := range op.In {
			if v.Def != nil {
				waits[op]++
				users[v.Def] = append(users[v.Def], op)
			}
		}
		if waits[op] == 0 {
			ready = append(ready, op)
		}
	}
	f.Ops = f.Ops[:0:0]
	for len(ready) > 0 {
		i := rng.IntN(len(ready))
		op := ready[i]
		ready = slices.Delete(ready, i, i+1)
		f.Ops = append(f.Ops, op)
		for _, u := range users[op] {
			if waits[u]--; waits[u] == 0 {
				ready = append(ready, u)
			}
		}
	}
}
