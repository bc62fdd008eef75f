package emu

import (
	"fmt"
	"strings"
)

// Kind is the class of a finding, as `pgc ptx run` prints it.
type Kind string

// The kinds of findings.
const (
	Race          Kind = "race"           // two accesses, one of them a write, with nothing that orders them
	Uninitialized Kind = "uninitialized"  // a register or memory is read that nothing wrote
	OutOfBounds   Kind = "out-of-bounds"  // an address outside every buffer that the thread may touch
	Misaligned    Kind = "misaligned"     // an address that is no multiple of the access's size
	MissingWait   Kind = "missing-wait"   // data of an asynchronous copy is touched before the copy was waited for
	Deadlock      Kind = "deadlock"       // threads wait for others that never come
	UnknownOpcode Kind = "unknown-opcode" // an instruction that the emulator does not execute
	Syntax        Kind = "syntax"         // text that is not PTX
	Trap          Kind = "trap"           // the kernel stopped itself, or asked for what has no defined result
)

// Pos is a place in a PTX text; lines and columns count from 1.
type Pos struct {
	File      string
	Line, Col int
}

// String prints FILE:LINE:COL.
func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col) }

// Access is who touched memory: a thread of a block at an instruction.
type Access struct {
	Pos    Pos
	Block  [3]int
	Thread int // in its block, in the order x, y, z
	Write  bool
}

// String prints what happened, where and by whom.
func (a Access) String() string {
	verb := "read"
	if a.Write {
		verb = "written"
	}
	return fmt.Sprintf("%s by thread %d of block %s at %d:%d", verb, a.Thread, dims(a.Block), a.Pos.Line, a.Pos.Col)
}

// Finding is what is wrong with a module or with a launch.
type Finding struct {
	Kind   Kind
	Pos    Pos
	Entry  string // empty where none was running
	Block  [3]int
	Thread int // -1 where none is to blame
	Text   string
	Other  *Access // the earlier access of a race
	byte   uint64  // the address in question, to join findings about one byte
}

// Error prints FILE:LINE:COL: KIND: sentence.
func (f *Finding) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: ", f.Pos, f.Kind)
	if f.Entry != "" && f.Thread >= 0 {
		fmt.Fprintf(&b, "%s, block %s, thread %d: ", f.Entry, dims(f.Block), f.Thread)
	} else if f.Entry != "" {
		fmt.Fprintf(&b, "%s, block %s: ", f.Entry, dims(f.Block))
	}
	b.WriteString(f.Text)
	if f.Other != nil {
		fmt.Fprintf(&b, ", %s", f.Other)
	}
	return b.String()
}

// dims prints a coordinate: x alone where y and z are zero.
func dims(d [3]int) string {
	if d[1] == 0 && d[2] == 0 {
		return fmt.Sprint(d[0])
	}
	return fmt.Sprintf("(%d,%d,%d)", d[0], d[1], d[2])
}
