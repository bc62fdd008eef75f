package program

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// pieces notes where writes begin and fails after some.
type pieces struct {
	bytes.Buffer
	at   []int
	most int
}

var errFull = errors.New("full")

func (p *pieces) Write(b []byte) (int, error) {
	if len(p.at) == p.most {
		return 0, errFull
	}
	p.at = append(p.at, p.Len())
	return p.Buffer.Write(b)
}

// TestHugeWriter writes pieces of any length: all but the last one arrive in whole huge pages.
func TestHugeWriter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	to := &pieces{most: 100}
	w := &hugeWriter{to: to}
	var want []byte
	for len(want) < 5*hugeBytes/2 {
		b := make([]byte, rng.IntN(3<<20))
		for i := 0; i < len(b); i += 97 {
			b[i] = byte(rng.Uint32())
		}
		if n, err := w.Write(b); n != len(b) || err != nil {
			t.Fatal(n, err)
		}
		want = append(want, b...)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil || !bytes.Equal(to.Bytes(), want) {
		t.Fatalf("%d bytes arrived, expected %d, error %v", to.Len(), len(want), err)
	}
	for i, at := range to.at {
		if at != i*hugeBytes {
			t.Errorf("piece %d begins at %d, expected %d", i, at, i*hugeBytes)
		}
	}
	w = &hugeWriter{to: &pieces{most: 1}}
	if n, err := w.Write(make([]byte, 3*hugeBytes)); n > 2*hugeBytes || !errors.Is(err, errFull) {
		t.Errorf("%d bytes written, error %v, expected %v", n, err, errFull)
	}
}
