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
// Within a launch, workers take runs of task numbers from the record's progress word: its low half counts the tasks
// taken, its high half those done. A launch is complete, and the next one may start, when all are done. A run is as
// many of the tasks that are left as half a worker's share (guided self-scheduling, Polychronopoulos and Kuck 1987): a
// worker reads long stretches of the weights in order, as memory likes it, and the last runs are single tasks, so that
// all workers end together.
//
// To cancel a job, the pool sets StateCanceled in the state word, by a compare-and-swap: the word names the epoch, so a
// cancellation that comes late cannot meet the next job, and opening a job stores a word without the bit. Workers read
// the bit before they take a run and after each task. They then take no more runs, count the rest of a run they hold as
// done, so that nobody waits for it, and leave; the last one finishes the job as always. Latecomers may join a canceled
// job, too: if none has joined yet, one must, to finish it.
//
// The clock is the time stamp counter on x86-64, the virtual counter on arm64.

// Control block: CtlBytes long, aligned to a cache line.
const (
	CtlTable   = 0  // i64: address of the first launch record
	CtlCount   = 8  // i64: number of launch records
	CtlScratch = 16 // i64: address of worker 0's scratch memory
	CtlStride  = 24 // i64: distance of the scratch memories in bytes
	CtlSpin    = 32 // i64: ticks of the clock to spin for the end of a launch before sleeping
	CtlStamp   = 40 // i32: nonzero to record start and end of each launch
	CtlStop    = 44 // i32: nonzero to make workers return when they see a new epoch
	CtlTrace   = 48 // i64: address of worker 0's trace, one trace record a launch; read only if CtlStamp says so
	CtlTraces  = 56 // i64: distance of the workers' traces in bytes

	CtlState    = 64  // i64: epoch << 32 | closed << 31 | canceled << 30 | workers in the job; its high half is a futex
	CtlSleepers = 128 // i32: workers asleep on the epoch
	CtlDone     = 192 // i32: the last finished epoch; a futex on which the pool sleeps
	CtlTicks    = 200 // i64: the clock when it finished
	CtlThreads  = 208 // i64: number of workers
	CtlReached  = 256 // i64: a launch that all earlier ones are complete before; a hint for latecomers

	CtlBytes = 320
)

// Bits of the state word.
const (
	StateClosed   = 1 << 31 // nobody may join any more
	StateCanceled = 1 << 30 // workers must leave
)

// Launch record: RecordBytes long, aligned to a cache line.
const (
	RecKernel   = 0  // i64: address of the kernel
	RecArgs     = 8  // i64: address of its argument table
	RecTasks    = 16 // i64: number of tasks, at most MaxTasks
	RecProgress = 24 // i64: tasks done << 32 | tasks taken; its high half is a futex
	RecSleepers = 32 // i32: nonzero if a worker sleeps until the launch is complete
	RecStart    = 40 // i64: the clock when the first task was taken
	RecEnd      = 48 // i64: the clock when the last task was done

	RecordBytes = 64
)

// Trace record: what one worker did of one launch, TraceBytes long. All zero if it took no task of it.
const (
	TraceStart = 0  // i64: the clock when its first task began
	TraceEnd   = 8  // i64: the clock when its last task was done
	TraceTicks = 16 // i64: ticks in its tasks
	TraceTasks = 24 // i64: how many tasks it did

	TraceBytes = 32
)

// MaxTasks bounds the tasks of a launch: each half of the progress word counts them.
const MaxTasks = 1<<31 - 1
