package serve

import (
	"crypto/sha256"
	"strings"
	"testing"

	"pgc"
)

// TestCache: the pictures that were used last are there.
func TestCache(t *testing.T) {
	c := newCache(100, 30) // three
	key := func(i int) [sha256.Size]byte { return sha256.Sum256([]byte{byte(i)}) }
	images := []pgc.Image{pgc.Bytes(nil), pgc.Bytes(nil), pgc.Bytes(nil), pgc.Bytes(nil)}
	for i := range 3 {
		c.put(key(i), images[i])
	}
	c.get(key(0))
	c.put(key(3), images[3])
	c.put(key(3), images[0])
	for i, want := range []bool{true, false, true, true} {
		if got, found := c.get(key(i)); found != want || found && got != images[i] {
			t.Errorf("picture %d is there: %v", i, found)
		}
	}
}

// TestPictureOnce: a picture that is sent again is decoded once; one that cannot be decoded is said to be so each time.
func TestPictureOnce(t *testing.T) {
	m := &fake{answer: []string{"a"}, slots: 1}
	s := start(t, m, nil)
	for range 3 {
		if r := s.chat(t, ask("x", "")); r.status != 200 {
			t.Errorf("%+v", r)
		}
		if r := s.chat(t, strings.Replace(ask("x", ""), dot(), "data:image/png;base64,AAAA", 1)); r.status != 400 {
			t.Errorf("%+v", r)
		}
	}
	if n := m.fitted.Load(); n != 4 {
		t.Errorf("%d pictures were decoded, expected one once and another three times", n)
	}
	if answers, bytes := s.gate.Load(); answers != 0 || bytes != 0 {
		t.Errorf("%d answers and %d bytes are left", answers, bytes)
	}
}
