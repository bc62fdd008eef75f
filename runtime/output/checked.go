package output

import (
	"io"
	"os"
)

// Checked is standard output that remembers the first error, so that none is lost by who prints without looking.
type Checked struct {
	w   io.Writer
	err error
}

// Stdout returns this process's standard output.
func Stdout() *Checked { return &Checked{w: os.Stdout} }

// Write implements io.Writer. After an error it writes nothing more.
func (c *Checked) Write(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.w.Write(b)
	if err != nil {
		c.err = &Error{"standard output", Cause(err)}
	}
	return n, c.err
}

// Err returns the first error.
func (c *Checked) Err() error { return c.err }

// Finish returns the error of a command that printed to c: its own, else the first one of printing.
func (c *Checked) Finish(err error) error {
	if err == nil {
		err = c.err
	}
	return err
}
