//go:build least

package app

// The least runtime has no further commands.
type (
	generatingMore struct{}
	commonMore     struct{}
)

// missing are the commands that it leaves out.
var missing = []string{"segment", "mask", "attend", "forward", "serve", "merge", "tokenize", "embed", "rank"}
