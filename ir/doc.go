// Package ir is the tensor graph of pgc: data types, symbolic shapes, values, the table of operations, functions and
// modules, with shape inference, a verifier, a canonical printer and the edits passes need.
//
// A Module holds functions that share weights (by checkpoint name), states (by name) and bounded symbols. A Func is an
// ordered list of operations in static single assignment form without control flow. An operation has one or more
// results. The operations are package variables of type *OpDef (OpAdd, OpEinsum, …), one file per family. The frontend
// builds plain operations; passes replace them by the four fused ones (map, row, matmul, attention), each of which
// expands back into plain ones.
//
// The package prints the text form; frontend/text parses it. The reference interpreter is ir/eval.
package ir
