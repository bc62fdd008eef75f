package emu

// videoOps is arithmetic on two halves or four bytes of a word.
var videoOps = func() map[string]func(l *lowering, m *mods) {
	table := map[string]func(l *lowering, m *mods){}
	for name, f := range map[string]func(a, b int64) int64{
		"vadd":     func(a, b int64) int64 { return a + b },
		"vsub":     func(a, b int64) int64 { return a - b },
		"vavrg":    func(a, b int64) int64 { return (a + b + 1) >> 1 },
		"vabsdiff": func(a, b int64) int64 { return max(a-b, b-a) },
		"vmin":     func(a, b int64) int64 { return min(a, b) },
		"vmax":     func(a, b int64) int64 { return max(a, b) },
	} {
		table[name+"2"] = func(l *lowering, m *mods) { l.video(m, 16, f) }
		table[name+"4"] = func(l *lowering, m *mods) { l.video(m, 8, f) }
	}
	return table
}()

// video builds an instruction of lanes of width bits. With .add the results are summed onto the third operand.
func (l *lowering) video(m *mods, width int, f func(a, b int64) int64) {
	sat, add := m.flag("sat"), m.flag("add")
	td, ta, tb := m.among(u32, s32), m.among(u32, s32), m.among(u32, s32)
	low, high := int64(0), int64(1)<<width-1
	if td.signed() {
		low, high = -1<<(width-1), 1<<(width-1)-1
	}
	lane := func(t typ, v uint64, at int) int64 {
		v = v >> at & (1<<width - 1)
		if t.signed() {
			return int64(v<<(64-width)) >> (64 - width)
		}
		return int64(v)
	}
	l.ternary(b32, b32, func(a, b, c uint64) uint64 {
		out := uint64(0)
		sum := int64(int32(c))
		for at := 0; at < 32; at += width {
			v := f(lane(ta, a, at), lane(tb, b, at))
			if sat {
				v = min(max(v, low), high)
			}
			sum += v
			out |= uint64(v) & (1<<width - 1) << at
		}
		if add {
			return uint64(uint32(sum))
		}
		return out
	})
}
