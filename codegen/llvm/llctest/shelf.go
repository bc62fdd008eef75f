package llctest

import (
	"os"
	"path/filepath"
	"time"
)

// Shelf is a folder beside the objects for what tests keep of something else. The name of a file, a hash in hexadecimal, tells
// all that its contents depend on.
type Shelf struct {
	store
	most int64
}

// NewShelf returns a folder, of which the files that were used last stay, up to so many bytes. It is nil where nothing is kept.
func NewShelf(name string, most int64) (*Shelf, error) {
	if folder == "off" {
		return nil, nil
	}
	dir := filepath.Join(folder, name)
	return &Shelf{store{dir: dir}, most}, os.MkdirAll(dir, 0o700)
}

// Get returns a file, and false where there is none or it is damaged.
func (s *Shelf) Get(name string) ([]byte, bool) { return s.read(name) }

// Put writes a file, over one of its name.
func (s *Shelf) Put(name string, data []byte) error {
	unlock, err := s.lock(name)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.write(name, data); err != nil {
		return err
	}
	return tidy(s.dir, s.most, time.Now())
}
