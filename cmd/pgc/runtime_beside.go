//go:build !embed_runtime

package main

import "embed"

// embedded is empty in a plain build: the runtimes are looked for beside the program.
var embedded embed.FS
