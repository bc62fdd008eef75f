package program

// The worker loop (codegen/internal/sched) and the pool that drives it (runtime/native) meet in two structures of
// native memory, little-endian, laid out here.
//
// A job is an array of launch records. The pool opens a job by storing a new epoch into the state word; each worker
// that sees it in time joins (adds one to the count), walks the records in order, and leaves. The first to leave closes
// the job to newcomers, the last one to leave finishes it. One worker is enough: one that the system has put aside
// holds up nothing unless it holds a task. Between jobs workers sleep at once: the cores belong to Go, which must run
// before there is a next job.
//
// Launches are numbered through all jobs: the control block has the number of the job's first one, and how many are
// complete. A launch is complete, and the next one may start, when as many of its tasks are done as it has. Its tasks are
// handed out in two ways. The first half is divided into a share for each worker, which takes its own task by task: a
// worker reads the same stretch of the weights in every step, in order, as memory likes it, and touches no line that
// another one writes. Runs of the rest are numbered, and a counter gives out the numbers; they shrink towards the end
// (factoring, Flynn Hummel et al. 1992: here every batch of a run for each worker is a quarter of what is left), so that
// all workers end together. Who then has nothing to do takes from the shares of others what they have not begun: the
// system may have put them aside. So a worker holds up the others with what it has begun, and no more.
//
// What a worker has done it adds to the launch's count once, when it finds nothing more to do; who did all tasks ends the
// launch at once. It then waits for the number of complete launches, which stands on a line of its own: nothing is written
// there but the end of a launch, and who falls asleep until one. Two workers wait for the launch's count instead: its end
// reaches the other one a line earlier.
//
// Beside its workers a pool may have spare ones, up to as many, numbered after them. They have no share and do what any
// worker does otherwise; what counts workers does not count them. The pool says how many of them may be in jobs: one of
// the others that is in a job leaves it before the next launch, unless nobody else is in it.
//
// To cancel a job, the pool sets StateCanceled in the state word, by a compare-and-swap: the word names the epoch, so a
// cancellation that comes late cannot meet the next job, and opening a job stores a word without the bit. Workers read
// the bit before they take a run and after each task. They then take no more runs, count the rest of a run they hold as
// done, and leave; who waits, leaves as well, and who sleeps does so for runs that others hold, all of which are counted.
// The last one finishes the job as always. Latecomers may join a canceled
// job, too: if none has joined yet, one must, to finish it.
//
// The clock is the time stamp counter on x86-64, the virtual counter on arm64.

// Control block: CtlBytes long and a share for each worker behind it, aligned to a cache line.
const (
	CtlTable   = 0  // i64: address of the first launch record
	CtlCount   = 8  // i64: number of launch records
	CtlScratch = 16 // i64: address of worker 0's scratch memory
	CtlStride  = 24 // i64: distance of the scratch memories in bytes
	CtlSpin    = 32 // i64: ticks of the clock to spin at most for the end of a launch before sleeping
	CtlStamp   = 40 // i32: nonzero to record what each worker does of each launch
	CtlStop    = 44 // i32: nonzero to make workers return when they see a new epoch
	CtlTrace   = 48 // i64: address of worker 0's trace, one trace record a launch; read only if CtlStamp says so
	CtlTraces  = 56 // i64: distance of the workers' traces in bytes

	CtlState    = 64  // i64: epoch << 32 | closed << 31 | canceled << 30 | workers in the job; its high half is a futex
	CtlSleepers = 128 // i32: workers asleep on the epoch
	CtlDone     = 192 // i32: the last finished epoch; a futex on which the pool sleeps
	CtlTicks    = 200 // i64: the clock when it finished
	CtlThreads  = 208 // i64: number of workers
	CtlFirst    = 216 // i64: the number of the job's first launch
	CtlSpares   = 224 // i32: spare workers that may be in jobs now; a futex on which the others of them sleep
	CtlComplete = 256 // i64: the number of the first launch that is not complete; its low half is a futex
	CtlWaiters  = 264 // i32: workers that sleep until a launch is complete; each counts itself, so that none is missed

	CtlBytes = 320
)

// A worker's share: ShareBytes long, two lines, since some processors fetch two at a time. It has one i64, the number of
// the last launch of whose share tasks were taken << ShareBits | how many. Numbers only grow, so that a worker that is
// late cannot take what is over.
const (
	ShareBytes = 128
	ShareBits  = 24
	MaxShare   = 1<<ShareBits - 1      // tasks of a share at most
	MaxLaunch  = 1 << (62 - ShareBits) // numbers of launches are below
)

// Bits of the state word.
const (
	StateClosed   = 1 << 31 // nobody may join any more
	StateCanceled = 1 << 30 // workers must leave
)

// Launch record: RecordBytes long, aligned to a cache line. Workers read the first line and write the second.
const (
	RecKernel = 0  // i64: address of the kernel
	RecArgs   = 8  // i64: address of its argument table
	RecTasks  = 16 // i64: number of tasks, at most MaxTasks
	RecFirst  = 24 // i64: what the kernel calls the first of them: 0 unless only a part of the launch runs
	RecRuns   = 64 // i64: runs of tasks handed out, besides the shares
	RecDone   = 72 // i64: tasks done

	RecordBytes = 128
)

// Trace record: what one worker did of one launch, TraceBytes long. All zero if it took no task of it.
const (
	TraceStart = 0  // i64: the clock when its first task began
	TraceEnd   = 8  // i64: the clock when its last task was done
	TraceTicks = 16 // i64: ticks in its tasks
	TraceTasks = 24 // i64: how many tasks it did

	TraceBytes = 32
)

// MaxTasks bounds the tasks of a launch.
const MaxTasks = 1<<31 - 1
