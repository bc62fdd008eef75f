package program

import "fmt"

// pool is the launches of a file's programs. Instruction sets run nearly the same launches, and layers do much the same, so
// each launch is there once, as is each expression of one; a program has their numbers. They are
//
//	expressions   a list
//	launches      a list; each with its length before it, so that those of other programs need not be read
//	programs      a list; the numbers of the launches of each, function by function
type pool struct {
	packing
	exprs, launches table    // when writing
	sets            [][]byte // the numbers of each program's launches
	known           []Expr   // the expressions
	views           [][]byte // the launches
}

// table numbers byte strings in the order in which they are first met.
type table struct {
	numbers map[string]int
	entries [][]byte
}

func (t *table) number(b []byte) int {
	n, ok := t.numbers[string(b)]
	if !ok {
		if t.numbers == nil {
			t.numbers = map[string]int{}
		}
		n = len(t.entries)
		t.numbers[string(b)] = n
		t.entries = append(t.entries, b)
	}
	return n
}

// add adds the launches of a program.
func (o *pool) add(p *Program) {
	c := &codec{writing: true}
	for i := range p.Funcs {
		list(c, &p.Funcs[i].Launches, 1, func(c *codec, l *Launch) {
			one := &codec{writing: true, pool: o}
			one.launch(l)
			n := o.launches.number(one.buf)
			c.int(&n)
		})
	}
	o.sets = append(o.sets, c.buf)
}

// walk writes the pool, or finds its bytes.
func (o *pool) walk(c *codec) {
	if c.writing {
		all := &codec{writing: true}
		list(all, &o.exprs.entries, 3, func(c *codec, b *[]byte) { c.buf = append(c.buf, *b...) })
		list(all, &o.launches.entries, 1, (*codec).view)
		list(all, &o.sets, 1, (*codec).view)
		o.pack(all.buf, c.deflated)
	}
	c.packing(&o.packing)
}

// open finds the entries.
func (o *pool) open() error {
	err := o.read("launches", func(c *codec) {
		list(c, &o.known, 3, (*codec).expr)
		list(c, &o.views, 1, (*codec).view)
		list(c, &o.sets, 1, (*codec).view)
	})
	if err != nil {
		return fmt.Errorf("damaged program: %w", err)
	}
	return nil
}

// pooled walks an expression of a launch: its number, if there is a pool.
func (c *codec) pooled(e *Expr) {
	switch {
	case c.pool == nil:
		c.expr(e)
	case c.writing:
		one := &codec{writing: true}
		one.expr(e)
		n := c.pool.exprs.number(one.buf)
		c.int(&n)
	default:
		var n int
		c.int(&n)
		if n < 0 || n >= len(c.pool.known) {
			c.fail(fmt.Errorf("expression %d of %d", n, len(c.pool.known)))
			return
		}
		*e = c.pool.known[n]
	}
}

// complete reads and validates the launches of the functions, unless that was done.
func (p *Program) complete() error {
	if p.pool == nil {
		return nil
	}
	if err := p.readLaunches(); err != nil {
		return err
	}
	for i := range p.Funcs {
		if err := p.validateFunc(&p.Funcs[i]); err != nil {
			return fmt.Errorf("program: func %s: %w", p.Funcs[i].Name, err)
		}
	}
	return nil
}

// readLaunches looks up the launches of the functions. Those that are alike share their parts.
func (p *Program) readLaunches() error {
	o := &pool{packing: p.pool.packing}
	if err := o.open(); err != nil {
		return err
	}
	if p.set >= len(o.sets) {
		return fmt.Errorf("damaged program: it has launches of %d instruction sets, expected more than %d", len(o.sets), p.set)
	}
	numbers := o.sets[p.set]
	known := make([]*Launch, len(o.views))
	c := &codec{buf: numbers}
	for i := range p.Funcs {
		list(c, &p.Funcs[i].Launches, 1, func(c *codec, l *Launch) {
			var n int
			if c.int(&n); n < 0 || n >= len(known) {
				c.fail(fmt.Errorf("launch %d of %d", n, len(known)))
				return
			}
			if known[n] != nil {
				*l = *known[n]
				return
			}
			known[n] = l
			one := &codec{buf: o.views[n], pool: o}
			one.launch(l)
			c.fail(one.finish(len(o.views[n])))
		})
	}
	if err := c.finish(len(numbers)); err != nil {
		return err
	}
	p.pool, p.set = nil, 0
	return nil
}
