package tokenizer

import "slices"

// Keep returns the tokenizer of a model that has only some of the tokens, those of kept, which is in order: token i is
// kept[i]. The others have numbers behind all of these, so that none is missing in a text.
func (t *Tokenizer) Keep(kept []int32) *Tokenizer {
	k := *t
	k.kept = kept
	return &k
}

// Number is the id of a token of the whole vocabulary.
func (t *Tokenizer) Number(id int32) int32 {
	if t.kept == nil {
		return id
	}
	i, ok := slices.BinarySearch(t.kept, id)
	if ok {
		return int32(i)
	}
	return int32(len(t.kept)) + id
}

// Original is the number that a token has in the whole vocabulary.
func (t *Tokenizer) Original(id int32) int32 {
	switch n := int32(len(t.kept)); {
	case t.kept == nil || id < 0:
		return id
	case id < n:
		return t.kept[id]
	default:
		return id - n
	}
}
