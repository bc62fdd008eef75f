package imageio

import (
	"errors"
	"fmt"
	"image"
	"io/fs"
	"strings"
)

// sizeError is an error about the size in a header.
type sizeError string

func (e sizeError) Error() string { return string(e) }

// memoryError is an error of Limits.Memory.
type memoryError struct{ error }

func (e memoryError) Unwrap() error { return e.error }

// checkSize refuses a size that no image has or that is over the limits.
func checkSize(size image.Point, maxPixels int64) error {
	over := func(limit string) error {
		return sizeError(fmt.Sprintf("its size %dx%d is over the limit of %s", size.X, size.Y, limit))
	}
	switch {
	case size.X <= 0 || size.Y <= 0:
		return sizeError(fmt.Sprintf("its size is %dx%d, expected at least one pixel", size.X, size.Y))
	case size.X > maxSide || size.Y > maxSide:
		return over(fmt.Sprintf("%d a side", maxSide))
	case int64(size.X)*int64(size.Y) > maxPixels:
		return over(fmt.Sprintf("%d pixels", maxPixels))
	}
	return nil
}

// openReason says why a file did not open.
func openReason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such file, " + expected
	case errors.Is(err, fs.ErrPermission):
		return "no permission to read it"
	}
	return reason(err).Error()
}

// reason strips the operation and the path, which the caller names itself, from an error of the system.
func reason(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// decoderPrefixes begin the messages of decoders.
var decoderPrefixes = []string{"png: ", "jpeg: ", "gif: ", "webp: ", "bmp: ", "tiff: ", "vp8: ", "vp8l: ", "riff: ", "invalid format: ",
	"invalid JPEG format: ", "zlib: "}

// truncation marks messages of decoders about data that ends early.
var truncation = []string{"eof", "short chunk", "missing chunk", "not enough", "short read", "unexpected end", "truncated"}

// explain turns a decoder's error into a sentence about the file.
func (f *format) explain(err error) error {
	if errors.As(err, new(sizeError)) || errors.As(err, new(memoryError)) {
		return err
	}
	text := err.Error()
	for _, prefix := range decoderPrefixes {
		text = strings.TrimPrefix(text, prefix)
	}
	lower := strings.ToLower(text)
	for _, mark := range truncation {
		if strings.Contains(lower, mark) {
			return fmt.Errorf("the %s file is truncated or damaged, expected more data (%s)", f.name, text)
		}
	}
	if strings.Contains(lower, "unsupported") {
		return fmt.Errorf("this kind of %s file is not supported (%s), expected one that common tools write", f.name, text)
	}
	return fmt.Errorf("the %s file is damaged (%s)", f.name, text)
}
