// Package integrity finds damage in the weights of executables: beside the work that reads them, once for each version
// of a file.
package integrity

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Version tells versions of a file apart: no program can change a file and leave all of it as it is.
type Version struct{ Device, Inode, Bytes, Modified, Changed int64 }

// VersionOf returns the version of the file that info describes.
func VersionOf(info fs.FileInfo) Version {
	st := info.Sys().(*syscall.Stat_t)
	return Version{int64(st.Dev), int64(st.Ino), st.Size, st.Mtim.Nano(), st.Ctim.Nano()}
}

// Settled reports whether a change after the time at, when the version was found, has another time: clocks of file
// systems have steps.
func (v Version) Settled(at time.Time) bool {
	return at.UnixNano()-max(v.Changed, v.Modified) > int64(2*time.Second)
}

// Private says why a file or a folder is not this user's alone to write.
func Private(info fs.FileInfo) error {
	if owner, me := int(info.Sys().(*syscall.Stat_t).Uid), os.Geteuid(); owner != me {
		return fmt.Errorf("user %d owns it, expected user %d", owner, me)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("others may write it (mode %04o), expected mode %04o", mode, mode&^0o022)
	}
	return nil
}
