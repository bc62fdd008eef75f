package imageio

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// countdown is a context that ends when it has been asked a number of times.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestCancel ends the decoders in the middle of their work.
func TestCancel(t *testing.T) {
	for _, name := range []string{"q90-420.jpg", "q90-420-progressive.jpg", "tiles.tiff", "c2-d16.png", "animated.gif", "lossless.webp"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		asked := &countdown{context.Background(), 1 << 30}
		if _, err := Decode(asked, name, data, DefaultLimits); err != nil {
			t.Fatal(err)
		}
		times := 1<<30 - asked.left
		if _, err := Decode(&countdown{context.Background(), times / 2}, name, data, DefaultLimits); err != context.Canceled {
			t.Errorf("%s, ended in the middle: %v", name, err)
		}
		if rows := 4; filepath.Ext(name) == ".jpg" && times < rows {
			t.Errorf("%s asks %d times, expected once for every row of blocks", name, times)
		}
	}
}

// TestCancelRead ends the wait for a file that nobody writes.
func TestCancelRead(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := Read(ctx, fifo, DefaultLimits); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, expected the end of the context", err)
	}
	f, err := os.OpenFile(fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0) // lets the reader end
	if err == nil {
		f.Close()
	}
}
