package limits

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sync/semaphore"
)

// Decoding bounds how many pictures are decoded at a time, and the memory that decoders take.
type Decoding struct {
	turns  chan struct{}
	memory *semaphore.Weighted
	most   int64
}

// NewDecoding returns bounds of most bytes.
func NewDecoding(most int64) *Decoding {
	return &Decoding{turns: make(chan struct{}, max(2, runtime.GOMAXPROCS(0))), memory: semaphore.NewWeighted(most), most: most}
}

// TooLarge says that a picture alone would take more memory than all may.
type TooLarge struct{ error }

// Do decodes a picture. decode gets the function that it asks for memory: each time for all that it needs from then on.
func (d *Decoding) Do(ctx context.Context, decode func(memory func(need int64, what string) error) error) error {
	select {
	case d.turns <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-d.turns }()
	taken := int64(0)
	defer func() { d.memory.Release(taken) }()
	return decode(func(need int64, what string) error {
		if need > d.most {
			return TooLarge{fmt.Errorf("%s needs %d MiB of memory to be decoded, expected %d MiB at most", what, need>>20, d.most>>20)}
		}
		d.memory.Release(taken)
		taken = 0
		if err := d.memory.Acquire(ctx, need); err != nil {
			return err
		}
		taken = need
		return nil
	})
}
