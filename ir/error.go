package ir

import "strings"

// Error is a defect of a module, with its location.
type Error struct {
	Loc  Loc    // source position, when known
	Func string // function, when known
	Op   string // the operation, as "%7 matmul", when known
	Msg  string
}

// Error prints place: @func %7 op: message, leaving out what is unknown.
func (e *Error) Error() string {
	var parts []string
	if s := e.Loc.String(); s != "" {
		parts = append(parts, s)
	}
	where := e.Op
	if e.Func != "" {
		where = strings.TrimSpace("@" + e.Func + " " + e.Op)
	}
	if where != "" {
		parts = append(parts, where)
	}
	return strings.Join(append(parts, e.Msg), ": ")
}
