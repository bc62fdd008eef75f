package integrity

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"pgc/runtime/program"
)

// folderName is the folder of the records in the user's cache folder. Each is named by a file's device and inode.
const folderName = "pgc-verified"

// maxRecords bounds the records of a folder; beyond it all are forgotten.
const maxRecords = 1000

// record says that all checksums of a version of a file were right.
type record struct {
	File     Version   `json:"file"`
	Sum      uint32    `json:"sum"` // of its footer
	Verified time.Time `json:"verified"`
}

func name(v Version) string { return fmt.Sprintf("%x-%x.json", v.Device, v.Inode) }

// Known returns when this version of an executable was verified, and whether it was. It believes only what this user
// alone may write.
func Known(m *program.Executable) (time.Time, bool) {
	dir, err := openFolder()
	if err != nil {
		return time.Time{}, false
	}
	defer dir.Close()
	v := VersionOf(m.Info)
	fd, err := unix.Openat(int(dir.Fd()), name(v), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return time.Time{}, false
	}
	f := os.NewFile(uintptr(fd), name(v))
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || Private(info) != nil {
		return time.Time{}, false
	}
	var r record
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil || json.Unmarshal(text, &r) != nil || r.File != v || r.Sum != m.Sum {
		return time.Time{}, false
	}
	return r.Verified, true
}

// folder is the path of the records' folder, or "" where the user has none.
func folder() string {
	cache, err := os.UserCacheDir()
	if err != nil || !filepath.IsAbs(cache) { // relative to wherever the program runs
		return ""
	}
	return filepath.Join(cache, folderName)
}

// openFolder opens the folder of the records, unless it is not this user's alone to write.
func openFolder() (*os.File, error) {
	path := folder()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	dir := os.NewFile(uintptr(fd), path)
	info, err := dir.Stat()
	if err == nil {
		err = Private(info)
	}
	if err != nil {
		dir.Close()
		return nil, err
	}
	return dir, nil
}

// remember records that an executable was verified, unless a later change might not show. Where it cannot, the next run
// verifies again.
func remember(m *program.Executable) {
	v := VersionOf(m.Info)
	if !v.Settled(m.Opened) {
		return
	}
	dir, err := openFolder()
	if errors.Is(err, os.ErrNotExist) && os.MkdirAll(folder(), 0o700) == nil {
		dir, err = openFolder()
	}
	if err != nil {
		return
	}
	defer dir.Close()
	text, err := json.Marshal(record{v, m.Sum, time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return
	}
	if names, err := dir.Readdirnames(-1); err == nil && len(names) >= maxRecords {
		for _, n := range names {
			unix.Unlinkat(int(dir.Fd()), n, 0)
		}
	}
	unix.Unlinkat(int(dir.Fd()), name(v), 0)
	fd, err := unix.Openat(int(dir.Fd()), name(v), unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return
	}
	f := os.NewFile(uintptr(fd), name(v))
	f.Write(text) // what is incomplete is not believed
	f.Close()
}

// forget removes the record of an executable.
func forget(m *program.Executable) {
	if dir, err := openFolder(); err == nil {
		unix.Unlinkat(int(dir.Fd()), name(VersionOf(m.Info)), 0)
		dir.Close()
	}
}
