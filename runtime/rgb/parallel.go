package rgb

import (
	"runtime"
	"sync"
)

// Parallel splits 0…n into one contiguous part per processor and waits for all. The parts must not depend on each
// other. A panic in one is raised again here.
func Parallel(n int, part func(lo, hi int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	if workers <= 1 {
		part(0, n)
		return
	}
	var wg sync.WaitGroup
	panics := make(chan any, workers)
	for w := range workers {
		wg.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					panics <- r
				}
			}()
			part(n*w/workers, n*(w+1)/workers)
		})
	}
	wg.Wait()
	select {
	case r := <-panics:
		panic(r)
	default:
	}
}
