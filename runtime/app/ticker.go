package app

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// ticker is a line on a terminal that says how far a batch is. It is standard error meanwhile: other lines take its
// place, and it comes again behind them.
type ticker struct {
	a      *App
	to     io.Writer // standard error
	about  string    // begins the number of requests: "of about " where a shard's is not known exactly
	total  int       // requests to answer, 0 where only the end will tell
	start  time.Time
	mu     sync.Mutex
	shown  time.Time
	done   int
	failed int
}

// newTicker begins, where standard error is a terminal that does not show the answers, too. It returns nil elsewhere.
func newTicker(a *App, out *answers, q *requests) *ticker {
	if !term.IsTerminal(int(os.Stderr.Fd())) || out.name == "-" && term.IsTerminal(int(os.Stdout.Fd())) {
		return nil
	}
	p := &ticker{a: a, to: a.Err, start: time.Now(), about: "of "}
	if q.total > 0 {
		if p.total = q.total; !q.part.Whole() {
			p.about, p.total = "of about ", q.total/q.part.Of
		}
		p.total = max(0, p.total-len(q.done))
	}
	a.Err = p
	return p
}

// step counts an answer, or a request that failed.
func (p *ticker) step(failed bool) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done++; failed {
		p.failed++
	}
	if time.Since(p.shown) < 100*time.Millisecond {
		return
	}
	p.shown = time.Now()
	passed := time.Since(p.start)
	text, rest := p.count(), ""
	if p.total >= p.done {
		text += fmt.Sprintf(" %s%d", p.about, p.total)
		rest = fmt.Sprintf(", %v left", time.Duration(float64(passed)/float64(p.done)*float64(p.total-p.done)).Round(time.Second))
	}
	fmt.Fprintf(p.to, "\r\x1b[K%s, %s%s", text, p.rate(passed), rest)
}

// count says how many there are.
func (p *ticker) count() string {
	if p.failed == 0 {
		return fmt.Sprint(p.done)
	}
	return fmt.Sprintf("%d (%d failed)", p.done, p.failed)
}

func (p *ticker) rate(passed time.Duration) string {
	return fmt.Sprintf("%.1f/s", float64(p.done)/max(passed.Seconds(), 1e-3))
}

// Write writes other lines.
func (p *ticker) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.shown.IsZero() {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
	p.shown = time.Time{}
	return p.to.Write(b)
}

// end leaves the number of answers and their rate.
func (p *ticker) end() {
	if p == nil {
		return
	}
	p.a.Err = p.to
	passed := time.Since(p.start)
	fmt.Fprintf(p.to, "\r\x1b[K%s answers in %v, %s\n", p.count(), passed.Round(100*time.Millisecond), p.rate(passed))
}
