// Package tokenizer converts text to token ids and back exactly as Hugging Face's tokenizers library does for the
// byte-pair encoders of Gemma and Gemma 2, and lays out PaliGemma's prompts as transformers' processor does.
//
// A tokenizer.json is parsed once, when a checkpoint is compiled, into a compact form of flat, precomputed tables
// (Parse). An executable uses these in place from its mapped file (Load): start-up parses nothing and allocates nothing
// per token.
package tokenizer

import (
	"math/bits"
)

// Tokenizer is a byte-pair encoder over flat tables. The bytes it was loaded from stay referenced and must not change.
// It may be used from several goroutines at once.
type Tokenizer struct {
	vocab      int
	offsets    []byte // u32 [vocab+1]: where a token's text begins in text
	flags      []byte // [vocab]: flagModel …
	text       []byte
	pieces     []byte // u32 [slots]: hash table by text of id+1, 0 is free
	pieceProbe int    // the longest search in pieces
	merges     []byte // u64 [slots]: hash table by pair of left, right and rank+1 (pairKey); 0 is free
	merged     []byte // u32 [merges]: the id that the merge of a rank gives
	mergeProbe int
	raw        patterns // added tokens found in the text as given
	normalized patterns // added tokens found in normalized text
	normalizer []replacement
	decoder    []replacement

	kept []int32 // what ids are where only some tokens are kept; nil for all

	unk          int32 // or -1
	fuseUnk      bool
	byteFallback bool
	decodeBytes  bool       // <0x41> decodes to the byte 0x41
	ascii        [128]int32 // ids of single characters, or -1
	bytes        [256]int32 // ids of <0x00>…<0xFF>, or -1
}

// Flags of a token.
const (
	flagModel   = 1 << iota // the byte-pair encoder can produce it; other tokens are only added ones
	flagSpecial             // declared special, such as <eos>
	flagSkip                // left out by Decode with skipSpecial
)

// replacement is a rule of the normalizer or decoder: every old becomes new.
type replacement struct{ old, new string }

// VocabSize returns one more than the largest id, added tokens included.
func (t *Tokenizer) VocabSize() int { return len(t.kept) + t.vocab }

// Token returns the text of a token as the vocabulary writes it ("▁cat", "<0x0A>", "<eos>"), or "" for an id that has
// none.
func (t *Tokenizer) Token(id int32) string {
	if id = t.Original(id); id < 0 || int(id) >= t.vocab {
		return ""
	}
	return string(t.content(id))
}

// ID returns the id of a token's text.
func (t *Tokenizer) ID(token string) (id int32, ok bool) {
	if id, ok = t.lookup(token, 0); ok {
		id = t.Number(id)
	}
	return id, ok
}

// content returns the text of an id within the vocabulary.
func (t *Tokenizer) content(id int32) []byte {
	return t.text[u32(t.offsets, int(id)):u32(t.offsets, int(id)+1)]
}

// lookup finds the token of a text that has all the flags asked for.
func (t *Tokenizer) lookup(token string, flags byte) (int32, bool) {
	slots := len(t.pieces) / 4
	if slots == 0 || token == "" {
		return 0, false
	}
	at := slot(textHash(token), slots)
	for range t.pieceProbe {
		v := u32(t.pieces, at)
		if v == 0 || int(v) > t.vocab {
			return 0, false
		}
		id := int32(v - 1)
		if string(t.content(id)) == token {
			return id, t.flags[id]&flags == flags
		}
		if at++; at == slots {
			at = 0
		}
	}
	return 0, false
}

// merge returns the rank of a pair's merge and the id it becomes.
func (t *Tokenizer) merge(left, right int32) (rank uint32, id int32, ok bool) {
	slots, key := len(t.merges)/8, pairKey(left, right)
	if slots == 0 {
		return 0, 0, false
	}
	at := slot(mix(key), slots)
	for range t.mergeProbe {
		e := le.Uint64(t.merges[8*at:])
		if e == 0 {
			return 0, 0, false
		}
		if e&^maxMerges == key {
			rank := uint32(e&maxMerges) - 1
			if int64(rank) >= int64(len(t.merged)/4) {
				return 0, 0, false
			}
			id := u32(t.merged, int(rank))
			return rank, int32(id), int(id) < t.vocab
		}
		if at++; at == slots {
			at = 0
		}
	}
	return 0, 0, false
}

// textHash returns 64-bit FNV-1a with a final mix, so that its high bits depend on every byte.
func textHash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// Bounds of a vocabulary: two ids and a rank fit in 64 bits.
const (
	idBits    = 21
	rankBits  = 22
	maxVocab  = 1 << idBits
	maxMerges = 1<<rankBits - 1
)

// pairKey returns the entry of a pair in the table of merges, without rank+1 in the low bits.
func pairKey(left, right int32) uint64 {
	return uint64(left)<<(idBits+rankBits) | uint64(right)<<rankBits
}

func mix(h uint64) uint64 {
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return h ^ h>>29
}

// slot maps a hash evenly to [0, slots).
func slot(h uint64, slots int) int {
	hi, _ := bits.Mul64(h*0xd6e8feb86659fd93, uint64(slots))
	return int(hi)
}
