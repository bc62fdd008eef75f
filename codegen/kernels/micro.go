package kernels

import "pgc/ir/tile"

// unroll is how many steps of k the microkernel's loop body holds.
const unroll = 4

// source is where one vector of B's row lies: off elements behind p.
type source struct {
	p   *tile.Value
	off int64
}

// micro is the one inner loop of matmul and attention: a rows × len(b)·lanes block of C += A·B, accumulators in
// registers, k ascending with one fused multiply-add per element and step. Whatever calls it, however many rows lie
// beside a row, that row sees the same operations in the same order.
type micro struct {
	rows, lanes int
	aRow, aK    int64    // elements of A between rows and between steps of k
	b           []source // the vectors of a row of B
	bK          int64    // elements of B between steps of k
	ahead       int64    // steps of k before they are needed that B is asked for; 0: never
	way         way
}

// run returns the accumulators, row by row, after k steps from init. a points at step 0.
func (m micro) run(b *tile.Builder, a, k *tile.Value, init []*tile.Value) []*tile.Value {
	n := len(m.b)
	if m.way == dotted || m.way == split {
		return m.loop(b, k, init, m.pair(b, a))
	}
	step := func(at *tile.Value, acc []*tile.Value) []*tile.Value {
		row := make([]*tile.Value, n)
		for v, src := range m.b {
			row[v] = b.Load(src.p, b.Add(b.Mul(at, b.Int(m.bK)), b.Int(src.off)), m.lanes)
		}
		out := make([]*tile.Value, len(acc))
		for r := 0; r < m.rows; r++ {
			x := b.Load(a, b.Add(b.Mul(at, b.Int(m.aK)), b.Int(int64(r)*m.aRow)), 1)
			s := b.Splat(x, m.lanes)
			for v := range row {
				out[r*n+v] = b.FMA(s, row[v], acc[r*n+v])
			}
		}
		return out
	}
	if m.way == swapped {
		return m.backwards(b, k, init, step)
	}
	return m.loop(b, k, init, step)
}

// loop takes k steps, unroll of them in the body.
func (m micro) loop(b *tile.Builder, k *tile.Value, init []*tile.Value, step func(at *tile.Value, acc []*tile.Value) []*tile.Value) []*tile.Value {
	main := b.Mul(b.Div(k, b.Int(unroll)), b.Int(unroll))
	acc := b.For(b.Int(0), main, b.Int(unroll), init, func(i *tile.Value, c []*tile.Value) []*tile.Value {
		m.prefetch(b, i)
		for u := int64(0); u < unroll; u++ {
			c = step(b.Add(i, b.Int(u)), c)
		}
		return c
	})
	if n, ok := tile.ConstInt(k); ok && n%unroll == 0 {
		return acc
	}
	return b.For(main, k, b.Int(1), acc, func(i *tile.Value, c []*tile.Value) []*tile.Value { return step(i, c) })
}

// prefetch asks for the lines of B that unroll steps read, from those at step i + ahead on, line by line of what lies together.
func (m micro) prefetch(b *tile.Builder, i *tile.Value) {
	if m.ahead == 0 {
		return
	}
	for v, src := range m.b {
		size := int64(src.p.Type.Elem.Bytes())
		if v > 0 && m.b[v-1].p == src.p && m.b[v-1].off+int64(m.lanes) == src.off && src.off*size%64 != 0 {
			continue // in a line asked for already
		}
		for at := int64(0); at < unroll*m.bK*size; at += 64 {
			b.Prefetch(src.p, b.Add(b.Mul(i, b.Int(m.bK)), b.Int(src.off+m.ahead*m.bK+at/size)), 1)
		}
	}
}

// zeros returns n zero vectors.
func zeros(b *tile.Builder, n, lanes int) []*tile.Value {
	out := make([]*tile.Value, n)
	for i := range out {
		out[i] = b.Float(0, lanes)
	}
	return out
}

// rowBlocks covers rows with blocks of at most `most` rows: whole blocks first, then falling powers of two.
func rowBlocks(b *tile.Builder, rows *tile.Value, most int, body func(first *tile.Value, n int)) {
	m := b.Int(int64(most))
	main := b.Mul(b.Div(rows, m), m)
	b.Range(b.Int(0), main, m, func(i *tile.Value) { body(i, most) })
	if n, ok := tile.ConstInt(rows); ok {
		at := n / int64(most) * int64(most)
		for p := floorPow2(most - 1); p > 0; p /= 2 {
			if n-at >= int64(p) {
				body(b.Int(at), p)
				at += int64(p)
			}
		}
		return
	}
	at := main
	for p := floorPow2(most - 1); p > 0; p /= 2 {
		at = b.If(b.Compare(tile.LE, b.Add(at, b.Int(int64(p))), rows), func() []*tile.Value {
			body(at, p)
			return []*tile.Value{b.Add(at, b.Int(int64(p)))}
		}, func() []*tile.Value { return []*tile.Value{at} })[0]
	}
}

func floorPow2(n int) int {
	p := 1
	for p*2 <= n {
		p *= 2
	}
	if n < 1 {
		return 0
	}
	return p
}
