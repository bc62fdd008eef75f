package emu

// unit is a parsed PTX text.
type unit struct {
	file      string
	version   string
	target    string
	variables []*variable
	statics   []*variable // in global or constant memory, of bodies
	functions []*function
}

// variable is a declared piece of memory, or a parameter.
type variable struct {
	pos         Pos
	name        string
	space       space
	typ         typ
	align, size int
	open        bool // an array of unknown size: dynamic shared memory
	extern      bool
	data        []byte // initial bytes; nil where there are none
	refs        []reference
}

// reference is the address of a symbol within a variable's initial bytes.
type reference struct {
	pos    Pos
	at     int
	name   string
	offset int64
}

// function is an entry or a device function.
type function struct {
	pos     Pos
	name    string
	entry   bool
	defined bool
	results []*variable
	params  []*variable
	threads [3]int // of a block, at most or exactly
	exact   bool   // .reqntid
	body    []statement
	end     Pos
}

type statementKind uint8

const (
	declareRegisters statementKind = iota
	declareVariable
	defineLabel
	instruction
	scope
	branchTargets
)

// statement is a line of a body.
type statement struct {
	kind  statementKind
	pos   Pos
	name  string // of a label, of registers: the prefix
	typ   typ    // of registers
	count int    // of registers; -1 for a single name
	v     *variable
	in    *syntaxInstr
	body  []statement // of a scope
	list  []string    // of branch targets
	end   Pos         // of a scope
}

// syntaxInstr is an instruction as it was written.
type syntaxInstr struct {
	pos      Pos
	guard    string // name of a predicate, or ""
	not      bool
	guardPos Pos
	name     string   // the whole opcode
	parts    []string // split at dots
	args     []operand
}

type operandKind uint8

const (
	nameOperand   operandKind = iota // a register, symbol, label or special register
	numberOperand                    // an integer
	floatOperand                     // f32 or f64 in bits
	vectorOperand                    // {a, b, …}
	memoryOperand                    // [base + offset], [base, {…}]
	listOperand                      // (a, b, …) of calls
)

// operand is an operand as it was written.
type operand struct {
	kind   operandKind
	pos    Pos
	name   string // of names and of a memory operand's base
	not    bool   // !p, or -value of a name
	bits   uint64 // of numbers
	double bool   // a float written with 64 bits
	offset int64  // of memory operands, and of name+offset
	list   []operand
	pair   *operand // p|q
}
