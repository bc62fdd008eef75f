//go:build !embed_runtime

package main

// embeddedRuntime is empty in a plain build: the runtime is looked for beside the program.
var embeddedRuntime []byte
