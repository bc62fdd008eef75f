package program

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"runtime"

	"pgc/runtime/fault"
)

// BlockBytes is how much of the weights section a checksum covers: reading it takes 0.1 ms.
const BlockBytes = 1 << 20

// ErrDamaged is in the chain of errors that say that the weights are not what was compiled.
var ErrDamaged = errors.New("the weights are damaged")

// damaged is an error of CheckBlock.
type damaged struct{ error }

// Is makes it ErrDamaged.
func (d damaged) Is(target error) bool { return target == ErrDamaged }

// Unwrap returns the cause.
func (d damaged) Unwrap() error { return d.error }

// blockSums computes the checksums of a section's blocks from its bytes, piece by piece.
type blockSums struct {
	sums []uint32
	room int64 // bytes that the last block still takes
}

func (s *blockSums) add(b []byte) {
	for len(b) > 0 {
		if s.room == 0 {
			s.sums, s.room = append(s.sums, 0), BlockBytes
		}
		n := min(s.room, int64(len(b)))
		last := &s.sums[len(s.sums)-1]
		*last = crc32.Update(*last, crcTable(), b[:n])
		s.room -= n
		b = b[n:]
	}
}

// encode is the section of the sums.
func (s *blockSums) encode() []byte {
	b := make([]byte, 0, 4*len(s.sums))
	for _, sum := range s.sums {
		b = binary.LittleEndian.AppendUint32(b, sum)
	}
	return b
}

// readSums reads the checksums of the weights' blocks.
func (m *Executable) readSums() error {
	b := m.Section(SectionSums)
	if want := 4 * ((len(m.mapped[SectionWeights]) + BlockBytes - 1) / BlockBytes); len(b) != want {
		return fmt.Errorf("it has %d bytes, expected %d for %d bytes of weights", len(b), want, len(m.mapped[SectionWeights]))
	}
	m.sums = make([]uint32, len(b)/4)
	for i := range m.sums {
		m.sums[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return nil
}

// Blocks is the number of blocks of the weights, the section's padding included.
func (m *Executable) Blocks() int { return len(m.sums) }

// checksum returns the CRC-32C of sum's bytes and b. It reads the lines of a page before their checksum, which hash/crc32
// computes from three places at once, because processors fetch ahead only what is read in order: from memory it is 1.3
// times as fast.
func checksum(sum uint32, b []byte) uint32 {
	const page, line = 4096, 64
	for len(b) > 0 {
		part := b[:min(page, len(b))]
		first := byte(0)
		for i := 0; i < len(part); i += line {
			first += part[i]
		}
		runtime.KeepAlive(first)
		sum = crc32.Update(sum, crcTable(), part)
		b = b[len(part):]
	}
	return sum
}

// CheckBlock reads a block of the weights and compares its checksum. An error is ErrDamaged and names what is damaged,
// for which all weights are read, or is that of ctx. Blocks may be checked from many goroutines.
func (m *Executable) CheckBlock(ctx context.Context, i int) error {
	weights := m.mapped[SectionWeights]
	block := weights[i*BlockBytes : min(len(weights), (i+1)*BlockBytes)]
	err := fault.Guard(func() error {
		if checksum(0, block) == m.sums[i] {
			return nil
		}
		return m.findDamage(ctx)
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return damaged{fmt.Errorf("%s: section %s: %w: %s", m.path, SectionWeights, err, remedy)}
	}
	return nil
}

// findDamage names the first damaged tensor and the number of others.
func (m *Executable) findDamage(ctx context.Context) error {
	first, count := "", 0
	for _, w := range m.Programs[0].Weights {
		sum, b := uint32(0), m.Weights[w.Offset:w.Offset+w.Bytes]
		for len(b) > 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := min(BlockBytes, len(b))
			sum, b = checksum(sum, b[:n]), b[n:]
		}
		if sum == w.Sum {
			continue
		}
		if count++; count == 1 {
			first = w.Name
		}
	}
	switch count {
	case 0:
		return errors.New("damaged between the tensors")
	case 1:
		return fmt.Errorf("tensor %s is damaged", first)
	}
	return fmt.Errorf("tensor %s and %d more are damaged", first, count-1)
}
