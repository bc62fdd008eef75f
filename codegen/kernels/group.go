package kernels

// Group is a format of integers in groups along K (see package quant); the zero Group means floats.
type Group struct {
	Bits int // 8 or 4
	Len  int64
}

// A quantized matrix is packed in blocks, one for every panel of 16 rows and group of k, panel by panel. A block is a
// header of 64 bytes and then the integers, short groups padded with zeros:
//
//	8 bits: 16 float32 scales; byte (k/4)·64 + n·4 + k%4 is element (n, k)
//	4 bits: 16 bfloat16 scales, 16 bfloat16 minima; byte (k/8)·64 + n·4 + k%4 holds (n, k), in its upper half if k%8 ≥ 4
//
// so that a vector of bytes holds neighbors in k, whose products processors add.
const groupHeader = 64

// Blocks counts the groups of a row of k values.
func (q Group) Blocks(k int64) int64 { return (k + q.Len - 1) / q.Len }

// BlockBytes returns the size of a block.
func (q Group) BlockBytes() int64 { return groupHeader + PanelWidth*q.Len*int64(q.Bits)/8 }

// PackedBytes returns the size of a packed matrix of blocks × n rows of k.
func (q Group) PackedBytes(blocks, n, k int64) int64 {
	return PackedLen(blocks, n, 1) / PanelWidth * q.Blocks(k) * q.BlockBytes()
}

// At returns where integer (n, k) of a block lies, n below 16 and k below the length of a group, and by how much it is
// shifted.
func (q Group) At(n, k int64) (at int64, shift int) {
	if q.Bits == 8 {
		return groupHeader + k/4*4*PanelWidth + n*4 + k%4, 0
	}
	return groupHeader + k/8*4*PanelWidth + n*4 + k%4, int(k % 8 / 4 * 4)
}

// stepBytes returns how far a step of k is from the next in a block.
func (q Group) stepBytes() int64 { return PanelWidth * int64(q.Bits) / 8 }
