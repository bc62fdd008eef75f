package codegen

import (
	"slices"
	"strconv"
	"strings"

	"pgc/ir"
	"pgc/runtime/program"
)

// stateCopy reads the name of a state: NAME is the first copy of a state, or the only one, and NAME.1, NAME.2 … are further ones.
func stateCopy(name string) (state string, copy int) {
	if at := strings.LastIndexByte(name, '.'); at > 0 {
		if n, err := strconv.Atoi(name[at+1:]); err == nil && n > 0 {
			return name[:at], n
		}
	}
	return name, 0
}

// declareStates gives the program the states of all functions, and numbers them.
func (c *compiler) declareStates() {
	p := c.r.Program
	for _, f := range c.m.Funcs {
		for _, v := range f.Params {
			if v.Kind != ir.State {
				continue
			}
			name, copy := stateCopy(v.Name)
			p.Copies = max(p.Copies, copy+1)
			if i := slices.IndexFunc(p.States, func(s program.State) bool { return s.Name == name }); i >= 0 {
				p.States[i].PerSlot = p.States[i].PerSlot || copy > 0
				continue
			}
			bytes := v.Type.DType.MemoryBytes()
			for _, d := range v.Type.Shape {
				bytes *= int64(d.N)
			}
			p.States = append(p.States, program.State{Name: name, Bytes: bytes, PerSlot: copy > 0})
		}
	}
}

// State is the number of a state in the program, of whichever copy it is.
func (r *Result) State(v *ir.Value) int {
	name, copy := stateCopy(v.Name)
	states := r.Program.States
	return copy*len(states) + slices.IndexFunc(states, func(s program.State) bool { return s.Name == name })
}
