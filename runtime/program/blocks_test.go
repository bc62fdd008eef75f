package program

import (
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

// TestChecksum compares sums of pieces of every length with the library's.
func TestChecksum(t *testing.T) {
	b := make([]byte, 3*4096+100)
	rand.NewChaCha8([32]byte{}).Read(b)
	for _, n := range []int{0, 1, 63, 64, 65, 4095, 4096, 4097, len(b)} {
		if got, want := checksum(7, b[:n]), crc32.Update(7, crcTable(), b[:n]); got != want {
			t.Errorf("%d bytes: %08x, expected %08x", n, got, want)
		}
	}
}

// BenchmarkChecksum reads more than the caches hold.
func BenchmarkChecksum(b *testing.B) {
	data := make([]byte, 256<<20)
	for i := range data {
		data[i] = byte(i * 7)
	}
	for name, sum := range map[string]func(b []byte) uint32{
		"library": func(b []byte) uint32 { return crc32.Checksum(b, crcTable()) },
		"ours":    func(b []byte) uint32 { return checksum(0, b) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				sum(data)
			}
		})
	}
}
