// Package cache keeps the executables of `pgc run`: found by the content that they are made of, verified before they
// run, in a folder that nobody else can write.
package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"pgc/runtime/integrity"
	"pgc/runtime/output"
	"pgc/runtime/program"
)

// DefaultLimit bounds the bytes of a folder's executables.
const DefaultLimit = 64 << 30

// Folder is a folder of executables. Several processes may use it at once.
type Folder struct {
	Limit int64     // bytes of all executables; the one that was used longest ago goes first
	Log   io.Writer // told, a line each, which executables were damaged
	dir   string
}

// Open makes the folder, or checks that it is this user's and that others cannot write it.
func Open(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the cache folder %s: %w", dir, output.Cause(err))
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read the cache folder %s: %w", dir, output.Cause(err))
	}
	if err := integrity.Private(info); err != nil {
		return nil, fmt.Errorf("the cache folder %s is not safe: %w", dir, err)
	}
	return &Folder{Limit: DefaultLimit, Log: io.Discard, dir: dir}, nil
}

// Get returns the path of the executable of a name, as Name makes it. It calls build where there is none, or where the
// one that is there is damaged.
func (f *Folder) Get(ctx context.Context, name string, build func(path string) error) (string, error) {
	path := filepath.Join(f.dir, name)
	err := f.verify(ctx, path)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(f.Log, "the cached executable %s is compiled anew: %v\n", path, err)
			if err := os.RemoveAll(path); err != nil {
				return "", fmt.Errorf("cannot replace the cached executable %s: %w", path, output.Cause(err))
			}
		}
		if err := build(path); err != nil {
			return "", err
		}
		if err := os.Chmod(path, 0o700); err != nil {
			return "", fmt.Errorf("cannot protect the cached executable %s: %w", path, output.Cause(err))
		}
	}
	err = f.update(func(m *memory) error {
		m.Used[name] = time.Now().UnixNano()
		return f.trim(m, name)
	})
	return path, err
}

// verify says why the executable at path must not run. It reads the weights of a version that was not verified before.
func (f *Folder) verify(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	case info.Mode().Perm()&0o100 == 0:
		return errors.New("it is not executable")
	}
	if err := integrity.Private(info); err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return output.Cause(err)
	}
	defer file.Close()
	image, err := program.Open(file)
	if err != nil {
		return err
	}
	defer image.Close()
	return integrity.Ensure(ctx, image)
}

// trim removes executables, the one that was used longest ago first, until the folder is within its limit; keep stays.
func (f *Folder) trim(m *memory, keep string) error {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return fmt.Errorf("cannot read the cache folder %s: %w", f.dir, output.Cause(err))
	}
	type entry struct {
		name        string
		bytes, used int64
	}
	var all []entry
	total := int64(0)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || e.Name() == memoryFile || e.Name() == lockFile {
			continue
		}
		total += info.Size()
		all = append(all, entry{e.Name(), info.Size(), max(m.Used[e.Name()], info.ModTime().UnixNano())})
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Or(cmp.Compare(a.used, b.used), cmp.Compare(a.name, b.name)) })
	for _, e := range all {
		if total <= f.Limit {
			break
		}
		if e.name == keep {
			continue
		}
		if err := os.RemoveAll(filepath.Join(f.dir, e.name)); err != nil {
			return fmt.Errorf("cannot remove the cached executable %s: %w", filepath.Join(f.dir, e.name), output.Cause(err))
		}
		total -= e.bytes
		delete(m.Used, e.name)
	}
	return nil
}
