// Command pgcrt-cuda is the runtime of executables compiled for NVIDIA GPUs. It opens the driver's library and is
// therefore a dynamic ELF, which needs the system's loader and libc; cmd/pgcrt does not.
package main

import (
	"os"

	"pgc/runtime/app"
	"pgc/runtime/cuda"
)

func main() { os.Exit(app.Main(cuda.GPUs())) }
