package emu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// launch is a grid in progress.
type launch struct {
	Launch
	program   *program
	blocks    int
	threads   int // of a block
	dynamic   int // shared address of dynamic shared memory
	extents   []extent
	params    []byte
	constants []*lanes
	variable  map[*variable]*Memory

	mu        sync.Mutex
	changed   sync.Cond
	next      int // block to start
	holder    int // block whose turn it is to do strong operations and to be merged
	turns     int // passed on by spinning blocks since something changed
	ended     []*endedBlock
	merged    []bool
	done      int
	found     []blockFinding
	limit     atomic.Int64 // blocks behind it need not run
	table     table
	group     sync.WaitGroup
	stats     Stats
	crashed   any
	recording *recording
}

// endedBlock is a block that waits to be merged.
type endedBlock struct {
	b        *block
	segments []*segment
}

// blockFinding is a finding and the block that it was found in.
type blockFinding struct {
	*Finding
	block int
}

// Run executes a launch. Findings are a *Finding.
func (m *Module) Run(req Launch) (Stats, error) {
	l := &launch{Launch: req, table: table{pages: map[uint64]*tablePage{}, published: map[uint64]publication{}}}
	l.changed.L = &l.mu
	if l.Device == nil {
		l.Device = NewDevice()
		for _, b := range l.Buffers {
			l.Device.append(b)
		}
	}
	if l.recall(m) {
		return l.stats, nil
	}
	p, err := m.program(req.Entry)
	if err != nil {
		return Stats{}, err
	}
	l.program = p
	if err := l.prepare(m); err != nil {
		return Stats{}, fmt.Errorf("entry %s: %w", req.Entry, err)
	}
	l.record()
	workers := l.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	l.limit.Store(math.MaxInt64)
	l.ended, l.merged = make([]*endedBlock, l.blocks), make([]bool, l.blocks)
	for range min(workers, l.blocks) {
		l.group.Add(1)
		go l.work(false)
	}
	l.group.Wait()
	if l.crashed != nil {
		panic(l.crashed)
	}
	if f := l.worst(); f != nil {
		return l.stats, f
	}
	l.remember()
	l.table.free()
	return l.stats, nil
}

// prepare checks the dimensions and lays out arguments and constants.
func (l *launch) prepare(m *Module) error {
	p := l.program
	if l.Blocks > 0 {
		l.Grid = [3]int{int(l.Blocks)}
	}
	for i := range 3 {
		l.Grid[i] = max(l.Grid[i], 1)
	}
	if l.Block[0] == 0 {
		if p.fn.threads[0] == 0 {
			return errors.New("the text does not say how many threads a block has, and neither does the launch")
		}
		l.Block = p.fn.threads
	}
	for i := range 3 {
		l.Block[i] = max(l.Block[i], 1)
	}
	l.blocks, l.threads = l.Grid[0]*l.Grid[1]*l.Grid[2], l.Block[0]*l.Block[1]*l.Block[2]
	if l.threads > 1024 {
		return fmt.Errorf("a block of %d threads; at most 1024 fit", l.threads)
	}
	if most := p.fn.threads; most[0] > 0 {
		if p.fn.exact && l.Block != most {
			return fmt.Errorf("a block of %d×%d×%d threads; .reqntid demands %d×%d×%d", l.Block[0], l.Block[1], l.Block[2], most[0], most[1], most[2])
		}
		if n := most[0] * most[1] * most[2]; l.threads > n {
			return fmt.Errorf("a block of %d threads; .maxntid allows %d", l.threads, n)
		}
	}
	if l.Shared < 0 || p.shared+l.Shared > 227<<10 {
		return fmt.Errorf("%d bytes of shared memory; a block has at most %d", p.shared+l.Shared, 227<<10)
	}
	if err := l.Device.Load(m); err != nil {
		return err
	}
	l.variable = l.Device.modules[m]
	l.placeDynamic()
	if err := l.arguments(p.params, p.paramBytes); err != nil {
		return err
	}
	for _, c := range p.constants {
		v := c.value
		switch c.kind {
		case memoryAt:
			mem := l.variable[c.v]
			if mem == nil {
				return fmt.Errorf("%s is declared and not defined", c.v.name)
			}
			v += l.Device.Add(mem)
		case dynamicAt:
			v += uint64(l.dynamic)
		case specialReg:
			l.constants = append(l.constants, nil)
			continue
		}
		l.constants = append(l.constants, broadcast(v))
	}
	return nil
}

func broadcast(v uint64) *lanes {
	var out lanes
	for i := range out {
		out[i] = v
	}
	return &out
}

// arguments fills the parameter buffer, of n bytes.
func (l *launch) arguments(params []Param, n int) error {
	l.params = make([]byte, roundUp(n, 8))
	if l.Params != nil {
		if len(l.Params) != n {
			return fmt.Errorf("%d bytes of parameters, expected %d", len(l.Params), n)
		}
		copy(l.params, l.Params)
		return nil
	}
	if len(l.Args) != len(params) {
		return fmt.Errorf("%d arguments for %d parameters", len(l.Args), len(params))
	}
	for i, a := range l.Args {
		par := params[i]
		var v uint64
		size := par.Size
		switch a := a.(type) {
		case Pointer:
			if a.Memory != nil {
				v = l.Device.Add(a.Memory) + uint64(a.Offset)
			}
			size = 8
		case int64:
			v = uint64(a)
		case uint64:
			v, size = a, 8
		case int:
			v = uint64(a)
		case int32:
			v, size = uint64(uint32(a)), 4
		case uint32:
			v, size = uint64(a), 4
		case float32:
			v, size = uint64(math.Float32bits(a)), 4
		case float64:
			v, size = math.Float64bits(a), 8
		case []byte:
			if len(a) != par.Size {
				return fmt.Errorf("argument %d has %d bytes; parameter %s has %d", i, len(a), par.Name, par.Size)
			}
			copy(l.params[par.Offset:], a)
			continue
		default:
			return fmt.Errorf("argument %d is a %T", i, a)
		}
		if size != par.Size || size > 8 {
			return fmt.Errorf("argument %d has %d bytes; parameter %s has %d", i, size, par.Name, par.Size)
		}
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], v)
		copy(l.params[par.Offset:], b[:size])
	}
	return nil
}

// work runs blocks one after another, or only one.
func (l *launch) work(once bool) {
	defer l.group.Done()
	defer func() {
		if r := recover(); r != nil {
			l.mu.Lock()
			l.crashed = r
			l.limit.Store(-1)
			l.changed.Broadcast()
			l.mu.Unlock()
		}
	}()
	b := l.startBlock()
	for {
		l.mu.Lock()
		i := l.next
		if i >= l.blocks || l.stopped(i) {
			l.mu.Unlock()
			break
		}
		l.next++
		l.mu.Unlock()
		b.reset(i)
		b.run()
		l.end(b)
		if once {
			break
		}
	}
	l.mu.Lock()
	l.stats.Instructions += b.executed
	l.stats.Conflicts += b.conflicts
	l.stats.Counts = b.counts.addTo(l.stats.Counts)
	if len(l.found) == 0 {
		b.shared.free(b.clock, b.interval)
		b.launch, b.shared = nil, nil
		l.program.idle.Put(b)
	}
	l.mu.Unlock()
}

// stopped reports whether a block need not run on, because an earlier one has a finding.
func (l *launch) stopped(index int) bool { return int64(index) > l.limit.Load() }

// end hands in what a block did.
func (l *launch) end(b *block) {
	for _, w := range b.warps {
		b.clock = max(b.clock, w.vc[w.index]+1)
	}
	b.closeInterval()
	e := &endedBlock{b: &block{index: b.index, at: b.at}}
	if !l.NoRaces {
		b.fold(nil)
		e.segments = b.log.segments
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if b.pending != nil {
		l.report(b.pending, b.index)
	}
	l.ended[b.index] = e
	l.done++
	if l.Progress != nil {
		l.Progress(l.done, l.blocks)
	}
	l.drain()
}

// report keeps a finding; the caller holds the lock. What looks unwritten in global memory may turn out to be a race
// with a block that runs later.
func (l *launch) report(f *Finding, block int) {
	l.found = append(l.found, blockFinding{f, block})
	if f.Kind != Uninitialized {
		l.limit.Store(min(l.limit.Load(), int64(block)))
		l.changed.Broadcast()
	}
}

// worst chooses the finding to return: the earliest block's, a race before what it may have caused.
func (l *launch) worst() *Finding {
	slices.SortStableFunc(l.found, func(a, b blockFinding) int {
		x, y := a.Kind == Uninitialized, b.Kind == Uninitialized
		if x != y {
			if x {
				return 1
			}
			return -1
		}
		return a.block - b.block
	})
	if len(l.found) == 0 {
		return nil
	}
	return l.found[0].Finding
}

// drain merges blocks that have ended, in the order of turns; the caller holds the lock.
func (l *launch) drain() {
	for l.done > 0 && l.holder < l.blocks && l.ended[l.holder] != nil && !l.merged[l.holder] {
		e := l.ended[l.holder]
		for _, s := range e.segments {
			for _, set := range []pageSet{s.fenced, s.open} {
				if f := l.insert(e.b, set, s.acquired, never); f != nil {
					l.report(f, e.b.index)
				}
			}
			freeSegments.Put(s)
		}
		e.segments = nil
		l.merged[l.holder] = true
		l.turns = 0
		l.holder = l.after(l.holder)
	}
	l.changed.Broadcast()
}

// after is the next block that was not merged, round in a circle.
func (l *launch) after(i int) int {
	for d := 1; d < l.blocks; d++ {
		if j := (i + d) % l.blocks; !l.merged[j] {
			return j
		}
	}
	return i
}

// turn waits until a block may do strong operations, and returns with the lock held.
func (l *launch) turn(b *block) {
	l.mu.Lock()
	for l.holder != b.index && !l.stopped(b.index) {
		l.changed.Wait()
	}
	if l.stopped(b.index) {
		l.mu.Unlock()
		panic(&Finding{Kind: Trap, Thread: -1, Text: "stopped"})
	}
}

// yield passes the turn of a block that spins on to the others and waits for it to return. It reports false where
// nobody can make the change that the block waits for.
func (l *launch) yield(b *block) bool {
	l.turn(b)
	defer l.mu.Unlock()
	next := l.after(b.index)
	open := 0
	for _, m := range l.merged {
		if !m {
			open++
		}
	}
	if l.turns++; next == b.index || l.turns > 2*open+2 {
		return false
	}
	l.holder = next
	if next >= l.next {
		l.group.Add(1)
		go l.work(true)
	}
	l.drain()
	for l.holder != b.index && !l.stopped(b.index) {
		l.changed.Wait()
	}
	return true
}

// progress notes that an atomic operation has changed something.
func (l *launch) progress() {
	l.mu.Lock()
	l.turns = 0
	l.mu.Unlock()
}

// strongOperation orders a block's accesses with those of others at an atomic, volatile, acquire or release operation:
// what it did before its last fence is published where it writes, and what others published there is observed where it
// reads. It is ordered before what the block does behind an acquire operation, or a fence. Lane addresses are in w.addr.
func (w *warp) strongOperation(m uint32, n int, write bool, s strength) {
	l, b := w.launch, w.block
	if s.release && !l.NoRaces {
		b.fold(w)
		b.released = true
	}
	l.turn(b)
	defer l.mu.Unlock()
	if write && !s.atomic {
		l.turns = 0
	}
	if l.NoRaces {
		return
	}
	t := &l.table
	t.sequence++
	for _, s := range b.log.segments {
		if write && len(s.fenced) > 0 {
			if f := l.insert(b, s.fenced, s.acquired, t.sequence); f != nil {
				panic(f)
			}
		}
	}
	eachLane(m, func(lane int) {
		at := w.addr[lane]
		if p := t.published[at]; (s.atomic || !write) && p.block != b.index {
			b.observed = max(b.observed, p.sequence)
		}
		if write && b.released {
			t.published[at] = publication{t.sequence, b.index}
		}
	})
	if s.acquire {
		b.acquire()
	}
	before := t.sequence
	if write {
		before = b.log.last().acquired
	}
	eachLane(m, func(lane int) {
		if f := l.strong(b, w, lane, w.addr[lane], n, write, before); f != nil {
			panic(f)
		}
	})
}
