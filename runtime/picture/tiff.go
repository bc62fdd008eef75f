package picture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The decoder of TIFF 6.0 is our own because golang.org/x/image/tiff knows neither
// CMYK nor planes apart nor grey with alpha nor JPEG inside; its LZW and fax
// decoders are used.

// Tags of a TIFF directory.
const (
	tagWidth        = 256
	tagHeight       = 257
	tagBits         = 258
	tagCompression  = 259
	tagPhotometric  = 262
	tagFillOrder    = 266
	tagStripOffsets = 273
	tagOrientation  = 274
	tagSamples      = 277
	tagRowsPerStrip = 278
	tagStripBytes   = 279
	tagPlanar       = 284
	tagT4Options    = 292
	tagPredictor    = 317
	tagColourMap    = 320
	tagTileWidth    = 322
	tagTileHeight   = 323
	tagTileOffsets  = 324
	tagTileBytes    = 325
	tagExtraSamples = 338
	tagSampleFormat = 339
	tagJPEGTables   = 347
	tagXMP          = 700
)

// Photometric interpretations.
const (
	whiteIsZero = 0
	blackIsZero = 1
	tiffRGB     = 2
	tiffPalette = 3
	tiffCMYK    = 5
	tiffYCbCr   = 6
)

// Kinds of a sample beyond the colour.
const (
	noAlpha       = 0
	premultiplied = 1
	straight      = 2
)

// tiffOrder is the byte order of a TIFF structure.
func tiffOrder(b []byte) binary.ByteOrder {
	if b[0] == 'M' {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// tiffEntry finds an entry of the first directory of a TIFF structure, the form of
// TIFF files and of all EXIF data, and returns its values as bytes; kind is 0
// when it is absent, values are nil when they lie outside.
func tiffEntry(b []byte, tag uint16) (kind uint16, values []byte) {
	if len(b) < 8 {
		return 0, nil
	}
	order := tiffOrder(b)
	at := int64(order.Uint32(b[4:]))
	if at < 8 || at > int64(len(b))-2 {
		return 0, nil
	}
	for n, e := order.Uint16(b[at:]), b[at+2:]; n > 0 && len(e) >= 12; n, e = n-1, e[12:] {
		if order.Uint16(e) != tag {
			continue
		}
		kind = order.Uint16(e[2:])
		size := int64(order.Uint32(e[4:])) * map[uint16]int64{1: 1, 3: 2, 4: 4, 7: 1}[kind]
		if size <= 4 {
			return kind, e[8 : 8+size]
		}
		at := int64(order.Uint32(e[8:]))
		if at > int64(len(b)) || size > int64(len(b))-at {
			return kind, nil
		}
		return kind, b[at : at+size]
	}
	return 0, nil
}

// tiffValues are the values of an entry of bytes, shorts or longs.
func tiffValues(b []byte, tag uint16) []int {
	kind, v := tiffEntry(b, tag)
	if len(v) == 0 {
		return nil
	}
	order := tiffOrder(b)
	var out []int
	switch kind {
	case 1:
		for _, x := range v {
			out = append(out, int(x))
		}
	case 3:
		for ; len(v) >= 2; v = v[2:] {
			out = append(out, int(order.Uint16(v)))
		}
	case 4:
		for ; len(v) >= 4; v = v[4:] {
			out = append(out, int(order.Uint32(v)))
		}
	}
	return out
}

// tiffTag is the first value of an entry, or def.
func tiffTag(b []byte, tag uint16, def int) int {
	if v := tiffValues(b, tag); len(v) > 0 {
		return v[0]
	}
	return def
}

// tiffFile is what the first directory of a file says.
type tiffFile struct {
	data  []byte
	order binary.ByteOrder

	width, height int
	bits          int // of a sample
	samples       int // of a pixel
	photometric   int
	colours       int // samples that make up the colour
	alpha         int // what the sample behind them is
	palette       [256][3]byte
	planar        bool // samples lie in planes of their own

	compression, predictor  int
	reversed                bool // the bits of each byte
	blockWidth, blockHeight int  // of a strip or tile
	across, down            int  // blocks
	tiles                   bool
	offsets, lengths        []int // of blocks; lengths may be missing
}

// maxSamples bounds the samples of a pixel.
const maxSamples = 8

func parseTIFF(data []byte, lim Limits) (*tiffFile, error) {
	if len(data) < 8 {
		return nil, io.ErrUnexpectedEOF
	}
	tag := func(tag uint16, def int) int { return tiffTag(data, tag, def) }
	f := &tiffFile{data: data, order: tiffOrder(data), width: tag(tagWidth, 0), height: tag(tagHeight, 0), bits: tag(tagBits, 1),
		samples: tag(tagSamples, 1), photometric: tag(tagPhotometric, whiteIsZero), planar: tag(tagPlanar, 1) == 2,
		compression: tag(tagCompression, 1), predictor: tag(tagPredictor, 1), reversed: tag(tagFillOrder, 1) == 2}
	at := int64(f.order.Uint32(data[4:]))
	if at+2 > int64(len(data)) || at+2+12*int64(f.order.Uint16(data[at:])) > int64(len(data)) {
		return nil, io.ErrUnexpectedEOF
	}
	for _, t := range []uint16{tagBits, tagStripOffsets, tagStripBytes, tagColourMap, tagTileOffsets, tagTileBytes, tagExtraSamples, tagJPEGTables, tagXMP} {
		if kind, values := tiffEntry(data, t); kind != 0 && values == nil {
			return nil, io.ErrUnexpectedEOF
		}
	}
	if err := lim.check(f.width, f.height); err != nil {
		return nil, err
	}
	if err := f.layout(); err != nil {
		return nil, err
	}
	return f, f.blocks(lim)
}

// layout checks what a pixel is made of.
func (f *tiffFile) layout() error {
	for _, b := range tiffValues(f.data, tagBits) {
		if b != f.bits {
			return errors.New("unsupported samples of different sizes")
		}
	}
	switch f.bits {
	case 1, 2, 4, 8, 16:
	default:
		return fmt.Errorf("unsupported samples of %d bits, only 1, 2, 4, 8 and 16 are", f.bits)
	}
	if format := tiffTag(f.data, tagSampleFormat, 1); format != 1 && format != 4 {
		return fmt.Errorf("unsupported sample format %d, only unsigned integers are", format)
	}
	switch f.photometric {
	case whiteIsZero, blackIsZero:
		f.colours = 1
	case tiffRGB:
		f.colours = 3
	case tiffPalette:
		f.colours = 1
		if f.bits > 8 {
			return fmt.Errorf("unsupported palette of %d bits, only up to 8 are", f.bits)
		}
		colours := tiffValues(f.data, tagColourMap)
		if n := 1 << f.bits; len(colours) != 3*n {
			return fmt.Errorf("its palette has %d values, expected %d", len(colours), 3*n)
		} else {
			for i, v := range colours {
				f.palette[i%n][i/n] = byte(v >> 8)
			}
		}
	case tiffCMYK:
		f.colours = 4
	case tiffYCbCr:
		if f.colours = 3; f.compression != 7 {
			return errors.New("unsupported YCbCr without JPEG")
		}
	default:
		return fmt.Errorf("unsupported photometric interpretation %d, only grey, RGB, palette, CMYK and YCbCr in JPEG are", f.photometric)
	}
	if f.samples < f.colours || f.samples > maxSamples {
		return fmt.Errorf("it has %d samples for a pixel, expected %d to %d", f.samples, f.colours, maxSamples)
	}
	if f.samples > f.colours {
		def := noAlpha
		if f.photometric == tiffRGB && f.samples == 4 {
			def = straight
		}
		switch tiffTag(f.data, tagExtraSamples, def) {
		case premultiplied:
			f.alpha = premultiplied
		case straight, 999: // the latter is Corel Draw's
			f.alpha = straight
		}
	}
	if f.predictor != 1 && (f.predictor != 2 || f.bits < 8) {
		return fmt.Errorf("unsupported predictor %d with samples of %d bits", f.predictor, f.bits)
	}
	return nil
}

// blocks finds the strips or tiles.
func (f *tiffFile) blocks(lim Limits) error {
	f.blockWidth, f.blockHeight = f.width, min(tiffTag(f.data, tagRowsPerStrip, f.height), f.height)
	f.offsets, f.lengths = tiffValues(f.data, tagStripOffsets), tiffValues(f.data, tagStripBytes)
	if f.tiles = tiffTag(f.data, tagTileWidth, 0) != 0; f.tiles {
		f.blockWidth, f.blockHeight = tiffTag(f.data, tagTileWidth, 0), tiffTag(f.data, tagTileHeight, 0)
		f.offsets, f.lengths = tiffValues(f.data, tagTileOffsets), tiffValues(f.data, tagTileBytes)
	}
	least := 1
	if f.tiles {
		least = 16 // TIFF 6.0, section 15
	}
	if f.blockWidth < least || f.blockHeight < least || f.blockWidth > f.width+maxTile || f.blockHeight > f.height+maxTile ||
		int64(f.blockWidth)*int64(f.blockHeight) > lim.Pixels+maxTile*maxTile {
		return fmt.Errorf("its strips or tiles of %dx%d are of a bad size", f.blockWidth, f.blockHeight)
	}
	if f.compression == 7 && f.blockHeight%8 != 0 && f.blockHeight != f.height {
		return fmt.Errorf("its JPEG strips have %d rows, expected a multiple of 8", f.blockHeight)
	}
	f.across, f.down = ceilDiv(f.width, f.blockWidth), ceilDiv(f.height, f.blockHeight)
	n := f.across * f.down
	if f.planar {
		n *= f.samples
	}
	if len(f.offsets) < n || f.lengths != nil && len(f.lengths) < n {
		return fmt.Errorf("it has %d offsets and %d lengths of strips or tiles, expected %d (truncated)", len(f.offsets), len(f.lengths), n)
	}
	return nil
}

// maxTile is how far a tile may reach over the picture.
const maxTile = 1 << 10

// block is the coded data of block i.
func (f *tiffFile) block(i int) ([]byte, error) {
	at := f.offsets[i]
	if at > len(f.data) {
		return nil, io.ErrUnexpectedEOF
	}
	n := len(f.data) - at
	if f.lengths != nil && f.lengths[i] != 0 {
		n = f.lengths[i]
	}
	if n > len(f.data)-at {
		return nil, io.ErrUnexpectedEOF
	}
	return f.data[at : at+n], nil
}
