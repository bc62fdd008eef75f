package cli

import (
	"errors"
	"fmt"
	"strings"
)

// suggest adds what may be meant to an error about a word.
func suggest(text, word string, known []string) error {
	var close []string
	for _, k := range known {
		if strings.HasPrefix(k, word) || distance(k, word) <= 2 {
			close = append(close, fmt.Sprintf("%q", k))
		}
	}
	switch len(close) {
	case 0:
		return errors.New(text)
	case 1:
		return fmt.Errorf("%s, did you mean %s?", text, close[0])
	}
	return fmt.Errorf("%s, did you mean one of %s?", text, strings.Join(close, ", "))
}

// distance is the number of characters to insert, remove or change to make one text of another.
func distance(a, b string) int {
	to := []rune(b)
	row := make([]int, len(to)+1) // row[j] is the distance of what was read of a to the first j characters of b
	for j := range row {
		row[j] = j
	}
	for _, c := range a {
		diagonal := row[0]
		row[0]++
		for j, d := range to {
			change := diagonal
			if c != d {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(to)]
}
