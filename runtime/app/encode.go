package app

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"pgc"
	"pgc/runtime/annotate"
	"pgc/runtime/native"
	"pgc/runtime/output"
	"pgc/runtime/parts"
)

// drawn are what names of drawings end in.
var drawn = []string{".png", ".jpg", ".jpeg", ".svg"}

// quality is that of drawings in JPEG, which shows no artifacts around letters.
const quality = 92

// encode returns the file about a picture, in a format that has one for each: it will be at path, "" for standard output.
func encode(a *App, format string, p annotate.Picture, of pgc.Image, path string) ([]byte, error) {
	var b bytes.Buffer
	var err error
	switch format {
	case "labelme":
		var from string
		var data []byte
		if from, data, err = reach(a, p.Name, of, path); err == nil {
			err = writeJSON(&b, annotate.NewLabelMe(p, from, data))
		}
	case "svg":
		if !parts.Full {
			return nil, parts.Missing("drawing is")
		}
		err = annotate.SVG(&b, p, nil)
	default:
		var m *image.Paletted
		if m, err = index(p); err == nil {
			err = png.Encode(&b, m)
		}
	}
	return b.Bytes(), err
}

// reach returns the way from a result at path, "" for standard output, to a picture's file. Of a picture that is no file
// it returns its pixels, too.
func reach(a *App, name string, of pgc.Image, path string) (from string, data []byte, err error) {
	if info, err := os.Stat(name); name != "-" && err == nil && info.Mode().IsRegular() {
		if path == "" {
			return name, nil, nil
		}
		to, err := filepath.Abs(name)
		if err != nil {
			return name, nil, nil
		}
		dir, err := filepath.Abs(filepath.Dir(path))
		if err != nil {
			return name, nil, nil
		}
		if from, err = filepath.Rel(dir, to); err != nil {
			return to, nil, nil
		}
		return from, nil, nil
	}
	m, err := of.Decode(a.ctx)
	if err != nil {
		return "", nil, err
	}
	var b bytes.Buffer
	err = png.Encode(&b, m)
	return annotate.Stem(name) + ".png", b.Bytes(), err
}

// render draws the objects over a picture, in the form that a name with this extension has: PNG unless it is another one of
// drawn.
func render(a *App, extension string, p annotate.Picture, of pgc.Image) ([]byte, error) {
	if !parts.Full {
		return nil, parts.Missing("drawing is")
	}
	var b bytes.Buffer
	if extension == ".svg" {
		m, err := of.Decode(a.ctx)
		if err == nil {
			err = annotate.SVG(&b, p, m)
		}
		return b.Bytes(), err
	}
	m, err := p.Draw(a.ctx, of)
	switch {
	case err != nil:
	case extension == ".jpg" || extension == ".jpeg":
		err = jpeg.Encode(&b, m, &jpeg.Options{Quality: quality})
	default:
		err = png.Encode(&b, m)
	}
	return b.Bytes(), err
}

// writeMasks writes a PNG of the picture's size for every mask, and the picture of their indices.
func writeMasks(dir string, p annotate.Picture) error {
	write := func(name string, m image.Image) error {
		var b bytes.Buffer
		if err := png.Encode(&b, m); err != nil {
			return err
		}
		return output.WriteFile(filepath.Join(dir, name), b.Bytes())
	}
	for i, o := range p.Objects {
		if o.Mask == nil {
			continue
		}
		if err := checkPixels(p); err != nil {
			return err
		}
		m := image.NewGray(image.Rect(0, 0, p.Width, p.Height))
		for y := range o.Mask.Rect.Dy() {
			copy(m.Pix[m.PixOffset(o.Mask.Rect.Min.X, o.Mask.Rect.Min.Y+y):], o.Mask.Pix[y*o.Mask.Stride:][:o.Mask.Rect.Dx()])
		}
		if err := write(fmt.Sprintf("%d-%s.png", i+1, fileName(o.Label)), m); err != nil {
			return err
		}
	}
	m, err := index(p)
	if err != nil {
		return err
	}
	return write("index.png", m)
}

// index returns the picture of indices, unless there is no memory for it.
func index(p annotate.Picture) (*image.Paletted, error) {
	if err := checkPixels(p); err != nil {
		return nil, err
	}
	return annotate.Index(p)
}

// checkPixels says why there is no memory for a byte a pixel, or returns nil.
func checkPixels(p annotate.Picture) error {
	return native.CheckMemory(int64(p.Width)*int64(p.Height), fmt.Sprintf("a mask of %d × %d pixels", p.Width, p.Height))
}

// fileName is a label as part of a file's name.
func fileName(label string) string {
	const most = 100 // bytes, of the 255 that a name may have
	text := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) {
			return r
		}
		return '-'
	}, strings.ToValidUTF8(label, "-"))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}
