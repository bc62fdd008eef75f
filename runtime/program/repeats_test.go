package program

import (
	"bytes"
	"fmt"
	"math/rand"
	"testing"
)

// TestRepeats: bytes come back, whatever repeats in them, and take fewer where they repeat out of deflate's sight.
func TestRepeats(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	kernel := make([]byte, 50<<10)
	r.Read(kernel)
	changed := bytes.Clone(kernel)
	for i := range 100 {
		changed[500*i]++
	}
	for what, b := range map[string][]byte{
		"nothing": nil, "a byte": {7}, "15 bytes": make([]byte, 15), "zeros": make([]byte, 1<<16), "noise": kernel,
		"noise of 3": bytes.Repeat([]byte("abc"), 5000), "twice": append(bytes.Clone(kernel), kernel...), "changed": append(bytes.Clone(kernel), changed...),
		"two letters": []byte(fmt.Sprintf("%0100000b", r.Int63())),
	} {
		form := withoutRepeats(b)
		if int64(len(form)) > mostForm(len(b)) {
			t.Errorf("%s: the form of %d bytes has %d, expected at most %d", what, len(b), len(form), mostForm(len(b)))
		}
		again := make([]byte, len(b))
		if err := withRepeats(again, form); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s: %d bytes come back otherwise (%v)", what, len(b), err)
		}
		if what == "changed" && len(pack(b)) > len(kernel)+1000 {
			t.Errorf("noise and nearly the same take %d bytes, expected those of the noise, %d, and some more", len(pack(b)), len(kernel))
		}
		for _, other := range []int{-1, 1} { // of another length
			if n := len(b) + other; n >= 0 && withRepeats(make([]byte, n), form) == nil {
				t.Errorf("%s: %d bytes come back as %d", what, len(b), n)
			}
		}
	}
}

// TestDamagedRepeats: no damage makes a panic, and what is cut is an error.
func TestDamagedRepeats(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	var b []byte
	for range 40 {
		if n := r.Intn(60) + 1; len(b) > 100 && r.Intn(2) == 0 {
			at := r.Intn(len(b) - n)
			b = append(b, b[at:at+n]...)
		} else {
			more := make([]byte, n)
			r.Read(more)
			b = append(b, more...)
		}
	}
	form := withoutRepeats(b)
	if len(form) >= len(b) {
		t.Fatalf("%d bytes of %d", len(form), len(b))
	}
	to := make([]byte, len(b))
	for i := range form {
		if withRepeats(to, form[:i]) == nil {
			t.Errorf("the first %d of %d bytes are taken", i, len(form))
		}
		for change := range 256 {
			other := bytes.Clone(form)
			other[i] ^= byte(change)
			withRepeats(to, other)
		}
	}
	if withRepeats(to, append(bytes.Clone(form), 0)) == nil {
		t.Error("a byte too many is taken")
	}
}
