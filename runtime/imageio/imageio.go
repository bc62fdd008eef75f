// Package imageio reads image files and writes PNG.
//
// Read and Decode return packed 8-bit RGB from PNG, JPEG, GIF, WebP, BMP, TIFF and PNM, exactly the pixels that Pillow
// gives; see [Decode] for the rules. A format is a row of one table (format.go) and a package under internal/; codecs
// import package rgb and internal/exif, never each other.
package imageio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"pgc/runtime/imageio/internal/exif"
	"pgc/runtime/rgb"
)

// Limits bound what a decoder may be asked to do. An image over a limit is an error found before its pixels are
// decoded, so memory is bounded by the file (Bytes) plus at most bytesPerPixel for each of Pixels; most formats take 5
// to 8. Memory, unless nil, says why what (a noun phrase) cannot have need bytes of memory. It is asked before a file is
// read and before its pixels are decoded; its error ends either and stays in the chain of the error returned.
type Limits struct {
	Pixels int64 // width times height
	Bytes  int64 // length of the file
	Memory func(need int64, what string) error
}

// memory asks for memory that is not negligible.
func (l *Limits) memory(need int64, what string) error {
	if l.Memory == nil || need < 1<<20 {
		return nil
	}
	if err := l.Memory(need, what); err != nil {
		return memoryError{err}
	}
	return nil
}

// DefaultLimits allow 120 megapixels, enough for phone cameras of 108, and files of 512 MiB.
var DefaultLimits = Limits{Pixels: 120_000_000, Bytes: 512 << 20}

// bytesPerPixel is what the most demanding decoder takes: a 16-bit PNG, interlaced and turned upright.
const bytesPerPixel = 24

// maxSide bounds width and height alone, so that a tiny file cannot ask for filter tables of a hundred million entries.
const maxSide = 1 << 18

// headBytes is the number of bytes that determine the format.
const headBytes = 512

// Read decodes the image in the file at path, or on standard input when path is "-". Every error is one sentence that
// names the file, or that of ctx when it ends.
func Read(ctx context.Context, path string, lim Limits) (*rgb.Image, error) {
	type content struct {
		name string
		data []byte
		err  error
	}
	done := make(chan content, 1)
	go func() { // a file may be a FIFO that nobody writes
		name, data, err := load(ctx, path, lim)
		done <- content{name, data, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case c := <-done:
		if c.err != nil {
			return nil, c.err
		}
		return Decode(ctx, c.name, c.data, lim)
	}
}

// load reads a file, or so much of it that its beginning shows that it is no image. name stands for it in errors.
func load(ctx context.Context, path string, lim Limits) (name string, content []byte, err error) {
	name, file := path, os.Stdin
	if path == "-" {
		name = "standard input"
	} else {
		f, err := os.Open(path)
		if err != nil {
			return "", nil, fmt.Errorf("image %s: %s", path, openReason(err))
		}
		defer f.Close()
		file = f
	}
	var data bytes.Buffer
	if info, err := file.Stat(); err == nil {
		switch {
		case info.IsDir():
			return "", nil, fmt.Errorf("image %s: it is a directory, %s", name, expected)
		case info.Size() > lim.Bytes:
			return "", nil, fmt.Errorf("image %s: its %d bytes are over the limit of %d", name, info.Size(), lim.Bytes)
		}
		if err := lim.memory(info.Size(), "the file"); err != nil {
			return "", nil, fmt.Errorf("image %s: %w", name, err)
		}
		data.Grow(int(info.Size()) + bytes.MinRead)
	}
	_, err = io.CopyN(&data, file, headBytes)
	if err == nil && sniff(data.Bytes()) != nil { // else there is no need to read on
		_, err = data.ReadFrom(io.LimitReader(&asking{ctx: ctx, Reader: file, lim: lim, next: int64(data.Cap())}, lim.Bytes+1-headBytes))
	}
	if errors.As(err, new(memoryError)) {
		return "", nil, fmt.Errorf("image %s: %w", name, err)
	}
	if err != nil && err != io.EOF {
		return "", nil, fmt.Errorf("image %s: it cannot be read: %w", name, reason(err))
	}
	return name, data.Bytes(), nil
}

// asking is a reader that asks for memory whenever what it has read doubles: a buffer of it doubles, too.
type asking struct {
	ctx context.Context
	io.Reader
	lim     Limits
	n, next int64
}

// Read implements io.Reader.
func (r *asking) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if r.n > r.next {
		r.next = 2 * r.n
		if err := r.lim.memory(r.next, "the file"); err != nil {
			return 0, err
		}
	}
	n, err := r.Reader.Read(b)
	r.n += int64(n)
	return n, err
}

// Error is an error about the content of an image file.
type Error struct {
	Name string
	Err  error
}

func (e *Error) Error() string { return "image " + e.Name + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Decode decodes an image file held in memory. Its first bytes say its format; name is used in errors only. When ctx
// ends, its error comes within a row of blocks of a JPEG, a strip of a TIFF, some kilobytes of other formats. The rules
// are those of Pillow and of transformers' convert_to_rgb:
//
//   - transparency (an alpha channel, tRNS, a transparent palette entry) is composited over white, see [rgb.OverWhite];
//   - 16-bit samples keep their high byte (Pillow does so for color; its 16-bit gray clips at 255 instead, which
//     whitens the image and is not imitated); gray ones that reach no further than 8, 10 or 12 bits are of so many, see
//     [rgb.Image.SettleDeep];
//   - a JPEG is transformed, its chroma upsampled (by the triangle filter) and converted as libjpeg-turbo does, a
//     progressive one that lacks scans is smoothed; CMYK and YCCK become RGB by Pillow's formula; a lossy WebP is
//     upsampled and converted as libwebp does;
//   - an EXIF or TIFF orientation is applied (ImageOps.exif_transpose);
//   - of an animation the first frame is taken, on its canvas;
//   - color profiles and gamma are ignored.
func Decode(ctx context.Context, name string, data []byte, lim Limits) (*rgb.Image, error) {
	p, err := decode(ctx, data, lim)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, &Error{name, err}
	}
	return p, nil
}

func decode(ctx context.Context, data []byte, lim Limits) (*rgb.Image, error) {
	if len(data) == 0 {
		return nil, errors.New("it is empty, " + expected)
	}
	if int64(len(data)) > lim.Bytes {
		return nil, fmt.Errorf("it is over the limit of %d bytes", lim.Bytes)
	}
	f := sniff(data)
	if f == nil {
		return nil, errors.New(foreign(data) + ", " + expected)
	}
	p, err := f.read(ctx, data, lim)
	if err != nil {
		return nil, f.explain(err)
	}
	return p, nil
}

// read checks size and memory by the header, decodes and turns upright. It returns a panic inside a decoder, which only a
// malformed file can cause, as an error.
func (f *format) read(ctx context.Context, data []byte, lim Limits) (p *rgb.Image, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("the decoder failed on it (%v)", r)
		}
	}()
	size, err := f.size(data)
	if err != nil {
		return nil, err
	}
	if err := checkSize(size, lim.Pixels); err != nil {
		return nil, err
	}
	orientation, each := 1, int64(f.memory(data))
	if f.metadata != nil {
		if orientation = exif.Orientation(f.metadata(data)); orientation > 1 {
			each += 3 // the image, turned
		}
	}
	if err := lim.memory(each*int64(size.X)*int64(size.Y), fmt.Sprintf("its size %dx%d", size.X, size.Y)); err != nil {
		return nil, err
	}
	if p, err = f.decode(ctx, data, lim.Pixels); err != nil {
		return nil, err
	}
	return orient(p, orientation), nil
}
