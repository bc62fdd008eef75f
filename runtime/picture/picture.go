// Package picture reads pictures, turns them into the pixel_values of a vision
// tower, and draws boxes over them.
//
// Read and Decode give packed 8-bit RGB from PNG, JPEG, GIF, WebP, BMP and TIFF
// with the pixels Pillow gives (see docs of [Decode] for the rules); Resize is
// bit-exact with Pillow's bicubic; PixelValues rescales and normalizes as
// transformers does; Draw and WritePNG show detections.
//
// The package imports the standard library and golang.org/x/image only: nothing
// of the compiler, nothing of the rest of the runtime.
package picture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Picture is an 8-bit RGB picture, rows from the top, packed without padding.
type Picture struct {
	Width, Height int
	RGB           []byte // 3*Width*Height bytes: R, G, B of each pixel
	Format        string // what it was decoded from: "PNG", "JPEG", …; empty when made otherwise
}

// New returns a black picture.
func New(width, height int) *Picture {
	return &Picture{Width: width, Height: height, RGB: make([]byte, 3*width*height)}
}

// Limits bound what a decoder may be asked to do. A picture over a limit is an
// error found before its pixels are decoded, so memory is bounded by the file
// (Bytes) plus at most bytesPerPixel for each of Pixels; most formats take 5 to 8.
type Limits struct {
	Pixels int64 // width times height
	Bytes  int64 // length of the file
}

// DefaultLimits allow 120 megapixels, which takes in telephones of 108, and files of 512 MiB.
var DefaultLimits = Limits{Pixels: 120_000_000, Bytes: 512 << 20}

// bytesPerPixel is what the greediest decoder takes, a PNG of 16 bits, interlaced and
// turned upright.
const bytesPerPixel = 24

// maxSide bounds width and height alone, so that a tiny file cannot ask for
// filter tables of a hundred million entries.
const maxSide = 1 << 18

// headBytes are enough to tell the format.
const headBytes = 512

// expected ends the errors about files that are no picture.
const expected = "expected a PNG, JPEG, GIF, WebP, BMP or TIFF picture"

// Read decodes the picture in the file at path, or on standard input when path
// is "-". Every error is one sentence that names the file.
func Read(path string, lim Limits) (*Picture, error) {
	name, file := path, os.Stdin
	if path == "-" {
		name = "standard input"
	} else {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("picture %s: %s", path, openReason(err))
		}
		defer f.Close()
		file = f
	}
	var data bytes.Buffer
	if info, err := file.Stat(); err == nil {
		switch {
		case info.IsDir():
			return nil, fmt.Errorf("picture %s: it is a directory, %s", name, expected)
		case info.Size() > lim.Bytes:
			return nil, fmt.Errorf("picture %s: its %d bytes are over the limit of %d", name, info.Size(), lim.Bytes)
		}
		data.Grow(int(info.Size()) + bytes.MinRead)
	}
	_, err := io.CopyN(&data, file, headBytes)
	if err == nil && sniff(data.Bytes()) != nil { // else there is no need to read on
		_, err = data.ReadFrom(io.LimitReader(file, lim.Bytes+1-headBytes))
	}
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("picture %s: it cannot be read: %w", name, reason(err))
	}
	return Decode(name, data.Bytes(), lim)
}

// Decode decodes a picture held in memory. Its format is told from its first
// bytes; name is used in errors only. The rules, which are those of Pillow and of
// transformers' convert_to_rgb:
//
//   - transparency (an alpha channel, tRNS, a transparent palette entry) is
//     composited over white, see [overWhite];
//   - 16-bit samples keep their high byte (Pillow does so for colour; its 16-bit
//     grey clips at 255 instead, which whitens the picture and is not imitated);
//   - a JPEG is transformed, its chroma upsampled (by the triangle filter) and
//     converted as libjpeg-turbo does, a progressive one that lacks scans is
//     smoothed; CMYK and YCCK become RGB by Pillow's formula; a lossy WebP is
//     upsampled and converted as libwebp does;
//   - an EXIF or TIFF orientation is applied (ImageOps.exif_transpose);
//   - of an animation the first frame is taken, on its canvas;
//   - colour profiles and gamma are ignored.
func Decode(name string, data []byte, lim Limits) (*Picture, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("picture %s: it is empty, %s", name, expected)
	}
	if int64(len(data)) > lim.Bytes {
		return nil, fmt.Errorf("picture %s: it is over the limit of %d bytes", name, lim.Bytes)
	}
	f := sniff(data)
	if f == nil {
		return nil, fmt.Errorf("picture %s: %s, %s", name, foreign(data), expected)
	}
	p, err := decode(f, data, lim)
	if err != nil {
		return nil, fmt.Errorf("picture %s: %w", name, f.explain(err))
	}
	p.Format = f.name
	return p, nil
}

// decode runs one format's decoder. A panic inside a decoder, which only a
// malformed file can cause, becomes an error.
func decode(f *format, data []byte, lim Limits) (p *Picture, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("the decoder failed on it (%v)", r)
		}
	}()
	p, err = f.decode(data, lim)
	if err != nil {
		return nil, err
	}
	return orient(p, f.orientation(data)), nil
}

// check reports a size that no picture has or that is over the limits.
func (lim Limits) check(width, height int) error {
	switch {
	case width <= 0 || height <= 0:
		return tooSmall{width, height}
	case width > maxSide || height > maxSide:
		return tooBig{width, height, fmt.Sprintf("%d a side", maxSide)}
	case int64(width)*int64(height) > lim.Pixels:
		return tooBig{width, height, fmt.Sprintf("%d pixels", lim.Pixels)}
	}
	return nil
}

type tooSmall struct{ width, height int }

func (e tooSmall) Error() string {
	return fmt.Sprintf("its size is %dx%d, expected at least one pixel", e.width, e.height)
}

type tooBig struct {
	width, height int
	limit         string
}

func (e tooBig) Error() string {
	return fmt.Sprintf("its size %dx%d is over the limit of %s", e.width, e.height, e.limit)
}

// openReason says in words why a file did not open.
func openReason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such file, " + expected
	case errors.Is(err, fs.ErrPermission):
		return "no permission to read it"
	}
	return reason(err).Error()
}

// reason is the system's reason without the operation and the path, which the
// caller names itself.
func reason(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// explain turns a decoder's error into a sentence about the file.
func (f *format) explain(err error) error {
	if _, ok := errors.AsType[tooBig](err); ok {
		return err
	}
	if _, ok := errors.AsType[tooSmall](err); ok {
		return err
	}
	text := err.Error()
	for _, prefix := range []string{"png: ", "jpeg: ", "gif: ", "webp: ", "bmp: ", "tiff: ", "vp8: ", "vp8l: ", "riff: ", "invalid format: ", "invalid JPEG format: ", "zlib: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	lower := strings.ToLower(text)
	for _, mark := range []string{"eof", "short chunk", "missing chunk", "not enough", "short read", "unexpected end", "truncated"} {
		if strings.Contains(lower, mark) {
			return fmt.Errorf("the %s file is truncated or damaged, expected more data (%s)", f.name, text)
		}
	}
	if strings.Contains(lower, "unsupported") {
		return fmt.Errorf("this kind of %s file is not supported (%s), expected one that common tools write", f.name, text)
	}
	return fmt.Errorf("the %s file is damaged (%s)", f.name, text)
}

// reader is the bytes as the decoders want them.
func reader(data []byte) *bytes.Reader { return bytes.NewReader(data) }
