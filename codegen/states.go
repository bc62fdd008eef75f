package codegen

import (
	"slices"

	"pgc/ir"
	"pgc/runtime/program"
)

// declareStates gives the program the states of all functions, and numbers them.
func (c *compiler) declareStates() {
	p := c.r.Program
	p.Slots = c.m.Slots()
	for _, f := range c.m.Funcs {
		for _, v := range f.Params {
			if v.Kind != ir.State || c.r.State(v) >= 0 {
				continue
			}
			one := v.Type // of a slot
			if v.PerSlot {
				one.Shape = one.Shape[1:]
			}
			p.States = append(p.States, program.State{Name: v.Name, Bytes: c.m.Bytes(one), PerSlot: v.PerSlot})
		}
	}
}

// State is the number of a state in the program.
func (r *Result) State(v *ir.Value) int {
	return slices.IndexFunc(r.Program.States, func(s program.State) bool { return s.Name == v.Name })
}
