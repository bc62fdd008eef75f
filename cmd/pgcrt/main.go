// Command pgcrt is the runtime that every compiled executable begins with: pgc copies it and puts the program, the
// code and the weights behind it. Alone it only says so.
package main

import (
	"os"

	"pgc/runtime/app"
)

func main() { os.Exit(app.Main(nil)) }
