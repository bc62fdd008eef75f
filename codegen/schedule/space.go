package schedule

import "pgc/ir/target"

// Space lists what a search tries of a schedule, a step after another: each step changes a part of the best one so far.
type Space[S any] struct {
	Name  string
	Show  func(s S) any // what of a schedule the steps change
	Steps []Step[S]
}

// Step is a part of a schedule and the values that are tried of it, in this order.
type Step[S any] struct {
	Name string
	Next func(now S) []S
}

// values is a step that sets one number.
func values[S, N any](name string, set func(s *S, n N), list ...N) Step[S] {
	return Step[S]{name, func(now S) (out []S) {
		for _, n := range list {
			s := now
			set(&s, n)
			out = append(out, s)
		}
		return out
	}}
}

// microkernels lists rows × vectors of columns whose sums, `halves` for each, fill a quarter of the registers at least
// and leave two of them free. Columns must be a part of two panels.
func microkernels(t target.Target, halves, multiple int) (out [][2]int) {
	const columns = 32
	for vecs := 1; vecs*t.Lanes <= columns; vecs *= 2 {
		for mr := multiple; mr <= t.Regs; mr += multiple {
			n := mr * vecs * halves
			if n < t.Regs/4 || n > t.Regs-2 || n < t.Regs/2 && mr%2 == 1 {
				continue
			}
			out = append(out, [2]int{mr, vecs})
		}
	}
	return out
}

// shape describes the sums of a class.
func shape(c Class) (halves, multiple int) {
	switch c {
	case I16, Apart:
		return 2, 1
	case MMLA, Pairs:
		return 1, 2
	}
	return 1, 1
}

// OfMany is the space of products of many rows. AMX's microkernel is its registers'.
func OfMany(c Class, t target.Target) Space[Product] {
	halves, multiple := shape(c)
	kc := []int64{128, 256, 512, 1024}
	switch c {
	case FMA, Dequant:
		kc = []int64{128, 256, 384}
	case VNNI2:
		kc = []int64{64, 128, 192, 256}
	case Apart:
		kc = nil // the order of its sums
	}
	s := Space[Product]{"many rows", func(p Product) any { return p.Many }, []Step[Product]{
		{"MR×Vecs", func(now Product) (out []Product) {
			for _, m := range microkernels(t, halves, multiple) {
				p := now
				p.Many.MR, p.Many.Vecs = m[0], m[1]
				out = append(out, p)
			}
			return out
		}},
		values("KC", func(p *Product, n int64) { p.Many.KC = n }, kc...),
		values("NC", func(p *Product, n int64) { p.Many.NC = n }, 64, 128, 256, 512),
		values("Pack", func(p *Product, pack bool) { p.Many.Pack = pack }, false, true),
		values("MC", func(p *Product, n int64) { p.Many.MC = n }, 96, 144, 192, 288),
	}}
	if c == AMX || c == AMX2 {
		s.Steps = s.Steps[1:]
	}
	return s
}

// OfOne is the space of products of one row.
func OfOne(c Class, t target.Target) Space[Product] {
	chains := []int{1}
	switch c {
	case VNNI4, I16:
		chains = []int{1, 2, 4}
	}
	return Space[Product]{"one row", func(p Product) any { return p.One }, []Step[Product]{
		values("Side", func(p *Product, n int) { p.One.Side = n }, 1, 2, 4),
		values("Chains", func(p *Product, n int) { p.One.Chains = n }, chains...),
		values("Ahead", func(p *Product, n int64) { p.One.Ahead = n }, 0, 16, 32, 64, 128, 256),
	}}
}

// OfFew is the space of products of few rows.
func OfFew(c Class, t target.Target) Space[Product] {
	halves, multiple := shape(c)
	return Space[Product]{"few rows", func(p Product) any { return p.Few }, []Step[Product]{
		{"MR×Vecs", func(now Product) (out []Product) {
			for _, m := range microkernels(t, halves, multiple) {
				if m[0] <= 8 {
					p := now
					p.Few.MR, p.Few.Vecs, p.Few.Side = m[0], m[1], max(1, m[1]*t.Lanes/16)
					out = append(out, p)
				}
			}
			return out
		}},
		values("Side", func(p *Product, n int) { p.Few.Side = n }, 1, 2),
		values("Ahead", func(p *Product, n int64) { p.Few.Ahead = n }, 0, 2<<10, 4<<10, 8<<10, 16<<10, 32<<10),
	}}
}

// OfAttention is the space of attention.
func OfAttention(t target.Target) Space[Attention] {
	return Space[Attention]{"attention", func(a Attention) any { return a }, []Step[Attention]{
		{"MR×Vecs", func(now Attention) (out []Attention) {
			for _, m := range microkernels(t, 1, 1) {
				if m[0]%2 == 0 {
					a := now
					a.MR, a.Vecs = m[0], m[1]
					out = append(out, a)
				}
			}
			return out
		}},
	}}
}

// OfStrips is the space of attention whose keys and values do not fit the second-level cache: strips share their blocks.
func OfStrips(target.Target) Space[Attention] {
	return Space[Attention]{"attention of many keys", func(a Attention) any { return a }, []Step[Attention]{
		values("Strips", func(a *Attention, n int) { a.Strips = n }, 1, 2, 4, 8, 16),
	}}
}
