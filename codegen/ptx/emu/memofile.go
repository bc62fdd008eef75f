package emu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
)

// A file of a Memo is numbers of variable length, hashes and bytes, as the code below has them.

// Bytes returns what ReadMemo reads; nil where that would be what was read. Launches that were neither executed nor recalled are in
// it as long as the whole is not longer than most.
func (m *Memo) Bytes(most int) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.fresh {
		return nil
	}
	total := 0
	m.each(func(_ *sameReads, e *effect) {
		if e.used {
			total += e.size()
		}
	})
	var keys []sum
	for key := range m.ran {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b sum) int { return bytes.Compare(a[:], b[:]) })
	w := &memoWriter{}
	w.number(uint64(len(keys)))
	for _, key := range keys {
		w.out = append(w.out, key[:]...)
		list := m.ran[key].list
		w.number(uint64(len(list)))
		for _, s := range list {
			w.reads(s)
			var kept []sum
			for all, e := range s.results {
				if !e.used && total+e.size() > most {
					continue
				}
				if !e.used {
					total += e.size()
				}
				kept = append(kept, all)
			}
			w.number(uint64(len(kept)))
			for _, all := range kept {
				w.out = append(w.out, all[:]...)
				w.effect(s.results[all])
			}
		}
	}
	return w.out
}

// each calls f with all that is remembered.
func (m *Memo) each(f func(s *sameReads, e *effect)) {
	for _, same := range m.ran {
		for _, s := range same.list {
			for _, e := range s.results {
				f(s, e)
			}
		}
	}
}

// size is about what an effect takes in a file.
func (e *effect) size() int { return len(e.data) + 8*len(e.wrote) + 64 }

// memoWriter appends to a file of a Memo.
type memoWriter struct{ out []byte }

func (w *memoWriter) number(v uint64) { w.out = binary.AppendUvarint(w.out, v) }

func (w *memoWriter) stretches(list []stretch) {
	w.number(uint64(len(list)))
	at := uint64(0)
	for _, t := range list {
		w.number(t.at - at)
		w.number(uint64(t.n))
		at = t.at
	}
}

func (w *memoWriter) reads(s *sameReads) {
	w.number(uint64(len(s.buffers)))
	for _, b := range s.buffers {
		w.number(uint64(b.slot))
		w.number(uint64(b.size))
	}
	w.stretches(s.reads)
	w.number(uint64(len(s.short)))
	for short := range s.short {
		w.out = append(w.out, short[:]...)
	}
}

func (w *memoWriter) effect(e *effect) {
	w.number(uint64(e.stats.Instructions))
	w.number(uint64(e.stats.Conflicts))
	w.stretches(e.wrote)
	w.out = append(w.out, e.data...)
}

// ReadMemo returns what Bytes returned, whose memory it uses.
func ReadMemo(data []byte) (*Memo, error) {
	m, r := &Memo{ran: map[sum]*sameLaunches{}}, &memoReader{rest: data}
	for range r.count() {
		key, same := r.hash(), &sameLaunches{}
		for range r.count() {
			s := r.reads()
			for range r.count() {
				all := r.hash()
				s.results[all] = r.effect()
			}
			if len(s.results) > 0 {
				same.list = append(same.list, s)
			}
		}
		if len(same.list) > 0 {
			m.ran[key] = same
		}
	}
	if r.damaged || len(r.rest) > 0 {
		return nil, errors.New("what launches did is damaged")
	}
	return m, nil
}

// memoReader reads a file of a Memo. Behind its end are zeros.
type memoReader struct {
	rest    []byte
	damaged bool
}

func (r *memoReader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.rest, r.damaged = nil, true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// count is a number of things that are left, of a byte at least.
func (r *memoReader) count() int {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.rest, r.damaged = nil, true
		return 0
	}
	return int(n)
}

func (r *memoReader) bytes(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.rest, r.damaged = nil, true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *memoReader) hash() (h sum) {
	copy(h[:], r.bytes(len(h)))
	return h
}

func (r *memoReader) stretches() []stretch {
	list := make([]stretch, r.count())
	at := uint64(0)
	for i := range list {
		at += r.number()
		list[i] = stretch{at, int(r.number())}
	}
	return list
}

func (r *memoReader) reads() *sameReads {
	s := &sameReads{results: map[sum]*effect{}, short: map[sum]bool{}}
	for range r.count() {
		s.buffers = append(s.buffers, touchedBuffer{int(r.number()), int(r.number())})
	}
	s.reads = r.stretches()
	for range r.count() {
		s.short[r.hash()] = true
	}
	return s
}

func (r *memoReader) effect() *effect {
	e := &effect{stats: Stats{Instructions: int64(r.number()), Conflicts: int64(r.number())}}
	e.wrote = r.stretches()
	n := 0
	for _, t := range e.wrote {
		n += t.n
	}
	e.data = r.bytes(n)
	return e
}
