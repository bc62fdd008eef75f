//go:build !least

package draw

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
	"sync"

	"golang.org/x/image/font/opentype"
)

// typeface is a font of the program, which is unpacked when it is needed: every executable has them, few draw.
type typeface struct {
	compressed []byte
	font       func() *opentype.Font
}

// The fonts: golang.org/x/image's Go Bold, and those that fonts/subset.py makes.
var (
	//go:embed fonts/gobold.ttf.gz
	goBold []byte
	//go:embed fonts/letters.ttf.gz
	letters []byte
	//go:embed fonts/thai.ttf.gz
	thai []byte
	//go:embed fonts/cjk.ttf.gz
	cjk []byte

	wide      = newTypeface(cjk)
	typefaces = []*typeface{newTypeface(goBold), newTypeface(letters), newTypeface(thai), wide}
)

func newTypeface(compressed []byte) *typeface {
	t := &typeface{compressed: compressed}
	t.font = sync.OnceValue(func() *opentype.Font {
		data, err := t.ttf()
		if err != nil {
			panic(err)
		}
		f, err := opentype.Parse(data)
		if err != nil {
			panic(err)
		}
		return f
	})
	return t
}

// ttf returns the font's file.
func (t *typeface) ttf() ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(t.compressed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
