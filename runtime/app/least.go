//go:build least

package app

// The least runtime has no further commands.
type (
	generatingMore struct{}
	commonMore     struct{}
)

// missing are the commands of a model that generates text that it leaves out: it is for no other.
var missing = []string{"segment", "mask", "attend", "forward", "serve", "merge", "tokenize"}
