package limits

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// Errors of ReadBody.
var (
	ErrTooLong = errors.New("the body is too long")
	ErrTooSlow = errors.New("the body came too slowly")
	ErrNoRoom  = errors.New("there is no room for the body")
)

// A body must come at slowest bytes a second, after a time of patience.
const slowest = 8 << 10

var patience = 15 * time.Second // tests have less

// piece is how much of a body is read, and taken from the gate, at a time.
const piece = 64 << 10

// ReadBody reads the body of a request, of most bytes at most, and takes its bytes from the gate as they come: taken is
// what is to be given back, with an error, too.
func ReadBody(w http.ResponseWriter, r *http.Request, most int64, g *Gate) (body []byte, taken int64, err error) {
	if r.ContentLength > most {
		return nil, 0, fmt.Errorf("%w: %d bytes, expected %d at most", ErrTooLong, r.ContentLength, most)
	}
	size := max(r.ContentLength, 0) + 1 // one more, to see the end
	control, begun := http.NewResponseController(w), time.Now()
	defer control.SetReadDeadline(time.Time{})
	for {
		if int64(len(body)) == taken {
			more := size - taken
			if more <= 0 { // its length is not known
				more = taken
			}
			more = max(piece, min(more, max(taken, 1<<20)))
			if !g.Take(more) {
				return nil, taken, ErrNoRoom
			}
			taken += more
			body = append(make([]byte, 0, taken), body...)
		}
		expected := begun.Add(patience + time.Duration(len(body))*time.Second/slowest)
		if err := control.SetReadDeadline(expected); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return nil, taken, err
		}
		n, err := r.Body.Read(body[len(body):min(cap(body), len(body)+piece)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > most:
			return nil, taken, fmt.Errorf("%w: expected %d bytes at most", ErrTooLong, most)
		case err == io.EOF:
			return body, taken, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, taken, fmt.Errorf("%w: %d bytes in %v", ErrTooSlow, len(body), time.Since(begun).Round(time.Second))
		case err != nil:
			return nil, taken, err
		}
	}
}

// Discard reads the body of a request that is refused, so that the client sees the answer: as fast as it must come.
func Discard(w http.ResponseWriter, r *http.Request, most int64) {
	if r.ContentLength > most {
		return
	}
	control := http.NewResponseController(w)
	if control.SetReadDeadline(time.Now().Add(patience)) == nil {
		defer control.SetReadDeadline(time.Time{})
	}
	io.CopyN(io.Discard, r.Body, most)
}
