package program

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// maxDepth bounds the nesting of an Expr.
const maxDepth = 32

// maxSame bounds what names share, so that they take memory in proportion to their bytes.
const maxSame = 255

// encode returns the binary form of the programs of a file: one model for several instruction sets. What they share is
// written once, as the first one has it. Equal programs have equal bytes. The programs must be complete. Deflated, they
// take fewer bytes, and reading them takes longer and more memory.
func encode(sets []*Program, deflated bool) []byte {
	c := &codec{writing: true, deflated: deflated}
	c.file(&sets)
	return c.buf
}

// decode reads what encode wrote and validates it, except the functions' launches, which are most of the bytes: complete
// reads them. It trusts nothing: it never panics, and takes memory in proportion to len(data). Empty lists come back as nil.
func decode(data []byte) ([]*Program, error) {
	c := &codec{buf: data}
	var sets []*Program
	c.file(&sets)
	if c.err == nil && len(sets) == 0 {
		c.err = errors.New("it has no instruction set")
	}
	if err := c.finish(len(data)); err != nil {
		return nil, err
	}
	for _, p := range sets {
		if err := p.Validate(); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

// finish is the error of a reader that should have read all of so many bytes.
func (c *codec) finish(bytes int) error {
	if err := c.end(); err != nil {
		return fmt.Errorf("damaged program at byte %d of %d: %w", bytes-len(c.buf), bytes, err)
	}
	return nil
}

// end is the error of a reader that should have read everything.
func (c *codec) end() error {
	if c.err == nil && len(c.buf) > 0 {
		c.err = fmt.Errorf("%d bytes follow its end", len(c.buf))
	}
	return c.err
}

// codec walks programs in one fixed order. Writing, it appends to buf; reading, it takes from buf's front and fills the
// Program in. After an error it only reads zeros.
type codec struct {
	writing  bool
	deflated bool // whether packing deflates
	buf      []byte
	err      error
	depth    int
	last     string // the last name
	weighed  int64  // where the last weight ends
	pool     *pool  // of a launch that is in one
}

// file walks the programs of a file: what they share, then what is each one's own, then the launches of all.
func (c *codec) file(sets *[]*Program) {
	c.bool(&c.deflated)
	launches := &pool{}
	heads := packing{}
	if c.writing {
		own := &codec{writing: true}
		own.heads(sets, launches)
		heads.pack(own.buf, c.deflated)
	}
	if c.packing(&heads); !c.writing && c.err == nil {
		c.fail(heads.read("programs", func(c *codec) { c.heads(sets, launches) }))
	}
	launches.walk(c)
}

// heads walks the programs of a file without their launches.
func (c *codec) heads(sets *[]*Program, launches *pool) {
	shared := &Program{}
	if c.writing && len(*sets) > 0 {
		shared = (*sets)[0]
	}
	c.shared(shared)
	n := 0
	list(c, sets, 14+2*len(shared.Funcs), func(c *codec, p **Program) {
		if !c.writing {
			*p = &Program{}
			**p = *shared
			(*p).Funcs, (*p).pool, (*p).set = slices.Clone(shared.Funcs), launches, n
			n++
		}
		if c.set(*p, shared); c.writing {
			launches.add(*p)
		}
	})
}

// shared walks what does not depend on the instruction set, and the functions as the first one has them.
func (c *codec) shared(p *Program) {
	c.string(&p.Generator)
	list(c, &p.Symbols, 2, func(c *codec, s *Symbol) { c.string(&s.Name); c.int64(&s.Max) })
	c.int(&p.Slots)
	list(c, &p.Funcs, 3, func(c *codec, f *Func) {
		c.string(&f.Name)
		c.ports(f)
	})
	list(c, &p.Weights, 12, (*codec).weight)
	c.int64(&p.WeightBytes)
}

// packing is bytes, deflated or as they are.
type packing struct {
	deflated bool
	size     int64 // of the bytes
	stored   []byte
}

// pack stores bytes.
func (p *packing) pack(b []byte, deflated bool) {
	*p = packing{deflated, int64(len(b)), b}
	if deflated {
		p.stored = deflate(b)
	}
}

// read gives a codec the bytes, of which each must walk all.
func (p *packing) read(what string, each func(*codec)) error {
	b := p.stored
	if p.deflated {
		b = make([]byte, p.size)
		if err := inflate(b, p.stored); err != nil {
			return fmt.Errorf("its %s: %w", what, err)
		}
	}
	c := &codec{buf: b}
	each(c)
	if err := c.end(); err != nil {
		return fmt.Errorf("its %s at byte %d of %d: %w", what, len(b)-len(c.buf), len(b), err)
	}
	return nil
}

// packing walks bytes that are stored as the file says.
func (c *codec) packing(p *packing) {
	p.deflated = c.deflated
	if c.deflated {
		c.int64(&p.size)
	}
	if c.view(&p.stored); p.size < 0 || p.size/mostPacked > int64(len(p.stored)) {
		c.fail(fmt.Errorf("%d bytes cannot fit in %d", p.size, len(p.stored)))
	}
}

// ports walks what a function takes and gives.
func (c *codec) ports(f *Func) {
	list(c, &f.Inputs, 3, (*codec).port)
	list(c, &f.Outputs, 3, (*codec).port)
}

// portsBytes is what ports writes of a function.
func portsBytes(f *Func) []byte {
	c := &codec{writing: true}
	c.ports(f)
	return c.buf
}

// set walks what does, but for the launches; the functions are there already, and have other ports where a GPU's do more than
// a CPU's.
func (c *codec) set(p, shared *Program) {
	c.byte((*uint8)(&p.Target.Kind))
	c.string(&p.Target.Arch)
	c.string(&p.Target.CPU)
	list(c, &p.Target.Features, 1, (*codec).string)
	c.bytes(&p.Model)
	list(c, &p.States, 3, func(c *codec, s *State) { c.string(&s.Name); c.int64(&s.Bytes); c.bool(&s.PerSlot) })
	list(c, &p.Kernels, 8, (*codec).kernel)
	list(c, &p.Parts, 4, func(c *codec, t *Part) { c.int64(&t.At); c.int64(&t.Bytes); c.span(&t.Packed) })
	c.span(&p.Text)
	c.int64(&p.WorkerOffset)
	c.int64(&p.ScratchBytes)
	c.int(&p.MinBatch)
	list(c, &p.Loads, 5, (*codec).load)
	c.int64(&p.DeviceBytes)
	for i := range p.Funcs {
		f := &p.Funcs[i]
		c.int64(&f.ArenaBytes)
		own := c.writing && !bytes.Equal(portsBytes(f), portsBytes(&shared.Funcs[i]))
		if c.bool(&own); own {
			c.ports(f)
		}
	}
}

func (c *codec) span(s *Span) { c.int64(&s.Offset); c.int64(&s.Bytes) }

func (c *codec) kernel(k *Kernel) {
	c.name(&k.Name)
	c.int64(&k.CodeOffset)
	c.dtype(&k.LHS)
	c.dtype(&k.RHS)
	c.int(&k.Threads)
	c.int(&k.TaskThreads)
	c.int64(&k.SharedBytes)
	c.bool(&k.DynamicShared)
}

func (c *codec) load(l *Load) {
	for _, n := range []*int64{&l.Offset, &l.Bytes, &l.To, &l.DeviceBytes} {
		c.int64(n)
	}
	list(c, &l.Launches, 12, (*codec).launch)
}

func (c *codec) port(p *Port) {
	c.string(&p.Name)
	c.dtype(&p.DType)
	list(c, &p.Shape, 3, (*codec).expr)
}

func (c *codec) launch(l *Launch) {
	c.int(&l.Kernel)
	c.pooled(&l.Tasks)
	list(c, &l.Args, 2, (*codec).arg)
	list(c, &l.Grains, 1, (*codec).int64)
	c.string(&l.Value)
	c.pooled(&l.Flops)
	c.pooled(&l.Bytes)
}

// arg walks an argument: a byte with its space and with what else there is, which most have nothing of.
func (c *codec) arg(a *Arg) {
	const index, terms = 1 << 6, 1 << 7
	const _ = uint(index - spaces)
	head := uint8(a.Space)
	if a.Index != 0 {
		head |= index
	}
	if len(a.Terms) > 0 {
		head |= terms
	}
	c.byte(&head)
	a.Space = Space(head &^ (index | terms))
	if head&index != 0 {
		c.int(&a.Index)
	}
	c.int64(&a.Offset)
	if head&terms != 0 {
		list(c, &a.Terms, 2, func(c *codec, t *Term) { c.int(&t.Sym); c.int64(&t.Stride) })
	}
}

func (c *codec) weight(w *Weight) {
	c.name(&w.Name)
	c.dtype(&w.DType)
	list(c, &w.Shape, 1, (*codec).int64)
	c.layout(&w.Layout)
	gap := w.Offset - c.weighed
	c.int64(&gap)
	w.Offset = c.weighed + gap
	c.int64(&w.Bytes)
	c.weighed = w.Offset + w.Bytes
	sum := int64(w.Sum)
	c.int64(&sum)
	w.Sum = uint32(sum)
}

// formats are the names of storage formats that take a byte, which tells where they are here. Other names follow a zero.
var formats = [...]DType{"", "f32", "bf16", "f16", "i32", "bool", "int8", "int4", "nf4"}

func (c *codec) dtype(d *DType) {
	n := uint8(slices.Index(formats[:], *d) + 1)
	if c.byte(&n); n == 0 {
		c.string((*string)(d))
	} else if int(n) <= len(formats) {
		*d = formats[n-1]
	} else {
		c.fail(fmt.Errorf("storage format %d of %d", n, len(formats)))
	}
}

func (c *codec) layout(l *Layout) {
	c.byte((*uint8)(&l.Kind))
	c.bool(&l.Transposed)
	c.byte(&l.KPack)
	c.int64(&l.Split)
	c.int64(&l.Run)
	c.int64(&l.Cols)
}

func (c *codec) expr(e *Expr) {
	if c.depth++; c.depth > maxDepth {
		c.fail(fmt.Errorf("an expression is nested more than %d deep", maxDepth))
		c.depth--
		return
	}
	c.byte((*uint8)(&e.Op))
	c.int64(&e.Value)
	list(c, &e.Args, 3, (*codec).expr)
	c.depth--
}

// list walks a slice whose elements take at least minBytes each.
func list[T any](c *codec, s *[]T, minBytes int, each func(*codec, *T)) {
	n := c.length(len(*s), minBytes)
	if !c.writing && n > 0 {
		*s = make([]T, n)
	}
	for i := range *s {
		if c.err != nil {
			return
		}
		each(c, &(*s)[i])
	}
}

// length walks the number of a list's elements, which are at least of so many bytes each. It is 0 after an error.
func (c *codec) length(n, minBytes int) int {
	c.int(&n)
	if !c.writing && (n < 0 || n > len(c.buf)/minBytes) {
		c.fail(fmt.Errorf("a list of %d elements cannot fit in the %d bytes left", n, len(c.buf)))
	}
	if c.err != nil {
		return 0
	}
	return n
}

func (c *codec) string(s *string) {
	if c.writing {
		b := []byte(*s)
		c.view(&b)
		return
	}
	var b []byte
	c.view(&b)
	*s = string(b)
}

// name walks a string that begins as the last one did: how many bytes, at most maxSame, and the rest.
func (c *codec) name(s *string) {
	var same int
	var rest []byte
	if c.writing {
		for same < min(len(*s), len(c.last), maxSame) && (*s)[same] == c.last[same] {
			same++
		}
		rest = []byte((*s)[same:])
	}
	if c.int(&same); same < 0 || same > min(len(c.last), maxSame) {
		c.fail(fmt.Errorf("a name begins as the first %d bytes of one of %d", same, len(c.last)))
		return
	}
	if c.view(&rest); !c.writing {
		*s = c.last[:same] + string(rest)
	}
	c.last = *s
}

func (c *codec) bytes(b *[]byte) {
	c.view(b)
	if !c.writing {
		*b = bytes.Clone(*b)
	}
}

// view walks bytes. What it reads is a part of the buffer.
func (c *codec) view(b *[]byte) {
	n := len(*b)
	c.int(&n)
	if c.writing {
		c.buf = append(c.buf, *b...)
		return
	}
	if n < 0 || n > len(c.buf) {
		c.fail(fmt.Errorf("%d bytes are expected, %d are left", n, len(c.buf)))
	}
	if c.err != nil || n == 0 {
		return
	}
	*b, c.buf = c.buf[:n:n], c.buf[n:]
}

func (c *codec) bool(v *bool) {
	var b uint8
	if *v {
		b = 1
	}
	c.byte(&b)
	if b > 1 {
		c.fail(fmt.Errorf("a truth value is %d, expected 0 or 1", b))
	}
	*v = b == 1
}

func (c *codec) byte(b *uint8) {
	if c.writing {
		c.buf = append(c.buf, *b)
		return
	}
	if len(c.buf) == 0 {
		c.fail(errors.New("it ends too early"))
	}
	if c.err != nil {
		return
	}
	*b, c.buf = c.buf[0], c.buf[1:]
}

func (c *codec) int(i *int) {
	v := int64(*i)
	c.int64(&v)
	*i = int(v)
}

func (c *codec) int64(i *int64) {
	if c.writing {
		c.buf = binary.AppendVarint(c.buf, *i)
		return
	}
	if c.err != nil {
		return
	}
	v, n := binary.Varint(c.buf)
	if n <= 0 {
		c.fail(errors.New("a number is cut off or too long"))
		return
	}
	*i, c.buf = v, c.buf[n:]
}

// fail notes the first error.
func (c *codec) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}
