// Package tiff decodes TIFF 6.0. golang.org/x/image/tiff lacks CMYK, planar samples, gray with alpha and JPEG inside;
// its LZW and fax decoders are used.
package tiff

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"

	"pgc/runtime/imageio/internal/exif"
	"pgc/runtime/rgb"
)

// Tags of a directory.
const (
	tagWidth        = 256
	tagHeight       = 257
	tagBits         = 258
	tagCompression  = 259
	tagPhotometric  = 262
	tagFillOrder    = 266
	tagStripOffsets = 273
	tagSamples      = 277
	tagRowsPerStrip = 278
	tagStripBytes   = 279
	tagPlanar       = 284
	tagT4Options    = 292
	tagPredictor    = 317
	tagColorMap     = 320
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
	whiteIsZero  = 0
	blackIsZero  = 1
	rgbColor     = 2
	paletteColor = 3
	cmyk         = 5
	yCbCr        = 6
	cieLab       = 8
)

// Kinds of the sample behind the color.
const (
	noAlpha       = 0
	premultiplied = 1
	straight      = 2
)

// file holds what the first directory of a file says.
type file struct {
	data  []byte
	order binary.ByteOrder

	width, height int
	bits          int // of a sample
	samples       int // of a pixel
	format        int // of a sample
	span          rgb.Range
	depth         rgb.Depth
	planes        []byte // a row while the predictor of floats is undone
	photometric   int
	colors        int // samples that make up the color
	alpha         int // what the sample behind them is
	palette       [256][3]byte
	ycc           *ycc // of YCbCr without JPEG
	planar        bool // samples lie in planes of their own

	compression, predictor  int
	reversed                bool // the bits of each byte
	blockWidth, blockHeight int  // of a strip or tile
	across, down            int  // number of blocks
	tiles                   bool
	offsets, lengths        []int // of blocks; lengths may be missing
}

// maxSamples bounds the samples of a pixel.
const maxSamples = 8

// Size reads width and height from the first directory.
func Size(data []byte) (image.Point, error) {
	f, err := parse(data)
	if err != nil {
		return image.Point{}, err
	}
	return image.Pt(f.width, f.height), nil
}

// BytesPerPixel returns the most memory that Decode takes for a pixel of the file: the result, what is not undone row by
// row, and what the decoders of strips and tiles leave behind.
func BytesPerPixel(data []byte) int {
	f, err := parse(data)
	switch {
	case err != nil || f.compression == 7: // with a JPEG, which may be progressive, as large as the picture
		return 3*4 + 6
	case f.compression == 32773:
		return 5 + min(ceilDiv(f.samples*f.bits, 8), 4*maxSamples)
	}
	return 8
}

// Metadata returns the file, whose first directory is EXIF's, and XMP, nil where there is none.
func Metadata(data []byte) (ifd, xmp []byte) {
	_, xmp = exif.Entry(data, tagXMP)
	return data, xmp
}

// parse reads the first directory.
func parse(data []byte) (*file, error) {
	if len(data) < 8 {
		return nil, io.ErrUnexpectedEOF
	}
	tag := func(tag uint16, def int) int { return exif.Value(data, tag, def) }
	f := &file{data: data, order: exif.Order(data), width: tag(tagWidth, 0), height: tag(tagHeight, 0), bits: tag(tagBits, 1),
		samples: tag(tagSamples, 1), photometric: tag(tagPhotometric, whiteIsZero), planar: tag(tagPlanar, 1) == 2,
		format: tag(tagSampleFormat, unsigned), compression: tag(tagCompression, 1), predictor: tag(tagPredictor, 1), reversed: tag(tagFillOrder, 1) == 2}
	if _, _, ok := exif.Directory(data); !ok {
		return nil, io.ErrUnexpectedEOF
	}
	for _, t := range []uint16{tagBits, tagStripOffsets, tagStripBytes, tagColorMap, tagTileOffsets, tagTileBytes, tagExtraSamples, tagJPEGTables, tagXMP} {
		if kind, values := exif.Entry(data, t); kind != 0 && values == nil {
			return nil, io.ErrUnexpectedEOF
		}
	}
	return f, nil
}

// layout checks the samples of a pixel.
func (f *file) layout() error {
	for _, b := range exif.Values(f.data, tagBits) {
		if b != f.bits {
			return errors.New("unsupported samples of different sizes")
		}
	}
	switch f.bits {
	case 1, 2, 4, 8, 12, 16, 32:
	default:
		return fmt.Errorf("unsupported samples of %d bits, only 1, 2, 4, 8, 12, 16 and 32 are", f.bits)
	}
	if err := f.checkFormat(); err != nil {
		return err
	}
	switch f.photometric {
	case whiteIsZero, blackIsZero:
		f.colors = 1
	case rgbColor:
		f.colors = 3
	case paletteColor:
		f.colors = 1
		if f.bits > 8 {
			return fmt.Errorf("unsupported palette of %d bits, only up to 8 are", f.bits)
		}
		colors := exif.Values(f.data, tagColorMap)
		if n := 1 << f.bits; len(colors) != 3*n {
			return fmt.Errorf("its palette has %d values, expected %d", len(colors), 3*n)
		} else {
			for i, v := range colors {
				f.palette[i%n][i/n] = byte(v >> 8)
			}
		}
	case cmyk:
		f.colors = 4
	case yCbCr:
		if f.colors = 3; f.compression != 7 {
			if err := f.layoutYCbCr(); err != nil {
				return err
			}
		}
	case cieLab:
		if f.colors = 3; f.bits != 8 {
			return fmt.Errorf("unsupported Lab of %d bits, only 8 are", f.bits)
		}
	default:
		return fmt.Errorf("unsupported photometric interpretation %d, only gray, RGB, palette, CMYK, Lab and YCbCr are", f.photometric)
	}
	if f.samples < f.colors || f.samples > maxSamples {
		return fmt.Errorf("it has %d samples for a pixel, expected %d to %d", f.samples, f.colors, maxSamples)
	}
	if f.format == signed || f.bits == 12 || f.bits == 32 { // an alpha beside such samples is left out
		return f.checkPredictor()
	}
	if f.samples > f.colors {
		def := noAlpha
		if f.photometric == rgbColor && f.samples == 4 {
			def = straight
		}
		switch exif.Value(f.data, tagExtraSamples, def) {
		case premultiplied:
			f.alpha = premultiplied
		case straight, 999: // the latter is Corel Draw's
			f.alpha = straight
		}
	}
	return f.checkPredictor()
}

// checkPredictor refuses predictors that are not known.
func (f *file) checkPredictor() error {
	switch f.compression {
	case 5, 8, 32946:
	default:
		f.predictor = 1 // as libtiff, which knows the tag with LZW and deflate only
	}
	whole := f.predictor == 2 && (f.bits == 8 || f.bits == 16 || f.bits == 32)
	if f.predictor != 1 && !whole && (f.predictor != 3 || f.format != float) {
		return fmt.Errorf("unsupported predictor %d with samples of %d bits", f.predictor, f.bits)
	}
	return nil
}

// blocks finds the strips or tiles, each of at most a little more than maxPixels.
func (f *file) blocks(maxPixels int64) error {
	f.blockWidth, f.blockHeight = f.width, min(exif.Value(f.data, tagRowsPerStrip, f.height), f.height)
	f.offsets, f.lengths = exif.Values(f.data, tagStripOffsets), exif.Values(f.data, tagStripBytes)
	if f.tiles = exif.Value(f.data, tagTileWidth, 0) != 0; f.tiles {
		f.blockWidth, f.blockHeight = exif.Value(f.data, tagTileWidth, 0), exif.Value(f.data, tagTileHeight, 0)
		f.offsets, f.lengths = exif.Values(f.data, tagTileOffsets), exif.Values(f.data, tagTileBytes)
	}
	minSide := 1
	if f.tiles {
		minSide = 16 // TIFF 6.0, section 15
	}
	if f.blockWidth < minSide || f.blockHeight < minSide || f.blockWidth > f.width+maxTile || f.blockHeight > f.height+maxTile ||
		int64(f.blockWidth)*int64(f.blockHeight) > maxPixels+maxTile*maxTile {
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

// maxTile bounds how far a tile may reach beyond the image.
const maxTile = 1 << 10

// block returns the coded data of block i.
func (f *file) block(i int) ([]byte, error) {
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
