// Package schedule says how kernels are blocked, by family of CPUs. No result depends on it.
package schedule

import (
	"fmt"

	"pgc/ir/target"
)

// Class names the products that are blocked alike, by what their microkernel does.
type Class string

// Row is the schedule of a class of products on a family of CPUs; "" stands for every family without a row of its own
// whose vectors have so many lanes.
type Row struct {
	Class  Class
	Family string
	Lanes  int
	Product
}

// Product schedules products: of many rows (GEMM), of one (GEMV), and of two to eight, a batch decoded together.
type Product struct {
	Many Many
	One  One
	Few  Few
}

// Many is the schedule of many rows; the names are those of BLIS (Van Zee and van de Geijn 2015).
type Many struct {
	MR, Vecs int   // microkernel: rows and vectors of columns
	KC       int64 // units of k for which B's panel is kept in the first-level cache; whole groups
	NC       int64 // columns of a task, over all matrices
	MC       int64 // rows of a task
	// Pack copies KC of every row of A side by side first. Rows that lie a multiple of 4 KiB apart fall into one set of a
	// first-level cache; forms that convert A copy it anyway.
	Pack bool
}

// One is the schedule of one row.
type One struct {
	Side   int   // panels that a stream reads side by side, over all matrices
	Chains int   // sums of a vector of columns, so that no product waits for the one before
	Ahead  int64 // units before the stream needs them that B is asked for; 0 where the processor does it better
}

// Few is the schedule of two to eight rows.
type Few struct {
	MR, Vecs int // microkernel
	Side     int // panels that a stream reads side by side, over all matrices
	// Ahead is the distance in bytes at which a panel is asked for. Much work lies between two lines of a stream, so that
	// the processor, which looks ahead by instructions and not beyond a page, waits for each one: on Zen 5, 8 rows of int4
	// run at 14 GB/s without, at 20 with 2 KiB, and at 27, which the products take, from 8 KiB on.
	Ahead int64
}

// Attention is the schedule of attention on a family of CPUs.
type Attention struct {
	Family string
	Lanes  int
	MR     int // microkernel: keys for scores, elements of the head for values
	Vecs   int // and vectors of query rows
	Strips int // of so many vectors that a task has at most; they take each block of keys and values in turn
}

// Table holds the schedules of all classes. The first row for a family counts, then the first for its lanes.
type Table struct {
	Products   []Row
	Attentions []Attention
}

// Of returns the schedule of a class of products for a target.
func (t *Table) Of(c Class, cpu target.Target) Product {
	for _, family := range []string{cpu.Family, ""} {
		for _, r := range t.Products {
			if r.Class == c && r.Family == family && r.Lanes == cpu.Lanes {
				return r.Product
			}
		}
	}
	panic(fmt.Sprintf("schedule: no row for %s and %d lanes", c, cpu.Lanes))
}

// Attention returns the schedule of attention for a target.
func (t *Table) Attention(cpu target.Target) Attention {
	for _, family := range []string{cpu.Family, ""} {
		for _, r := range t.Attentions {
			if r.Family == family && r.Lanes == cpu.Lanes {
				return r
			}
		}
	}
	panic(fmt.Sprintf("schedule: no row for attention and %d lanes", cpu.Lanes))
}

// Same reports whether kernels for a and b, whose vectors have the same length, are scheduled alike. bf16 and integers say
// which products occur, of bfloat16 on both sides and of integers.
func (t *Table) Same(a, b target.Target, bf16, integers bool) bool {
	for _, r := range t.Products {
		if occurs := bf16 && r.Class.bf16() || integers && r.Class.integers() || r.Class.floats(); !occurs || r.Lanes != a.Lanes {
			continue
		}
		if t.Of(r.Class, a) != t.Of(r.Class, b) {
			return false
		}
	}
	x, y := t.Attention(a), t.Attention(b)
	x.Family, y.Family = "", ""
	return x == y
}

// With returns t with rows before its own.
func (t *Table) With(rows ...Row) *Table {
	return &Table{append(append([]Row{}, rows...), t.Products...), t.Attentions}
}
