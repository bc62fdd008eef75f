package output

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"pgc/runtime/process"
)

// Folder is a folder of results that is being filled. The caller must Close or Abort it.
type Folder struct {
	Dir    string // where to write the files until Close
	path   string
	target string
	mode   fs.FileMode // of the folder that is replaced, or 0
	forget func()      // of process.Temporary for Dir
}

// CreateFolder starts a folder at path, where there must be nothing or an empty folder. Links are followed.
func CreateFolder(path string) (*Folder, error) {
	d := &Folder{path: path, target: filepath.Clean(path)}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		d.target = real
	}
	switch entries, err := os.ReadDir(path); {
	case err == nil && len(entries) > 0:
		return nil, d.cannot(errors.New("it is not empty, expected a new folder"))
	case err == nil:
		info, err := os.Stat(d.target)
		if err != nil {
			return nil, d.cannot(err)
		}
		if parent, err := os.Stat(filepath.Dir(d.target)); err == nil && device(parent) != device(info) {
			return nil, d.cannot(errors.New("a file system is mounted there, expected a folder in it"))
		}
		d.mode = info.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return nil, d.cannot(fmt.Errorf("%w, expected a new folder", Cause(err)))
	default:
		if _, err := os.Lstat(d.target); err == nil {
			return nil, d.cannot(errors.New("it is a link to nothing, expected a new folder"))
		}
	}
	var err error
	d.forget, err = process.Temporary(func() (string, error) {
		d.Dir, err = os.MkdirTemp(filepath.Dir(d.target), ".pgc-")
		return d.Dir, err
	})
	if err != nil {
		return nil, d.cannot(err)
	}
	return d, nil
}

// Close gives the complete folder its name. It replaces nothing but an empty folder.
func (d *Folder) Close() error {
	err := d.publish()
	if err != nil {
		return d.Abort(d.cannot(err))
	}
	d.forget()
	return nil
}

func (d *Folder) publish() error {
	mode := d.mode
	if mode == 0 { // what the umask leaves, which only making a folder tells
		probe := filepath.Join(d.Dir, ".mode")
		if err := os.Mkdir(probe, 0o777); err != nil {
			return err
		}
		info, err := os.Stat(probe)
		if err != nil {
			return err
		}
		mode = info.Mode().Perm()
		if err := os.Remove(probe); err != nil {
			return err
		}
	}
	if err := os.Chmod(d.Dir, mode); err != nil {
		return err
	}
	return unix.Rename(d.Dir, d.target) // os.Rename refuses an empty folder
}

// Abort removes what was written so far. It returns the error that is the reason, which then names the folder as the user
// does.
func (d *Folder) Abort(reason error) error {
	process.Remove(d.Dir)
	d.forget()
	return &inFolder{reason, d.Dir, filepath.Clean(d.path)}
}

// inFolder is an error about a file in a folder that has another name meanwhile.
type inFolder struct {
	error
	meanwhile, name string
}

// Error implements error.
func (e *inFolder) Error() string { return strings.ReplaceAll(e.error.Error(), e.meanwhile, e.name) }

// Unwrap returns the error as it came.
func (e *inFolder) Unwrap() error { return e.error }

func (d *Folder) cannot(err error) error { return &Error{d.path, Cause(err)} }

// device tells the file system of a file.
func device(info fs.FileInfo) uint64 { return uint64(info.Sys().(*syscall.Stat_t).Dev) }
