package native

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SelfPath returns the path this process was started with, as the kernel tells every program, or "" if it does not. It
// may be relative to the folder the process was started in.
func SelfPath() string {
	const execFn = 31 // AT_EXECFN
	aux, err := unix.Auxv()
	if err != nil {
		return ""
	}
	for i := range aux {
		if aux[i][0] == execFn && aux[i][1] != 0 {
			// The value is a pointer to a C string on the process's first stack.
			return unix.BytePtrToString(*(**byte)(unsafe.Pointer(&aux[i][1])))
		}
	}
	return ""
}

// OpenSelf opens the file that this process runs from. /proc names it even if it has been replaced since; where there
// is no /proc, as in an empty chroot, SelfPath does. It is to be called before the process changes its working folder.
func OpenSelf() (*os.File, error) { return openSelf("/proc/self/exe", SelfPath()) }

func openSelf(proc, path string) (*os.File, error) {
	name := path
	if name == "" {
		name = proc
	}
	fd, err := unix.Open(proc, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil && path != "" {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if errors.Is(err, unix.EACCES) {
		return nil, fmt.Errorf("%s: no permission to read it; an executable of pgc must be readable, not only executable", name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: cannot open this program's own file: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
