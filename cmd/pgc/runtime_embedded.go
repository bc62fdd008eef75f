//go:build embed_runtime

package main

import "embed"

// embedded are the runtime's ELF files, compressed, which scripts/build.sh puts beside this file.
//
//go:embed pgcrt-*.gz
var embedded embed.FS
