package pgc

import (
	"context"
	"errors"
	"image"
	"sync/atomic"
	"time"

	"pgc/runtime/native"
	"pgc/runtime/rgb"
)

// seen is the images of a request as the model sees them.
type seen struct {
	images []*rgb.Image  // of the model's size
	first  image.Point   // size of the first image before that
	took   time.Duration // to resize them
}

// see decodes the images of a request and resizes them, on its caller's time.
func (m *Model) see(ctx context.Context, images []Image) (s seen, err error) {
	if len(images) == 0 {
		return s, errors.New("the request has no image, expected at least one")
	}
	for n, i := range images {
		f, err := m.fit(ctx, i)
		if err != nil {
			return s, err
		}
		if n == 0 {
			s.first = f.size
		}
		s.images, s.took = append(s.images, f.image), s.took+f.took
	}
	return s, nil
}

// Fit decodes an image and returns one that holds no more than what the model sees of it, so that a service can queue
// requests within little memory. Answers about it are those about the image; it cannot be drawn on.
func (m *Model) Fit(ctx context.Context, i Image) (Image, error) {
	if err := m.generates(); err != nil {
		return Image{}, err
	}
	f, err := m.fit(ctx, i)
	if err != nil {
		return Image{}, err
	}
	out := newImage(func(context.Context) (*rgb.Image, error) {
		return nil, errors.New("the image was fitted to the model and has lost its own pixels: expected the one that it was made from")
	})
	f.took = 0
	out.source.fitted = &f
	return out, nil
}

// fit decodes an image and resizes it.
func (m *Model) fit(ctx context.Context, i Image) (f fitted, err error) {
	err = m.room.work(ctx, m.Load, func() (err error) {
		f, err = i.fit(ctx, m.scheduler.Fit)
		return err
	})
	return f, err
}

// room is where work waits that lacks memory.
type room struct {
	turn  chan struct{} // holds one while somebody waits
	doing atomic.Int64  // how many work
}

func newRoom() room { return room{turn: make(chan struct{}, 1)} }

// retry is how long to wait before memory is looked for again.
const retry = 20 * time.Millisecond

// work does something that takes memory. Where there is too little while others work or the model's requests hold some, it
// waits for them and does it again, before all that comes later.
func (r *room) work(ctx context.Context, load func() Load, do func() error) error {
	waits := false
	for {
		if !waits { // behind who waits already
			select {
			case r.turn <- struct{}{}:
				<-r.turn
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		l := load()
		others := l.Running > 0 || l.Waiting > 0 || r.doing.Load() > 0
		r.doing.Add(1)
		err := do()
		r.doing.Add(-1)
		if !errors.Is(err, native.ErrMemory) || !others {
			return err
		}
		if !waits {
			select {
			case r.turn <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			defer func() { <-r.turn }()
			waits = true
		}
		select {
		case <-time.After(retry):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
