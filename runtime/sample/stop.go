package sample

import "strings"

// Stopper looks for stop texts in text that comes in parts, also where they begin in one part and end in another.
type Stopper struct {
	stops   []string
	held    string // the end of the text so far, which could be the begin of a stop text
	matched string
}

// NewStopper returns a stopper at the begin of a text. Empty stop texts are left out.
func NewStopper(stops []string) *Stopper {
	s := &Stopper{}
	for _, stop := range stops {
		if stop != "" {
			s.stops = append(s.stops, stop)
		}
	}
	return s
}

// Push takes the next part of the text and returns what certainly stands before any stop text, and whether a stop text
// is complete. The one that is complete first counts, however the text is cut into parts, and of those that end at the
// same place the longest; neither it nor what follows is returned, now or later.
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

// Flush returns what was held back, at the end of a text without a stop text.
func (s *Stopper) Flush() string {
	held := s.held
	s.held = ""
	return held
}

// Matched returns the stop text that was found, or "".
func (s *Stopper) Matched() string { return s.matched }
