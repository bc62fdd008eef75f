// Package limits bounds what requests may take: places in the queue, memory, time, connections.
package limits

import (
	"maps"
	"math"
	"sync"
	"time"
)

// Gate bounds the answers that are under way and their bytes. Where several clients ask, none of them takes the last
// quarter of the places, so that those who ask seldom find one.
type Gate struct {
	mu        sync.Mutex
	clients   map[string]*client
	most      int   // answers, those that are computed and those that wait
	mostBytes int64 // of bodies and pictures
	answers   int
	bytes     int64
	ended     [64]time.Time // of the last answers that were complete, a ring
	next      int
}

// client is one who asks.
type client struct {
	answers int
	asked   time.Time // the last time
}

// A client is there for so long after it has asked; so many are remembered before those that are gone are forgotten.
const (
	present     = time.Minute
	mostClients = 1024
)

// NewGate returns a gate for most answers and mostBytes of their requests.
func NewGate(most int, mostBytes int64) *Gate {
	return &Gate{most: most, mostBytes: mostBytes, clients: map[string]*client{}}
}

// Widen sets the number of answers that may be under way.
func (g *Gate) Widen(most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.most = most
}

// Full reports whether not one more answer to a client may begin.
func (g *Gate) Full(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.room(g.client(name), 1)
}

// Enter takes places for n answers to a client, if there are so many.
func (g *Gate) Enter(name string, n int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.client(name)
	if !g.room(c, n) {
		return false
	}
	g.answers += n
	c.answers += n
	return true
}

// client notes that a client asks.
func (g *Gate) client(name string) *client {
	c := g.clients[name]
	if c == nil {
		if len(g.clients) >= mostClients {
			maps.DeleteFunc(g.clients, func(_ string, c *client) bool { return c.answers == 0 && time.Since(c.asked) > present })
		}
		c = &client{}
		g.clients[name] = c
	}
	c.asked = time.Now()
	return c
}

// room reports whether n more answers to a client may begin.
func (g *Gate) room(c *client, n int) bool {
	if g.answers+n > g.most {
		return false
	}
	if g.answers+n <= g.most-g.most/4 || c.answers+n <= g.most/4 {
		return true
	}
	for _, other := range g.clients {
		if other != c && time.Since(other.asked) < present {
			return false
		}
	}
	return true
}

// Leave gives n places of a client back; complete says whether there was an answer.
func (g *Gate) Leave(name string, n int, complete bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answers -= n
	if c := g.clients[name]; c != nil {
		c.answers -= n
	}
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
