package limits

import "sync"

// Group counts what is under way.
type Group struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when nothing is under way; nil until somebody asks
}

// Enter adds one.
func (g *Group) Enter() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n++
}

// Leave removes one.
func (g *Group) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n--
	g.end()
}

// Idle returns a channel that is closed when nothing is under way for the first time from now on. It may be called once.
func (g *Group) Idle() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.idle = make(chan struct{})
	idle := g.idle
	g.end()
	return idle
}

func (g *Group) end() {
	if g.n == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}
