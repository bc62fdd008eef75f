package tile

// Tile registers are named by number, not values: an operation on them is done where it stands, in the order of the
// kernel.

func (b *Builder) onTiles(op Op, tiles []int, args ...*Value) {
	b.append(&Inst{Op: op, Args: args, Tiles: tiles})
}

// TileConfig gives tile registers the shapes that 64 bytes at p[off] hold, and zeros.
func (b *Builder) TileConfig(p, off *Value) { b.onTiles(TileConfig, nil, p, off) }

// TileShapes gives all tile registers rows of 64 bytes, as many to each as its byte of an i64 says, the lowest for the
// first; p points to 64 bytes for the configuration, as i64.
func (b *Builder) TileShapes(p, rows *Value) {
	const widths = 0x0040004000400040 // of four registers
	for i, v := range []*Value{b.Int(1), b.Int(0), b.Int(widths), b.Int(widths), b.Int(0), b.Int(0), rows, b.Int(0)} {
		b.Store(p, b.Int(int64(i)), v)
	}
	b.TileConfig(p, b.Int(0))
}

// TileRelease takes the shapes of all tile registers away.
func (b *Builder) TileRelease() { b.onTiles(TileRelease, nil) }

// TileZero makes tile t zero.
func (b *Builder) TileZero(t int) { b.onTiles(TileZero, []int{t}) }

// TileLoad reads tile t from p[off], its rows `stride` bytes apart.
func (b *Builder) TileLoad(t int, p, off, stride *Value) {
	b.onTiles(TileLoad, []int{t}, p, off, stride)
}

// TileStore writes tile t to p[off], its rows `stride` bytes apart.
func (b *Builder) TileStore(t int, p, off, stride *Value) {
	b.onTiles(TileStore, []int{t}, p, off, stride)
}

// TileDot adds to tile c the product of tiles x and y: TileDotSS, TileDotSU or TileDotBF16.
func (b *Builder) TileDot(op Op, c, x, y int) { b.onTiles(op, []int{c, x, y}) }

// Flush makes floats that are subnormal 0 in arithmetic from here on, or ends that. The kernel keeps its control flow.
func (b *Builder) Flush(on bool) {
	if !b.kept {
		fail("flush in a kernel that does not keep its control flow")
	}
	b.append(&Inst{Op: Flush, Args: []*Value{b.Scratch(1)}, Imm: pick[int64](on, 1, 0)})
}
