package program

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// Kernels are much alike, and lie further apart than the 32 KiB that deflate looks back. So before code is deflated, what was there
// before is replaced by where: bytes become
//
//	the lengths of the two lists that follow, in bytes
//	runs        for each: how many bytes are new, and how many after them are again what lies a distance back
//	distances   for each run: the distance, or 0 for that of the run before
//	bytes       the new ones, those behind the last run, too
//
// with numbers as in binary.Uvarint. Text for GPUs then takes half the bytes, code of processors 10 to 20 % less.
const (
	leastRepeat = 16 // bytes that are looked for anywhere before
	leastAgain  = 4  // at the distance of the run before
	repeatBits  = 18 // of the table of places
)

// mostForm is how many bytes the form of n bytes has at most: a run takes fewer than twice the bytes that it says.
func mostForm(n int) int64 { return 2*int64(n) + 2*binary.MaxVarintLen64 }

// withoutRepeats is the form of bytes in which repeats are places.
func withoutRepeats(b []byte) []byte {
	le := binary.LittleEndian
	places := make([]int32, 1<<repeatBits) // 1 more than where bytes with a hash were last
	hash := func(i int) uint64 {
		const odd, other = 0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f
		return (bits.RotateLeft64(le.Uint64(b[i:])*odd, 31) + le.Uint64(b[i+8:])) * other >> (64 - repeatBits)
	}
	same := func(i, distance int) (n int) {
		for i+n < len(b) && b[i+n] == b[i+n-distance] {
			n++
		}
		return n
	}
	var runs, distances, fresh []byte
	last, start := 0, 0 // the distance of the last run, and where it ends
	for i := 0; i < len(b); {
		n, distance := 0, last
		if last > 0 {
			n = same(i, last)
		}
		if n < leastRepeat && i+leastRepeat <= len(b) {
			h := hash(i)
			if j := int(places[h]) - 1; j >= 0 {
				if m := same(i, i-j); m >= leastRepeat {
					n, distance = m, i-j
				}
			}
			places[h] = int32(i + 1)
		}
		if n < leastAgain {
			i++
			continue
		}
		for i > start && i > distance && b[i-1] == b[i-1-distance] {
			i, n = i-1, n+1
		}
		runs = binary.AppendUvarint(binary.AppendUvarint(runs, uint64(i-start)), uint64(n))
		if fresh = append(fresh, b[start:i]...); distance == last {
			distances = append(distances, 0)
		} else {
			distances = binary.AppendUvarint(distances, uint64(distance))
		}
		last, start = distance, i+n
		for ; i < start; i++ {
			if i+leastRepeat <= len(b) {
				places[hash(i)] = int32(i + 1)
			}
		}
	}
	out := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(len(runs))), uint64(len(distances)))
	return append(append(append(append(out, runs...), distances...), fresh...), b[start:]...)
}

var errRepeats = errors.New("what repeats is said otherwise than expected")

// withRepeats fills `to` from the form of its bytes that withoutRepeats makes.
func withRepeats(to, b []byte) error {
	ok := true
	number := func(from *[]byte, most int) int {
		v, n := binary.Uvarint(*from)
		if n <= 0 || v > uint64(most) {
			ok = false
			return 0
		}
		*from = (*from)[n:]
		return int(v)
	}
	list := func(n int) (l []byte) {
		if n > len(b) {
			ok, n = false, 0
		}
		l, b = b[:n], b[n:]
		return l
	}
	r := number(&b, len(b))
	d := number(&b, len(b))
	runs := list(r)
	distances := list(d)
	at, distance := 0, 0
	for ok && len(runs) > 0 {
		at += copy(to[at:], list(number(&runs, len(to)-at)))
		n := number(&runs, len(to)-at)
		if next := number(&distances, at); next > 0 {
			distance = next
		}
		if distance == 0 || !ok {
			return errRepeats
		}
		for n > 0 { // what is copied may reach into itself
			m := copy(to[at:at+n], to[at-distance:at])
			at, n = at+m, n-m
		}
	}
	if !ok || len(distances) > 0 || len(b) != len(to)-at {
		return errRepeats
	}
	copy(to[at:], b)
	return nil
}
