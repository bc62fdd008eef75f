package kernels

import (
	"pgc/codegen/packing"
	"pgc/ir/quant"
	"pgc/ir/tile"
)

// The layouts of packed matrices, which package packing has.
type (
	Group     = packing.Group
	Fragments = packing.Fragments
)

const (
	PanelWidth     = packing.PanelWidth
	PanelPad       = packing.PanelPad
	TileBytes      = packing.TileBytes
	ScalePairBytes = packing.ScalePairBytes
)

// decoded returns what code i of every word stands for before its scale: the word's codes lie as At has them.
func decoded(q Group, b *tile.Builder, word *tile.Value, i int) *tile.Value {
	bits, lanes := int(q.Bits()), word.Type.Lanes
	first := 8*(i%4) + i/4*bits // of the code's bits
	by := func(op tile.Op, n int) *tile.Value {
		if n == 0 {
			return word
		}
		return b.Logic(op, word, b.Int32(int64(n), lanes))
	}
	switch t := q.Format.Traits(); t.Codes {
	case quant.Affine:
		return b.Cast(tile.IToF, b.Logic(tile.And, by(tile.Shr, first), b.Int32(1<<bits-1, lanes)))
	case quant.Lookup:
		return b.Lookup(by(tile.Shr, first), t.Levels)
	}
	word = by(tile.Shl, 32-bits-first) // to the top of its word, and down again with its sign
	return b.Cast(tile.IToF, b.Logic(tile.Sar, word, b.Int32(int64(32-bits), lanes)))
}

// header loads the scales, and the minima of affine codes, which lie `apart` numbers behind them, of `lanes` rows of a
// block from row n on.
func header(q Group, b *tile.Builder, block, n *tile.Value, lanes int, apart int64) (scale, low *tile.Value) {
	if !q.Affine() {
		return b.Load(b.PtrCast(block, tile.F32), n, lanes), nil
	}
	p := b.PtrCast(block, tile.BF16)
	return b.Load(p, n, lanes), b.Load(p, b.Add(n, b.Int(apart)), lanes)
}

// scaled returns values from what their codes stand for, and scales and minima.
func scaled(q Group, b *tile.Builder, x, scale, low *tile.Value) *tile.Value {
	if q.Affine() {
		return b.FMA(x, scale, low)
	}
	return b.Mul(x, scale)
}

// element reads element (row, k) of a table in fragments, whose pointer is of bfloat16 or of bytes.
func element(f Fragments, b *tile.Builder, table, row, k *tile.Value) *tile.Value {
	i := func(n int64) *tile.Value { return b.Int(n) }
	sum := func(terms ...*tile.Value) *tile.Value {
		s := terms[0]
		for _, t := range terms[1:] {
			s = b.Add(s, t)
		}
		return s
	}
	times := func(x *tile.Value, n int64) *tile.Value { return b.Mul(x, i(n)) }
	bit := func(x *tile.Value, n int64) *tile.Value { return b.Rem(b.Div(x, i(n)), i(2)) }
	n, in := b.Rem(row, i(PanelWidth)), b.Rem(k, i(f.TileK()))
	p, h, j, u := bit(in, 1), bit(in, 8), b.Div(in, i(16)), b.Div(n, i(8))
	strip := times(b.Div(row, i(PanelWidth)), f.StripBytes())
	thread := b.Add(times(b.Rem(n, i(8)), 4), b.Div(b.Rem(in, i(8)), i(2)))
	at := sum(strip, times(b.Div(k, i(f.TileK())), TileBytes), times(thread, 16))
	if f.Group.Len == 0 {
		return b.Load(table, b.Div(sum(at, times(h, 8), times(u, 4), times(p, 2)), i(2)), 1)
	}
	switch f.Bits() {
	case 8:
		at = sum(at, times(j, 8), times(h, 4), times(p, 2), u)
	default:
		at = sum(at, times(j, 4), times(p, 2), h)
	}
	code := b.WidenTo(b.Load(table, at, 1), tile.I32)
	if f.Bits() == 4 {
		code = b.Select(b.Compare(tile.LT, i(0), u), b.Logic(tile.Shr, code, b.Int32(4, 1)), code)
	}
	group := b.Div(k, i(f.Group.Len))
	at = sum(strip, i(f.ScaleAt(0, 0)), times(b.Div(group, i(2)), ScalePairBytes), times(b.Rem(n, i(8)), 16), times(b.Rem(group, i(2)), 8), times(u, 4))
	at = b.PtrAdd(table, at)
	scale, low := header(f.Group, b, at, i(0), 1, 1)
	return scaled(f.Group, b, decoded(f.Group, b, code, 0), scale, low)
}
