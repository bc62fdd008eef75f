package text

import (
	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// The grammar, as participle reads it from struct tags. The lists in a function, which are nearly all of a text, parse
// themselves over participle's tokens (operations.go): that is faster, and they can say what they expected.

type module struct {
	Symbols   symbols     `parser:"@@"`
	Functions []*function `parser:"@@*"`
	End       end         `parser:"@@"`
}

// func @name(parameters) { operations return results }
type function struct {
	Pos        lexer.Position
	Name       string     `parser:"'func' @Func '('"`
	Parameters parameters `parser:"@@ '{'"`
	Operations operations `parser:"@@"`
	Results    results    `parser:"'return' @@"`
}

var parser = participle.MustBuild[module](participle.Lexer(definition{}), participle.Unquote("String"), participle.UseLookahead(1))
