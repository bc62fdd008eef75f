package process

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// What a program takes beside its model: files that are open at the same time, and addresses that Go's heap reserves in
// pieces of 64 MiB.
const (
	files     = 8
	addresses = 256 << 20
)

// CheckLimits says which limit of the system is too low for a program to run, or returns nil. It tries, because Go's
// own runtime ends the process with a dump where it meets such a limit later.
func CheckLimits() error {
	var open []int
	var err error
	for len(open) < files && err == nil {
		var fd int
		if fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err == nil {
			open = append(open, fd)
		}
	}
	for _, fd := range open {
		unix.Close(fd)
	}
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		return fmt.Errorf("this process may open %d more files, expected %d or more (ulimit -n): %w", len(open), files, err)
	}
	trial, err := unix.Mmap(-1, 0, addresses, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("this process may not have %d MiB more of addresses (ulimit -v): %w", addresses>>20, err)
	}
	return unix.Munmap(trial)
}
