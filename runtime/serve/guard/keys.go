// Package guard decides who may ask: keys, hosts, origins.
package guard

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Keys are the keys that clients may have, as hashes. They are read anew when their file changes.
type Keys struct {
	path string
	last atomic.Pointer[content]
}

// content is what a file of keys held at a time.
type content struct {
	hashes   [][sha256.Size]byte
	modified time.Time
	bytes    int64
}

// ReadKeys reads a file of keys, one a line. Empty lines and those that begin with # are none; a byte order mark is skipped.
func ReadKeys(path string) (*Keys, error) {
	c, err := read(path)
	if err != nil {
		return nil, err
	}
	k := &Keys{path: path}
	k.last.Store(c)
	return k, nil
}

func read(path string) (*content, error) {
	info, err := os.Stat(path) // before its content, so that a later change is seen
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := &content{modified: info.ModTime(), bytes: info.Size()}
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.ContainsAny(line, " \t"):
			return nil, fmt.Errorf("%s: line %d holds a space, expected one key a line", path, n)
		default:
			c.hashes = append(c.hashes, sha256.Sum256([]byte(line)))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(c.hashes) == 0 {
		return nil, fmt.Errorf("%s holds no key, expected one a line", path)
	}
	return c, nil
}

// current returns the keys as the file has them now. One that is being replaced keeps those before, as does a pipe, which
// cannot be read twice.
func (k *Keys) current() *content {
	last := k.last.Load()
	info, err := os.Stat(k.path)
	if err != nil || !info.Mode().IsRegular() || info.ModTime().Equal(last.modified) && info.Size() == last.bytes {
		return last
	}
	if c, err := read(k.path); err == nil {
		k.last.Store(c)
		return c
	}
	return last
}

// Client returns a name for the client whose key a request has, a part of the key's hash, or false. The time it takes
// depends neither on the key nor on which one it is.
func (k *Keys) Client(r *http.Request) (name string, ok bool) {
	key := r.Header.Get("X-Api-Key")
	if kind, token, found := strings.Cut(r.Header.Get("Authorization"), " "); found && strings.EqualFold(kind, "Bearer") {
		key = strings.TrimSpace(token)
	}
	sum, found := sha256.Sum256([]byte(key)), 0
	for _, hash := range k.current().hashes {
		found |= subtle.ConstantTimeCompare(sum[:], hash[:])
	}
	return hex.EncodeToString(sum[:6]), found == 1
}
