package grammar

import (
	"slices"
	"strings"
)

// used are the objects of an answer so far, and where there can be no further one.
type used struct {
	labels map[[corners]int][]string // by place
	full   map[beginning]bool        // of places whose every label is used
	count  map[beginning]int         // of those that are full with one location more
	some   [corners + 1]bool         // whether any beginning of so many locations is full
}

// beginning is the first n locations of a place; the others are 0.
type beginning struct {
	n   int
	loc [corners]int
}

func begin(loc [corners]int, n int) beginning {
	b := beginning{n: n}
	copy(b.loc[:n], loc[:])
	return b
}

func newUsed() used {
	return used{labels: map[[corners]int][]string{}, full: map[beginning]bool{}, count: map[beginning]int{}}
}

// has reports whether the object is there. Labels that differ in white space around them are the same.
func (u *used) has(loc [corners]int, label string) bool {
	return slices.Contains(u.labels[loc], strings.TrimSpace(label))
}

// add adds an object of a task with so many labels, 0 for any number.
func (u *used) add(loc [corners]int, label string, labels int) {
	u.labels[loc] = append(u.labels[loc], strings.TrimSpace(label))
	if len(u.labels[loc]) != labels {
		return
	}
	u.full[begin(loc, corners)], u.some[corners] = true, true
	for n := corners - 1; n >= 0; n-- { // is the beginning full, too?
		b := begin(loc, n)
		if u.count[b]++; u.count[b] < bounds(loc, n).size() {
			return
		}
		u.full[b], u.some[n] = true, true
	}
}

// isFull reports whether no object may begin with n locations.
func (u *used) isFull(loc [corners]int, n int) bool { return u.some[n] && u.full[begin(loc, n)] }

// span is the values from first to last.
type span struct{ first, last int }

func (s span) size() int { return s.last - s.first + 1 }

// bounds are the values that location n of a place may have, whose first n are known: the far edges lie beyond the near
// ones, which leave room for that.
func bounds(loc [corners]int, n int) span {
	if n < corners/2 {
		return span{0, bins - 2}
	}
	return span{loc[n-corners/2] + 1, bins - 1}
}
