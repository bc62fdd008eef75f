package emu

import "sync"

// reg is an index into a warp's registers: slots that instructions write, then constants and special registers.
type reg = int32

// none is no register.
const none reg = -1

// flow is what an instruction does to the order of execution.
type flow uint8

const (
	straight    flow = iota
	branch           // to target
	multiway         // to targets[value of reads[0]]
	exit             // the thread ends
	waits            // run may leave the warp blocked at the instruction; it advances by itself
	barrierFlow      // all threads of the warp arrive at a barrier of the block
)

// instr is an instruction, specialized to its registers and types.
type instr struct {
	run       func(w *warp, m uint32) // executes it for the threads of m
	flow      flow
	not       bool
	pure      bool                              // computes registers from registers: what is unwritten passes through
	manages   bool                              // sets w.unknown of its results by itself
	guardRead bool                              // the guard is an operand, too
	spread    func(w *warp, lane, i int) uint64 // bits of result i that hold nothing; nil where all or none do
	guard     reg
	member    reg // threads that must be here together: a register with the mask, or none
	target    int32
	targets   []int32
	index     reg     // of multiway
	reads     []reg   // registers whose values count
	must      []known // what an instruction that is not pure needs
	writes    []reg
	bytes     int   // that a thread loads
	moves     bool  // it reads a special register that changes
	leads     bool  // it begins a basic block
	looks     bool  // it may find that a change that the warp waits for has not come
	direct    bool  // where all threads go together, it is run and the next one follows
	rank      int32 // groups with lower ranks run first
	pos       Pos
	name      string
	block     int // basic block
	bar       barrierSpec
}

// constantKind says how a constant register gets its value.
type constantKind uint8

const (
	literal    constantKind = iota
	memoryAt                // address of a variable of the module
	dynamicAt               // address of dynamic shared memory
	specialReg              // a special register
)

// constantReg is a register that no instruction writes.
type constantReg struct {
	kind  constantKind
	value uint64
	v     *variable
	name  string // of a special register
}

// Param is a parameter of an entry: its place in the parameter buffer.
type Param struct {
	Name                string
	Offset, Size, Align int
}

// program is an entry lowered to code.
type program struct {
	fn           *function
	code         []instr
	slots        int
	constants    []constantReg
	params       []Param
	paramBytes   int
	shared       int            // bytes of static shared memory
	extents      []extent       // of its variables, in order
	placed       []*variable    // those variables
	holes        int            // bytes between them
	localHoles   []extent       // between variables of local memory
	afterLocal   bool           // a variable was placed there last
	paramEnds    []int          // by byte of the parameters, where its parameter ends
	dynamicAlign int            // of dynamic shared memory
	local        int            // bytes of local memory a thread
	unwritten    []reg          // registers that some path reads before it writes them
	names        map[reg]string // of those
	granule      int            // smallest width of an access to shared memory
	failed       *Finding       // an unknown opcode: the entry cannot run
	needs        []*variable
	blocks       []basicBlock
	defers       map[int32]int   // loads that are noted when they are used, numbered
	uses         map[int32][]int // the stores that use them

	mu    sync.Mutex
	loops map[int32]*loop // by the jump back, as they are asked for
	idle  sync.Pool       // blocks of launches that have ended
}

// symbolKind is what a name stands for.
type symbolKind uint8

const (
	registerSymbol symbolKind = iota
	variableSymbol
	labelSymbol
	targetsSymbol
	functionSymbol
)

// symbol is a declared name.
type symbol struct {
	kind symbolKind
	typ  typ
	reg  reg // virtual
	v    *variable
	at   int // offset in shared, local or parameter memory
	// where is the space that a variable lives in; parameters of device functions live in local memory.
	where  space
	label  int
	labels []string
	scope  *nameScope
	f      *function
}

// ropKind is the kind of a resolved operand.
type ropKind uint8

const (
	ropRegister ropKind = iota
	ropConstant
	ropVector
	ropMemory
	ropLabel
	ropOther
)

// rop is a resolved operand.
type rop struct {
	kind   ropKind
	pos    Pos
	text   string
	reg    reg // virtual register, or number of a constant
	typ    typ // of a register
	not    bool
	lit    *operand // literal constants
	isLit  bool
	sym    *symbol
	offset int64
	list   []rop
	pair   *rop
	label  int
}

// pending is an instruction whose names are resolved.
type pending struct {
	in     *syntaxInstr
	args   []rop
	guard  reg // virtual, or none
	target int // label, or -1
}

// registerName is the name of a register that may be read unwritten.
func (p *program) registerName(r reg) string {
	if name := p.names[r]; name != "" {
		return name
	}
	return "a register"
}
