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
)

// Keys are the keys that clients may have, as hashes.
type Keys struct{ hashes [][sha256.Size]byte }

// ReadKeys reads a file of keys, one a line. Empty lines and those that begin with # are none; a byte order mark is skipped.
func ReadKeys(path string) (*Keys, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	k := &Keys{}
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.ContainsAny(line, " \t"):
			return nil, fmt.Errorf("%s: line %d holds a space, expected one key a line", path, n)
		default:
			k.hashes = append(k.hashes, sha256.Sum256([]byte(line)))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(k.hashes) == 0 {
		return nil, fmt.Errorf("%s holds no key, expected one a line", path)
	}
	return k, nil
}

// Client returns a name for the client whose key a request has, a part of the key's hash, or false. The time it takes
// depends neither on the key nor on which one it is.
func (k *Keys) Client(r *http.Request) (name string, ok bool) {
	key := r.Header.Get("X-Api-Key")
	if kind, token, found := strings.Cut(r.Header.Get("Authorization"), " "); found && strings.EqualFold(kind, "Bearer") {
		key = strings.TrimSpace(token)
	}
	sum, found := sha256.Sum256([]byte(key)), 0
	for i := range k.hashes {
		found |= subtle.ConstantTimeCompare(sum[:], k.hashes[i][:])
	}
	return hex.EncodeToString(sum[:6]), found == 1
}
