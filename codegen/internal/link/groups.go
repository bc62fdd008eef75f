package link

import (
	"debug/elf"
	"slices"
)

// group is functions that the same programs have, one behind the other.
type group struct {
	part  Part
	users []int // the numbers of the programs
	all   []*function
}

// function is a section of code, and the equal ones that are to lie where it does.
type function struct {
	s     *section
	equal []*section
	users []int
}

// placeFunctions appends the executable sections of all objects to the blob, equal ones once, those of the same programs together.
func (l *linker) placeFunctions() (groups []*group) {
	var all []*function
	known := map[string]*function{}
	for _, o := range l.objs {
		for _, s := range o.sections {
			if s.Flags&elf.SHF_EXECINSTR == 0 {
				continue
			}
			key, ok := o.identity(s)
			f := known[key]
			if f == nil || !ok {
				f = &function{s: s}
				if all = append(all, f); ok {
					known[key] = f
				}
			} else {
				f.equal, s.again = append(f.equal, s), true
			}
			if n := len(f.users); n == 0 || f.users[n-1] != o.of {
				f.users = append(f.users, o.of)
			}
		}
	}
	for _, f := range all {
		i := slices.IndexFunc(groups, func(g *group) bool { return slices.Equal(g.users, f.users) })
		if i < 0 {
			i, groups = len(groups), append(groups, &group{users: f.users})
		}
		groups[i].all = append(groups[i].all, f)
	}
	for _, g := range groups {
		g.part.At = len(l.code)
		for _, f := range g.all {
			f.s.start = l.add(f.s.data, f.s.align)
			for _, s := range f.equal {
				s.start = f.s.start
			}
		}
		g.part.Bytes = len(l.code) - g.part.At
	}
	return groups
}

// partsOf returns what a program needs of a blob: its groups, and what lies behind them, the constants.
func (l *linker) partsOf(groups []*group, program int) (parts []Part) {
	end := 0
	for _, g := range groups {
		if end = g.part.At + g.part.Bytes; slices.Contains(g.users, program) {
			parts = append(parts, g.part)
		}
	}
	if constants := len(l.code) - end; constants > 0 {
		parts = append(parts, Part{end, constants})
	}
	return parts
}
