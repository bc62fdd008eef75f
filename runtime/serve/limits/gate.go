// Package limits bounds what requests may take: places in the queue, memory, time, connections.
package limits

import (
	"math"
	"sync"
	"time"
)

// Gate bounds the answers that are under way and their bytes.
type Gate struct {
	mu        sync.Mutex
	most      int   // answers, those that are computed and those that wait
	mostBytes int64 // of bodies and pictures
	answers   int
	bytes     int64
	ended     [64]time.Time // of the last answers that were complete, a ring
	next      int
}

// NewGate returns a gate for most answers and mostBytes of their requests.
func NewGate(most int, mostBytes int64) *Gate { return &Gate{most: most, mostBytes: mostBytes} }

// Widen sets the number of answers that may be under way.
func (g *Gate) Widen(most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.most = most
}

// Full reports whether not one more answer may begin.
func (g *Gate) Full() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.answers >= g.most
}

// Enter takes places for n answers, if there are so many.
func (g *Gate) Enter(n int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.answers+n > g.most {
		return false
	}
	g.answers += n
	return true
}

// Leave gives n places back; complete says whether there was an answer.
func (g *Gate) Leave(n int, complete bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answers -= n
	if complete {
		for range n {
			g.ended[g.next%len(g.ended)] = time.Now()
			g.next++
		}
	}
}

// Take takes bytes, if there are so many.
func (g *Gate) Take(bytes int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.bytes+bytes > g.mostBytes {
		return false
	}
	g.bytes += bytes
	return true
}

// Give gives bytes back.
func (g *Gate) Give(bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bytes -= bytes
}

// Load returns how many answers are under way, and the bytes of their requests.
func (g *Gate) Load() (answers int, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.answers, g.bytes
}

// Bounds of RetryAfter, in seconds.
const leastWait, mostWait = 1, 60

// RetryAfter estimates in how many seconds half of what waits will have been answered, by the rate of the last
// answers.
func (g *Gate) RetryAfter() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(g.next, len(g.ended))
	if n < 2 {
		return leastWait
	}
	oldest := g.ended[0]
	if g.next > len(g.ended) {
		oldest = g.ended[g.next%len(g.ended)]
	}
	each := time.Since(oldest).Seconds() / float64(n)
	return min(max(int(math.Ceil(each*float64(g.answers)/2)), leastWait), mostWait)
}
