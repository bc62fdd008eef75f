package integrity

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"pgc/runtime/program"
)

// While the model computes on all processors the check rests after some blocks. A block takes about 0.1 ms, so it takes
// 2 % of one processor.
const (
	burst = 4
	pause = 20 * time.Millisecond
)

// errWhole ends a check that has found no damage.
var errWhole = errors.New("the weights are whole")

// Check compares the checksums of an executable's weights beside the work that reads them.
type Check struct {
	image    *program.Executable
	damaged  func(error)             // told of damage, unless nil
	progress func(done, total int64) // told of bytes done, unless nil
	ctx      context.Context         // done when the check has ended
	end      context.CancelCauseFunc // with errWhole, damage, or what Close was given

	next    atomic.Int64  // the first block that nobody has taken
	hurried chan struct{} // closed once somebody waits
	mu      sync.Mutex
	left    int // blocks that are not compared yet
	running sync.WaitGroup
}

// Start begins to check an executable, which must stay open until Close. It goes slowly while busy, and calls damaged
// when it has found damage.
func Start(m *program.Executable, busy func() bool, damaged func(error)) *Check {
	c := newCheck(m)
	c.damaged = damaged
	c.running.Go(func() { c.compare(busy) })
	return c
}

func newCheck(m *program.Executable) *Check {
	c := &Check{image: m, hurried: make(chan struct{}), left: m.Blocks()}
	c.ctx, c.end = context.WithCancelCause(context.Background())
	if c.left == 0 {
		c.end(errWhole)
	}
	return c
}

// Verify reads all weights and compares their checksums, whatever was remembered. progress, unless nil, is told how many
// bytes of how many are done. An error is program.ErrDamaged and names the tensors, or is that of ctx.
func Verify(ctx context.Context, m *program.Executable, progress func(done, total int64)) error {
	if err := m.CheckSections(); err != nil {
		return err
	}
	c := newCheck(m)
	c.progress = progress
	defer c.Close(context.Canceled)
	return c.Wait(ctx)
}

// Ensure is Verify unless this version of the executable was verified before.
func Ensure(ctx context.Context, m *program.Executable) error {
	if _, known := Known(m); known {
		return nil
	}
	return Verify(ctx, m, nil)
}

// EnsureFile is Ensure of the executable at a path.
func EnsureFile(ctx context.Context, path string) error {
	m, err := program.OpenFile(path)
	if err != nil {
		return err
	}
	defer m.Close()
	return Ensure(ctx, m)
}

// Wait checks what is left on all processors and returns nil once all weights were found whole, or the damage, or the
// error of ctx, or what Close was given.
func (c *Check) Wait(ctx context.Context) error {
	c.hurry()
	select {
	case <-c.ctx.Done():
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := context.Cause(c.ctx); err != errWhole {
		return err
	}
	return nil
}

// hurry starts goroutines, the first time it is called.
func (c *Check) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.hurried:
		return
	default:
		close(c.hurried)
	}
	for range min(runtime.GOMAXPROCS(0), c.left) {
		if c.ctx.Err() == nil {
			c.running.Go(func() { c.compare(nil) })
		}
	}
}

// Close ends the check. It returns when nothing of it runs any more.
func (c *Check) Close(cause error) {
	c.mu.Lock()
	c.end(cause)
	c.mu.Unlock()
	c.running.Wait()
}

// compare compares block after block until none is left or the check has ended.
func (c *Check) compare(busy func() bool) {
	for n := 1; c.ctx.Err() == nil; n++ {
		i := int(c.next.Add(1)) - 1
		if i >= c.image.Blocks() {
			return
		}
		if err := c.image.CheckBlock(c.ctx, i); err != nil {
			c.fail(err)
			return
		}
		c.compared()
		if busy == nil || n%burst > 0 || !busy() {
			continue
		}
		select {
		case <-time.After(pause):
		case <-c.hurried:
			busy = nil
		case <-c.ctx.Done():
		}
	}
}

// compared counts a block that is whole.
func (c *Check) compared() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left--
	if c.progress != nil {
		total := int64(len(c.image.Weights))
		c.progress(min(int64(c.image.Blocks()-c.left)*program.BlockBytes, total), total)
	}
	if c.left == 0 && c.ctx.Err() == nil {
		remember(c.image)
		c.end(errWhole)
	}
}

// fail ends the check with damage, unless it has ended.
func (c *Check) fail(err error) {
	if c.ctx.Err() != nil {
		return
	}
	forget(c.image)
	c.end(err)
	if c.damaged != nil {
		c.damaged(context.Cause(c.ctx))
	}
}
