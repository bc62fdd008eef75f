package detect

import (
	"cmp"
	"slices"

	"pgc/runtime/boxes"
)

// Suppress returns which of some objects to keep. Of two with the same label whose boxes overlap by more than most, an
// intersection over union, the better one stays: the one with the higher score or, of equals, the earlier one. A nil
// scores are equal scores.
func Suppress(found []boxes.Box, scores []float64, most float64) (keep []bool) {
	keep = make([]bool, len(found))
	kept := map[string][]int{}
	for _, i := range ranked(len(found), scores) {
		label := found[i].Label
		if slices.ContainsFunc(kept[label], func(j int) bool { return IoU(found[i].Loc, found[j].Loc) > most }) {
			continue
		}
		keep[i] = true
		kept[label] = append(kept[label], i)
	}
	return keep
}

// Best returns which of n objects are the most that have the highest scores.
func Best(n int, scores []float64, most int) (keep []bool) {
	keep = make([]bool, n)
	for _, i := range ranked(n, scores)[:min(n, most)] {
		keep[i] = true
	}
	return keep
}

// ranked returns 0…n-1, the highest score first, equals in order.
func ranked(n int, scores []float64) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	if scores != nil {
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	}
	return order
}

// IoU is the intersection over union of two boxes y0, x0, y1, x1, whatever the scale of either axis.
func IoU(a, b [4]int) float64 {
	area := func(y0, x0, y1, x1 int) int { return max(y1-y0, 0) * max(x1-x0, 0) }
	common := area(max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
	all := area(a[0], a[1], a[2], a[3]) + area(b[0], b[1], b[2], b[3]) - common
	if all == 0 {
		return 0
	}
	return float64(common) / float64(all)
}
