package output

import (
	"context"
	"errors"
	"io"
	"os"
)

// Checked is standard output that remembers the first error, so that none is lost by who prints without looking.
type Checked struct {
	w      io.Writer
	err    error
	cancel func()
}

// Stdout returns this process's standard output.
func Stdout() *Checked { return &Checked{w: os.Stdout} }

// Cancels makes the first error end a context, by its cancel: no work is done for who cannot read of it.
func (c *Checked) Cancels(cancel func()) { c.cancel = cancel }

// Write implements io.Writer. After an error it writes nothing more.
func (c *Checked) Write(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.w.Write(b)
	if err != nil {
		c.err = &Error{"standard output", Cause(err)}
		if c.cancel != nil {
			c.cancel()
		}
	}
	return n, c.err
}

// Err returns the first error.
func (c *Checked) Err() error { return c.err }

// Finish returns the error of a command that printed to c: its own, else the first one of printing, which also is the
// reason of an end by Cancels.
func (c *Checked) Finish(err error) error {
	if err == nil || c.err != nil && errors.Is(err, context.Canceled) {
		err = c.err
	}
	return err
}
