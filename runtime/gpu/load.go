package gpu

import (
	"context"
	"runtime"
	"sync"

	"pgc/runtime/program"
)

// loadBytes is the length of a piece in which weights are read from the file.
const loadBytes = 32 << 20

// loader brings weights onto the device: while one piece is on its way there, the next is read from the file. What is
// repacked first lies in a staging buffer on the device.
type loader struct {
	x           *Executor
	stream      Stream
	pieces      *ring
	staging     Address
	done, total int64
}

// load loads all weights; staging is the size of the largest that is repacked.
func (x *Executor) load(ctx context.Context, weights []byte, staging int64) (err error) {
	l := &loader{x: x}
	for _, w := range x.p.Loads {
		l.total += w.Bytes
	}
	if l.total == 0 {
		return nil
	}
	if l.stream, err = x.d.StreamCreate(); err != nil {
		return x.failed(err)
	}
	defer x.d.StreamDestroy(l.stream)
	if l.pieces, err = x.newRing(2, int(min(loadBytes, l.total))); err != nil {
		return err
	}
	defer l.pieces.close()
	if staging > 0 {
		if l.staging, err = x.alloc(staging); err != nil {
			return err
		}
	}
	for i := range x.p.Loads {
		if err := l.one(ctx, &x.p.Loads[i], weights); err != nil {
			x.d.StreamSynchronize(l.stream)
			return err
		}
	}
	if err := x.failed(x.d.StreamSynchronize(l.stream)); err != nil {
		return err
	}
	l.report(l.total)
	if staging > 0 {
		return x.free(l.staging)
	}
	return nil
}

// one copies a weight and queues the kernels that repack it.
func (l *loader) one(ctx context.Context, w *program.Load, weights []byte) error {
	x, to := l.x, l.x.weights+Address(w.To)
	if len(w.Launches) > 0 {
		to = l.staging
	}
	for rest := weights[w.Offset:][:w.Bytes]; len(rest) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, err := l.pieces.next()
		if err != nil {
			return x.failed(err)
		}
		n := min(len(s.data), len(rest))
		copyParallel(s.data[:n], rest)
		if err := x.failed(x.d.MemcpyHtoD(l.stream, to, s.data[:n])); err != nil {
			return err
		}
		if err := x.failed(s.used(l.stream)); err != nil {
			return err
		}
		rest, to = rest[n:], to+Address(n)
		l.report(l.done)
		l.done += int64(n)
	}
	for i := range w.Launches {
		launch := &w.Launches[i]
		tasks := launch.Tasks.Eval(nil)
		var params []uint64
		for j := range launch.Args {
			base := x.weights
			if launch.Args[j].Space == program.SpaceStaging {
				base = l.staging
			}
			params = append(params, uint64(base)+uint64(launch.Args[j].Offset))
		}
		if err := x.failed(x.d.LaunchKernel(l.stream, x.launch(launch.Kernel, tasks, append(params, uint64(tasks))))); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) report(done int64) {
	if l.x.options.Progress != nil {
		l.x.options.Progress("weights", done, l.total)
	}
}

// copyParallel copies to the whole of to from the beginning of from, on several threads where it is long: one does not
// keep up with a bus.
func copyParallel(to, from []byte) {
	const least = 4 << 20
	parts := max(1, min(runtime.GOMAXPROCS(0), 8, len(to)/least))
	each := (len(to) + parts - 1) / parts
	var all sync.WaitGroup
	for at := 0; at < len(to); at += each {
		all.Go(func() { copy(to[at:min(len(to), at+each)], from[at:]) })
	}
	all.Wait()
}
