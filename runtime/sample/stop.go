package sample

import "strings"

// Stopper finds stop texts in text that comes in parts, even across their borders.
type Stopper struct {
	stops   []string
	held    string // the end of the text so far, which a stop text may begin with
	matched string // the stop text that was found
}

// NewStopper returns a stopper at the beginning of a text. Empty stop texts are ignored.
func NewStopper(stops []string) *Stopper {
	s := &Stopper{}
	for _, stop := range stops {
		if stop != "" {
			s.stops = append(s.stops, stop)
		}
	}
	return s
}

// Push adds the next part of the text. It returns the text that certainly precedes any stop text, and whether a stop
// text is complete. The stop text that ends first counts, however the text is cut into parts, and the longest of those
// that end together. Neither it nor what follows is ever returned.
func (s *Stopper) Push(part string) (text string, stopped bool) {
	if s.matched != "" {
		return "", true
	}
	all := s.held + part
	end := len(all) + 1
	for _, stop := range s.stops {
		at := strings.Index(all, stop)
		if at < 0 {
			continue
		}
		if e := at + len(stop); e < end || e == end && len(stop) > len(s.matched) {
			end, s.matched = e, stop
		}
	}
	if s.matched != "" {
		s.held = ""
		return all[:end-len(s.matched)], true
	}
	keep := 0
	for _, stop := range s.stops {
		for n := min(len(stop)-1, len(all)); n > keep; n-- {
			if strings.HasSuffix(all, stop[:n]) {
				keep = n
			}
		}
	}
	s.held = all[len(all)-keep:]
	return all[:len(all)-keep], false
}

// Flush returns the text held back, at the end of a text without a stop text.
func (s *Stopper) Flush() string {
	held := s.held
	s.held = ""
	return held
}
