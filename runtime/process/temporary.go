package process

import (
	"os"
	"sync"
)

// temporaries are the files and folders that must not outlive the process.
var temporaries = struct {
	sync.Mutex
	paths map[string]bool
}{paths: map[string]bool{}}

// Temporary makes a temporary file or folder by calling create, which returns its path. The path is removed if a signal
// ends the process before forget is called. No temporary is made once the process is ending: the call does not return.
func Temporary(create func() (path string, err error)) (forget func(), err error) {
	temporaries.Lock()
	defer temporaries.Unlock()
	path, err := create()
	if err != nil {
		return nil, err
	}
	temporaries.paths[path] = true
	return func() {
		temporaries.Lock()
		defer temporaries.Unlock()
		delete(temporaries.paths, path)
	}, nil
}

// removeTemporaries removes what there is and lets nothing new be made.
func removeTemporaries() {
	temporaries.Lock() // for good
	for path := range temporaries.paths {
		Remove(path)
	}
}

// Remove removes a file or folder that must not be left behind. What fails once may succeed again.
func Remove(path string) {
	for range 3 {
		if os.RemoveAll(path) == nil {
			return
		}
	}
}

// TempDir makes a temporary folder, whose name begins with the prefix. The caller must call remove.
func TempDir(prefix string) (dir string, remove func(), err error) {
	forget, err := Temporary(func() (string, error) {
		dir, err = os.MkdirTemp("", prefix)
		return dir, err
	})
	if err != nil {
		return "", nil, err
	}
	return dir, func() { Remove(dir); forget() }, nil
}
