package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pgc/checkpoint/hf"
	"pgc/runtime/integrity"
	"pgc/runtime/output"
)

// Name returns the name of the executable of a checkpoint with its adapters: it depends on the content of every file that
// the compiler reads of them, on their names, on the content of the other files given, and on the facts.
func (f *Folder) Name(ctx context.Context, checkpoint string, o hf.Options, files []string, facts ...any) (string, error) {
	model, read, err := hf.Files(checkpoint, o)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q %q\n", model, filepath.Base(o.Adapter))
	for _, k := range o.Keep {
		fmt.Fprintf(h, "%q\n", k.Name)
	}
	for _, fact := range facts {
		fmt.Fprintf(h, "%q\n", fmt.Sprint(fact))
	}
	for i, path := range append(files, read...) {
		s, err := f.sum(ctx, path)
		if err != nil {
			return "", err
		}
		name := ""
		if i >= len(files) {
			name = filepath.Base(path)
		}
		fmt.Fprintf(h, "%q %s\n", name, s)
	}
	return plain(filepath.Base(model)) + "-" + hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// plain is a model's name as part of a file's name: of at most 64 bytes, without those that people or shells misread.
func plain(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '_'
	}, name)
	return strings.TrimLeft(name[:min(len(name), 64)], ".-")
}

// sum returns the SHA-256 of a file, which it reads unless it has read this version before.
func (f *Folder) sum(ctx context.Context, path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", path, output.Cause(err))
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", path, output.Cause(err))
	}
	version, seen := integrity.VersionOf(info), time.Now()
	if s, ok := f.load().Sums[path]; ok && s.File == version {
		return s.Hex, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, reader{ctx, file}); err != nil {
		return "", fmt.Errorf("cannot read %s: %w", path, output.Cause(err))
	}
	s := sum{version, hex.EncodeToString(h.Sum(nil))}
	if after, err := file.Stat(); err != nil || integrity.VersionOf(after) != version || !version.Settled(seen) {
		return s.Hex, nil
	}
	return s.Hex, f.update(func(m *memory) error {
		m.Sums[path] = s
		return nil
	})
}

// reader ends when its context does.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}
