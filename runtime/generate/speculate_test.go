package generate

import (
	"slices"
	"testing"
)

func TestLookup(t *testing.T) {
	for _, c := range []struct {
		h    []int32
		text int
		want []int32
	}{
		{nil, 0, nil},
		{[]int32{1}, 0, nil},
		{[]int32{1, 2, 3}, 0, nil},
		{[]int32{1, 2, 3, 2}, 0, nil},                                         // one token is too few
		{[]int32{1, 2, 3, 1, 2}, 0, []int32{3, 1, 2, 3, 1}},                   // it repeats itself
		{[]int32{7, 7, 7}, 0, []int32{7, 7, 7, 7, 7}},                         // so does one token
		{[]int32{1, 2, 3, 1, 2}, 1, nil},                                      // the place is no text
		{[]int32{1, 2, 3, 4, 1, 2, 5, 6, 1, 2}, 0, []int32{5, 6, 1, 2, 5}},    // the latest place
		{[]int32{9, 1, 2, 3, 8, 1, 2, 5, 9, 1, 2}, 0, []int32{3, 8, 1, 2, 5}}, // one that more tokens agree with
	} {
		if got, _ := lookup(c.h, c.text, 5); !slices.Equal(got, c.want) {
			t.Errorf("%v from %d on: %v, expected %v", c.h, c.text, got, c.want)
		}
	}
}
