package emu

// sharedBase is the address of the first byte of shared memory; a null pointer is none.
const sharedBase = 1024

// sharedMemory is a block's, with what races are found by: for every byte, who wrote and who read it last.
type sharedMemory struct {
	data  []byte
	wrote []access
	read  []access
}

// access is who touched a byte and when. Thread -1 is several of one warp.
type access struct {
	warp, thread     int32
	epoch, warpEpoch int32
}

// What access.warp is where it is not one warp.
const (
	nobody   = -1
	several  = -2
	onTheWay = -3 // an asynchronous copy will write
)

func newShared(n int) sharedMemory {
	s := sharedMemory{make([]byte, n), make([]access, n), make([]access, n)}
	for i := range n {
		s.wrote[i].warp, s.read[i].warp = nobody, nobody
	}
	return s
}

// before reports whether an access surely precedes what a thread of w does now: it is its own, or a barrier lies
// between.
func (a access) before(w *warp, lane int) bool {
	if a.warp == nobody || a.epoch != w.block.epoch {
		return true
	}
	return a.warp == int32(w.index) && (a.thread == int32(lane) || a.warpEpoch != w.epoch)
}

func (w *warp) now(lane int) access {
	return access{int32(w.index), int32(lane), w.block.epoch, w.epoch}
}

// within returns the index of an access to shared memory.
func (w *warp) within(lane int, at uint64, n int) int {
	i := int64(at) - sharedBase
	if i < 0 || i+int64(n) > int64(len(w.shared.data)) {
		trapf("thread %d accesses bytes %d to %d of shared memory, which has %d", w.thread(lane), i, i+int64(n), len(w.shared.data))
	}
	if at%uint64(n) != 0 {
		trapf("thread %d accesses %d bytes at address %#x of shared memory, which is not aligned", w.thread(lane), n, at)
	}
	return int(i)
}

// sharedRead returns n bytes of shared memory for reading.
func (w *warp) sharedRead(lane int, at uint64, n int) []byte {
	first := w.within(lane, at, n)
	for i := first; i < first+n; i++ {
		wrote, read := w.shared.wrote[i], &w.shared.read[i]
		switch {
		case wrote.warp == nobody:
			trapf("thread %d reads byte %d of shared memory, which was not written", w.thread(lane), i)
		case wrote.warp == onTheWay:
			trapf("thread %d reads byte %d of shared memory, where a copy is on its way", w.thread(lane), i)
		case !wrote.before(w, lane):
			trapf("thread %d reads byte %d of shared memory without a barrier after thread %d of warp %d wrote it", w.thread(lane), i, wrote.thread, wrote.warp)
		}
		mine := w.now(lane)
		if read.warp != nobody && read.epoch == mine.epoch {
			switch {
			case read.warp != mine.warp:
				mine.warp, mine.thread = several, -1
			case read.warpEpoch == mine.warpEpoch && read.thread != mine.thread:
				mine.thread = -1
			}
		}
		*read = mine
	}
	return w.shared.data[first : first+n]
}

// sharedWrite returns n bytes of shared memory for writing.
func (w *warp) sharedWrite(lane int, at uint64, n int) []byte {
	first := w.within(lane, at, n)
	for i := first; i < first+n; i++ {
		if a := w.shared.wrote[i]; a.warp == onTheWay {
			trapf("thread %d writes byte %d of shared memory, where a copy is on its way", w.thread(lane), i)
		} else if !a.before(w, lane) {
			trapf("thread %d writes byte %d of shared memory without a barrier after thread %d of warp %d wrote it", w.thread(lane), i, a.thread, a.warp)
		}
		if a := w.shared.read[i]; !a.before(w, lane) {
			trapf("thread %d writes byte %d of shared memory without a barrier after another one read it", w.thread(lane), i)
		}
		w.shared.wrote[i] = w.now(lane)
	}
	return w.shared.data[first : first+n]
}

// expect says that a copy to 16 bytes of shared memory is on its way, or no longer.
func (w *warp) expect(lane int, at uint64, who int32) {
	first := w.within(lane, at, 16)
	for i := first; i < first+16; i++ {
		w.shared.wrote[i].warp = who
	}
}

// conflicts counts how often threads of an instruction wait for each other because their words lie in one of the 32
// banks of 4 bytes. n bytes are accessed by `together` threads at a time; equal words are read once.
func (w *warp) conflicts(o *operand, mask uint32, n, together int) {
	for first := 0; first < warpSize; first += together {
		var addresses []uint64
		w.each(o, mask&uint32((1<<together-1)<<first), func(_ int, at uint64) { addresses = append(addresses, at) })
		w.stats.Conflicts += bankConflicts(addresses, n)
	}
}

// bankConflicts is the greatest number of different words in a bank, less one.
func bankConflicts(addresses []uint64, n int) int64 {
	var words [32][]uint64
	worst := 1
	for _, at := range addresses {
		for word := at / 4; word < (at+uint64(n))/4; word++ {
			bank := &words[word%32]
			known := false
			for _, other := range *bank {
				known = known || other == word
			}
			if !known {
				*bank = append(*bank, word)
				worst = max(worst, len(*bank))
			}
		}
	}
	return int64(worst - 1)
}
