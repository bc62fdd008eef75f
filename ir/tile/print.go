package tile

import (
	"fmt"
	"strconv"
	"strings"
)

// String prints the kernel, one instruction a line, values numbered in order of appearance.
func (k *Kernel) String() string {
	p := &printer{names: map[*Value]string{}}
	params := make([]string, len(k.Params))
	for i, q := range k.Params {
		params[i] = q.Name + ": " + q.Type.String()
	}
	fmt.Fprintf(&p.out, "kernel %s(%s) scratch=%d {\n", k.Name, strings.Join(params, ", "), k.ScratchBytes)
	p.block(k.Body, 1)
	p.out.WriteString("}\n")
	return p.out.String()
}

type printer struct {
	out   strings.Builder
	names map[*Value]string
}

func (p *printer) name(v *Value) string {
	if n, ok := p.names[v]; ok {
		return n
	}
	n := "%" + strconv.Itoa(len(p.names))
	p.names[v] = n
	return n
}

func (p *printer) list(vs []*Value, typed bool) string {
	parts := make([]string, len(vs))
	for i, v := range vs {
		parts[i] = p.name(v)
		if typed {
			parts[i] += ": " + v.Type.String()
		}
	}
	return strings.Join(parts, ", ")
}

func (p *printer) block(b *Block, depth int) {
	indent := strings.Repeat("  ", depth)
	for _, in := range b.Insts {
		p.out.WriteString(indent)
		args := p.list(in.Args, false)
		if len(in.Out) > 0 {
			fmt.Fprintf(&p.out, "%s = ", p.list(in.Out, true))
		}
		p.out.WriteString(in.Op.String())
		if args != "" {
			p.out.WriteString(" " + args)
		}
		switch in.Op {
		case Const:
			if in.Out[0].Type.IsFloat() {
				p.out.WriteString(" " + strconv.FormatFloat(in.Num, 'g', -1, 32))
			} else {
				fmt.Fprintf(&p.out, " %d", in.Imm)
			}
		case Param, Lane:
			fmt.Fprintf(&p.out, " #%d", in.Imm)
		case Reduce:
			p.out.WriteString(" " + in.Fold.String())
		case Shuffle:
			fmt.Fprintf(&p.out, " %v", in.Mask)
		case Flush:
			fmt.Fprintf(&p.out, " #%d", in.Imm)
		case Lookup:
			fmt.Fprintf(&p.out, " %v", in.Table)
		}
		for _, n := range in.Tiles {
			fmt.Fprintf(&p.out, " tmm%d", n)
		}
		for _, blk := range in.Blocks {
			fmt.Fprintf(&p.out, " {(%s)\n", p.list(blk.Args, true))
			p.block(blk, depth+1)
			fmt.Fprintf(&p.out, "%s}", indent)
		}
		p.out.WriteString("\n")
	}
	if len(b.Yield) > 0 {
		fmt.Fprintf(&p.out, "%syield %s\n", indent, p.list(b.Yield, false))
	}
}
