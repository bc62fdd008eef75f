package program

import (
	"errors"
	"fmt"
	"strings"
)

// LayoutKind says how the elements of a tensor follow each other.
type LayoutKind uint8

const (
	LayoutPlain   LayoutKind = iota // row-major
	LayoutPanels                    // a matrix as panels of 16 rows side by side, k by k
	LayoutRows                      // a matrix row by row
	LayoutColumns                   // a matrix k by k, every run of rows side by side, without padding
	layoutKinds
)

// Layout says how a tensor lies in the weights section. It is a value: equal layouts store a tensor in the same bytes.
// A plain layout has no other fields.
//
// A packed matrix has rows of Cols elements, which are the tensor's elements in their order. Run after run, rows are
// taken in turns by Split selections, which lie one behind the other: with Split 2 and Run 128, rows 0…127, 256…383, …
// lie together, and behind them the others.
type Layout struct {
	Kind       LayoutKind
	Transposed bool  // the columns are the tensor's outermost dimension, the rows all others
	KPack      uint8 // so many neighbors in k lie side by side: 1, or 2 (the VNNI layout)
	Split, Run int64
	Cols       int64
}

// String is the layout in error messages.
func (l Layout) String() string {
	if l.Kind == LayoutPlain {
		return "plain"
	}
	s := []string{fmt.Sprintf("layout %d", l.Kind)}
	if l.Kind < layoutKinds {
		s[0] = [...]string{"", "panels of 16", "rows", "columns"}[l.Kind]
	}
	if l.Transposed {
		s = append(s, "transposed")
	}
	s = append(s, fmt.Sprintf("of %dx%dx%d", l.Split, l.Run, l.Cols))
	if l.KPack > 1 {
		s = append(s, fmt.Sprintf("packed by %d of k", l.KPack))
	}
	return strings.Join(s, " ")
}

// validate checks a layout against the shape of its tensor.
func (l Layout) validate(shape []int64) error {
	if l.Kind == LayoutPlain {
		if l != (Layout{}) {
			return errors.New("a plain layout has fields of a packed one")
		}
		return nil
	}
	if l.Kind >= layoutKinds {
		return fmt.Errorf("unknown %v", l)
	}
	if l.KPack != 1 && l.KPack != 2 {
		return fmt.Errorf("layout %v: K is packed by %d, expected 1 or 2", l, l.KPack)
	}
	elements, ok := product(shape)
	if whole, fits := product([]int64{l.Split, l.Run, l.Cols}); !ok || !fits || elements%whole != 0 {
		return fmt.Errorf("layout %v does not fit the shape %v", l, shape)
	}
	if l.Transposed && (len(shape) < 2 || shape[0] != l.Cols) {
		return fmt.Errorf("layout %v of shape %v, expected an outermost dimension of %d", l, shape, l.Cols)
	}
	return nil
}

// product multiplies positive numbers; it reports whether they are such and the product fits.
func product(ns []int64) (int64, bool) {
	p := int64(1)
	for _, n := range ns {
		if n < 1 || p > maxElements/n {
			return 0, false
		}
		p *= n
	}
	return p, true
}

// maxElements bounds the elements of a tensor.
const maxElements = 1 << 48
