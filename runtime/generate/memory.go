package generate

import (
	"pgc/runtime/entry"
	"pgc/runtime/manifest"
	"pgc/runtime/program"
)

// Memory is the memory that a run takes, by purpose. All of it is resident at the end of the run.
type Memory struct {
	Weights int64 `json:"weights_bytes"` // mapped from the file: the system can drop them and read them again
	KV      int64 `json:"kv_bytes"`      // of the tokens there are, not of the capacity
	Arena   int64 `json:"arena_bytes"`   // activations
	Rest    int64 `json:"rest_bytes"`    // the program, its tables, inputs and outputs
}

// Total returns the sum.
func (m Memory) Total() int64 { return m.Weights + m.KV + m.Arena + m.Rest }

// What a process takes whatever its model: the pages of the runtime's own code and data that a run touches, and Go's
// heap with an image of moderate size. Measured.
const (
	runtimeBytes = 9 << 20
	heapBytes    = 5 << 20
	// Of a GPU's driver, and what weights are copied through.
	driverBytes = 256 << 20
)

// Needs estimates the memory of a prompt of promptTokens and an answer that ends at so many tokens in all. mapped are
// the bytes of the file's sections other than runtime and weights: all are read, for their checksums, when it starts.
// threads are those that may compute, spare ones included.
func Needs(p *program.Program, m *manifest.Model, mapped int64, threads, promptTokens, tokens int) Memory {
	capacity := int64(m.MaxTokens)
	if p.Target.Kind == program.PTX { // the rest is in the memory of a GPU
		return Memory{Rest: runtimeBytes + heapBytes + mapped + driverBytes + int64(m.VocabSize*4+m.ImageSize*m.ImageSize*24)}
	}
	n := Memory{Weights: p.WeightBytes}
	n.KV = kvBytes(p, capacity, tokens)
	for i := range p.Funcs {
		need := p.Funcs[i].ArenaBytes
		name := entry.Plain(p.Funcs[i].Name)
		if name == entry.SeenFull || name == entry.SeenSliding || name == entry.Attend { // no answer runs them
			continue
		}
		if name == entry.Prefill || name == entry.Forward || name == entry.Embed { // touched as far as the prompt reaches
			need = need * int64(promptTokens) / capacity
		}
		n.Arena = max(n.Arena, need)
	}
	features, pixels, logits := promptTokens*m.HiddenSize*4, m.ImageSize*m.ImageSize*3*4, m.VocabSize*4
	kept := 0 // of the cache of features
	if p.Func(entry.Prefill) != nil {
		kept = min(features, DefaultImageCache)
	}
	n.Rest = runtimeBytes + heapBytes + mapped + int64(features+kept+2*pixels+logits) + p.ScratchBytes*int64(threads)
	return n
}

// kvBytes returns the bytes of the keys and values of so many tokens of one sequence, of capacity tokens in a batch
// slot.
func kvBytes(p *program.Program, capacity int64, tokens int) int64 {
	return p.SlotBytes() * int64(tokens) / capacity
}

// cache returns the bytes that so many tokens of a sequence take in the KV cache.
func (s *Session) cache(tokens int) int64 {
	return kvBytes(s.Engine.Program, int64(s.Model.MaxTokens), tokens)
}

// Memory estimates the memory of a prompt of promptTokens and an answer that ends at so many tokens in all.
func (s *Session) Memory(promptTokens, tokens int) Memory {
	return Needs(s.Engine.Program, s.Model, s.Mapped, s.Engine.MostThreads(), promptTokens, tokens)
}

// used is the memory that the runs of a session have made resident. It stays so, and the next runs use it again.
type used struct {
	arena, rest int64
	tokens      []int // how many tokens of each batch slot were written
}

// further returns the bytes that a run takes beyond what is resident, if its sequence ends at so many tokens in a batch
// slot. The weights are not counted: they can be dropped.
func (s *Session) further(run Memory, tokens, slot int) int64 {
	return max(0, run.Arena-s.used.arena) + max(0, run.Rest-s.used.rest) + s.cache(max(0, tokens-s.used.tokens[slot]))
}

// ran notes that a prompt of so many tokens was run in a batch slot.
func (s *Session) ran(promptTokens, slot int) {
	run := s.Memory(promptTokens, 0)
	s.used.arena, s.used.rest = max(s.used.arena, run.Arena), max(s.used.rest, run.Rest)
	s.wrote(promptTokens, slot)
}

// wrote notes how many tokens a batch slot holds.
func (s *Session) wrote(tokens, slot int) {
	s.used.tokens[slot] = max(s.used.tokens[slot], tokens)
}
