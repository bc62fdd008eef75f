// Command pgcrt-cuda is the runtime of executables compiled for NVIDIA GPUs. It opens the driver's library and is
// therefore a dynamic ELF, which needs the system's loader and libc; cmd/pgcrt does not. For pgc, which is linked to
// neither, it serves the driver.
package main

import (
	"fmt"
	"os"

	"pgc/runtime/app"
	"pgc/runtime/cuda"
	"pgc/runtime/gpu/remote"
)

func main() {
	if os.Getenv(remote.Variable) == "" {
		os.Exit(app.Main(cuda.GPUs()))
	}
	if err := remote.Serve(cuda.Driver{}, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
