package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"iter"
	"sync"

	"pgc"
	"pgc/runtime/detect"
	"pgc/runtime/shard"
)

// requests are the requests of an input that are to be answered: those of a shard that are not answered yet.
type requests struct {
	*input
	part   shard.Part
	embeds bool           // whether embeddings are asked for
	done   map[string]int // the rows of those that were answered before

	rows    int       // of the input, so far
	own     int       // those of the shard
	skipped int       // those that were answered before
	ids     hash.Hash // of the input
	err     error     // why there is no further request; io.EOF at the end
}

// wanted reports whether a request is to be answered.
func (q *requests) wanted(id []byte) bool {
	_, done := q.done[string(id)]
	return !done && q.part.Has(id)
}

// next returns the next request to be answered and its row, or nil where err says why there is none.
func (q *requests) next() (r *batchRequest, row int) {
	for q.err == nil {
		if r, q.err = q.input.next(); q.err != nil {
			return nil, 0
		}
		row, q.rows = q.rows, q.rows+1
		fmt.Fprintf(q.ids, "%s\n", r.ID)
		if !q.part.Has(r.ID) {
			continue
		}
		q.own++
		before, done := q.done[string(r.ID)]
		if !done {
			return r, row
		}
		if q.skipped++; !q.part.Whole() && before != row {
			q.err = fmt.Errorf("request %s was number %d of the input, counted from 0, and is number %d now, expected the input that the shard was begun with (remove the shard to begin anew)", r.ID, before, row)
		}
	}
	return nil, 0
}

// record is what the last line of the shard says.
func (q *requests) record() shard.Record {
	return shard.Record{Index: q.part.Index, Of: q.part.Of, Rows: q.rows, Input: hex.EncodeToString(q.ids.Sum(nil)[:16])}
}

// newRequests returns the requests of a shard, before its input is open.
func newRequests(part shard.Part, done map[string]int) *requests {
	return &requests{part: part, done: done, ids: sha256.New()}
}

// tasks yields what is to be done, and puts its names into a queue. Consecutive requests share equal images.
func (q *requests) tasks(names *queue, al *album) iter.Seq[pgc.Task] {
	return func(yield func(pgc.Task) bool) {
		for r, row := q.next(); r != nil; r, row = q.next() {
			images, err := r.files, r.wrong
			if err == nil && images == nil {
				images, err = al.images(r.Images)
			}
			if err != nil {
				images = []pgc.Image{pgc.Lazy("", func(context.Context) ([]byte, error) { return nil, err })}
			}
			n := named{id: r.ID, row: row}
			if len(r.Images) > 0 {
				n.image = shortened(r.Images[0])
			}
			names.push(n)
			if !yield(r.work(images, q.embeds)) {
				return
			}
		}
	}
}

// work is what the request asks of its images.
func (r *batchRequest) work(images []pgc.Image, embeds bool) pgc.Task {
	switch {
	case r.Query != nil:
		return pgc.EmbedRequest{Queries: []string{*r.Query}, Adapter: r.Adapter}
	case embeds:
		return pgc.EmbedRequest{Images: images, Adapter: r.Adapter}
	case r.detects():
		return pgc.DetectRequest{Image: images[0], Classes: r.Classes, Segment: r.Task == detect.Segment, Adapter: r.Adapter, DetectSettings: r.found}
	}
	return pgc.Request{Images: images, Prompt: r.Prompt, Suffix: r.Suffix, Settings: pgc.Settings(r.settings)}
}

// named is a request's id, its row in the input, and the name of its first picture.
type named struct {
	id    json.RawMessage
	row   int
	image string
}

// queue is the requests whose answers are to come, by their number.
type queue struct {
	mu   sync.Mutex
	next int
	by   map[int]named
}

func (q *queue) push(r named) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.by == nil {
		q.by = map[int]named{}
	}
	q.by[q.next] = r
	q.next++
}

// take removes the request with a number.
func (q *queue) take(number int) named {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.by[number]
	delete(q.by, number)
	return r
}
