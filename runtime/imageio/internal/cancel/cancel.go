// Package cancel ends decoders that know no context: they read.
package cancel

import (
	"bytes"
	"context"
	"io"
)

// Reader reads data until ctx ends; then it fails with ctx's error.
func Reader(ctx context.Context, data []byte) io.Reader { return &reader{ctx, bytes.NewReader(data)} }

type reader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (r *reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}
