package e2e

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Terminal returns both ends of a pseudoterminal.
func Terminal(t *testing.T) (near, far *os.File) {
	t.Helper()
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudoterminal:", err)
	}
	t.Cleanup(func() { near.Close() })
	n, unlock := 0, int32(0)
	if _, _, e := syscall.Syscall(unix.SYS_IOCTL, near.Fd(), unix.TIOCSPTLCK, uintptr(unsafe.Pointer(&unlock))); e != 0 {
		t.Skip("no pseudoterminal:", e)
	}
	if n, err = unix.IoctlGetInt(int(near.Fd()), unix.TIOCGPTN); err == nil {
		far, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skip("no pseudoterminal:", err)
	}
	return near, far
}
