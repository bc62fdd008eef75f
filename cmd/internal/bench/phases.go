package bench

import "pgc/runtime/engine"

// phase is a function as generation calls it.
type phase struct {
	name string
	syms map[string]int
	runs int // how often to time it
}

// phases are the steps of an answer to a prompt of n tokens that begin with those of a picture.
func phases(n, imageTokens int) []phase {
	return []phase{
		{"encode_image", nil, 3},
		{"prefill", map[string]int{"S": n, "T": n, "past": 0, "prefix": n, "F": imageTokens}, 3},
		{"decode", map[string]int{"S": 1, "T": n + 1, "past": n, "prefix": n}, 10},
	}
}

// prepare gives an engine such a prompt.
func prepare(e *engine.Engine, n, imageTokens int) {
	ids, slots := e.Ints("ids"), e.Ints("slots")
	for i := range n {
		ids[i], slots[i] = int32(5+i%7), -1
		if i < imageTokens {
			slots[i] = int32(i)
		}
	}
}
