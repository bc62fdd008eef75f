// Package ir is the tensor graph of pgc: data types, symbolic shapes, values, the table of operations, functions and
// modules, with shape inference, a verifier, a canonical printer and the edits passes need.
//
// A Module holds functions that share weights (by checkpoint name), states (by name) and bounded symbols. A Func is an
// ordered list of operations in static single assignment form without control flow; every operation has one result.
// The operations are package variables of type *OpDef (OpAdd, OpEinsum, …); one file per family. Plain operations are
// what the frontend builds; the four fused ones (map, row, matmul, attention) are what passes make of them, and each can
// Expand back into plain ones.
//
// The package imports only ir/scalar. The text form is printed here and parsed by frontend/text; the reference
// interpreter is ir/eval.
package ir
