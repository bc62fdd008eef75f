//go:build embed_runtime

package main

import _ "embed"

// embeddedRuntime is the runtime's ELF file, which scripts/build.sh puts beside this file.
//
//go:embed pgcrt.bin
var embeddedRuntime []byte
