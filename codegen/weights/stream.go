package weights

import (
	"runtime"
	"sync"

	"pgc/runtime/fault"
)

// window is how many bytes of a tensor are in memory behind the place that is being read, and how many are fetched
// ahead of it.
const window = 32 << 20

// cursor follows the reading of a tensor from its beginning to its end, or several times so.
type cursor struct {
	src        Source
	key        string
	bytes      int64
	begin, end int64 // what of the tensor is in memory or on its way
}

// at says that nothing before position at is needed any more, until a smaller position follows.
func (c *cursor) at(at int64) {
	if at < c.begin { // once more from the beginning
		c.src.Evict(c.key, c.begin, c.bytes)
		c.begin, c.end = at, at
	}
	if at-c.begin >= window || at == c.bytes {
		c.src.Evict(c.key, c.begin, at)
		c.begin = at
	}
	if ahead := min(at+window, c.bytes); ahead-c.end >= window/4 || ahead == c.bytes && ahead > c.end {
		c.src.Prefetch(c.key, max(c.end, at), ahead)
		c.end = ahead
	}
}

// inOrder makes n pieces on all processors and gives them to write in their order. fill appends a piece to a buffer
// that is used again; each processor has two. A fault on memory that fill reads is an error. It returns when nothing is
// being made any more.
func inOrder(n int, fill func(i int, buf []byte) []byte, write func(i int, piece []byte) error) error {
	workers := min(n, runtime.GOMAXPROCS(0))
	type made struct {
		piece []byte
		err   error // of reading mapped memory
	}
	type lane struct {
		empty chan []byte
		full  chan made
	}
	lanes := make([]lane, workers)
	var busy sync.WaitGroup
	for w := range lanes {
		l := lane{make(chan []byte, 2), make(chan made, 2)}
		l.empty <- nil
		l.empty <- nil
		lanes[w] = l
		busy.Go(func() {
			for i := w; i < n; i += workers {
				buf, ok := <-l.empty
				if !ok {
					return
				}
				var m made
				m.err = fault.Guard(func() error {
					m.piece = fill(i, buf[:0])
					return nil
				})
				l.full <- m
			}
		})
	}
	defer func() {
		for _, l := range lanes {
			close(l.empty)
		}
		busy.Wait()
	}()
	for i := range n {
		l := lanes[i%workers]
		m := <-l.full
		if m.err == nil {
			m.err = write(i, m.piece)
		}
		if m.err != nil {
			return m.err
		}
		l.empty <- m.piece
	}
	return nil
}
