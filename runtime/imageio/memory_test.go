package imageio

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// bigJPEG is a JPEG of grey blocks, one bit each: four components in full resolution, in progressive coding, or three
// that are halved, in baseline coding.
func bigJPEG(w, h int, progressive bool) []byte {
	segment := func(marker byte, body string) string {
		n := len(body) + 2
		return string([]byte{0xff, marker, byte(n >> 8), byte(n)}) + body
	}
	frame, comps, blocks := byte(0xc0), []string{"\x01\x22\x00", "\x02\x11\x00", "\x03\x11\x00"}, w*h/64*3/2
	if progressive {
		frame, comps, blocks = 0xc2, []string{"\x01\x11\x00", "\x02\x11\x00", "\x03\x11\x00", "\x04\x11\x00"}, w*h/64*4
	}
	band, scan := "\x00\x3f\x00", ""
	if progressive {
		band = "\x00\x00\x00"
	}
	for _, c := range comps {
		scan += c[:1] + "\x00"
	}
	count := string([]byte{byte(len(comps))})
	one := "\x01" + strings.Repeat("\x00", 15) + "\x00" // one code of one bit, for 0
	size := string([]byte{byte(h >> 8), byte(h), byte(w >> 8), byte(w)})
	return []byte("\xff\xd8" + segment(0xdb, "\x00"+strings.Repeat("\x01", 64)) + segment(frame, "\x08"+size+count+strings.Join(comps, "")) +
		segment(0xc4, "\x00"+one+"\x10"+one) + segment(0xda, count+scan+band) + strings.Repeat("\x00", blocks/4+1000) + "\xff\xd9")
}

// bigBMP is a BMP in run-length coding of 8 bits (compression 1) that ends at once.
func bigBMP(w, h uint32) []byte {
	le32 := binary.LittleEndian.AppendUint32
	b := le32([]byte("BM\x00\x00\x00\x00\x00\x00\x00\x00"), 54)
	b = le32(le32(le32(le32(le32(b, 40), w), h), 1|8<<16), 1)
	return append(append(b, make([]byte, 20)...), 0, 1)
}

// TestMemory decodes small files of two megapixels, as decompression bombs are small, and holds what all allocations
// add up to against the promise of Limits.
func TestMemory(t *testing.T) {
	const w, h = 2000, 1000
	files := map[string][]byte{"baseline.jpg": bigJPEG(w, h, false), "progressive-cmyk.jpg": bigJPEG(w, h, true), "rle.bmp": bigBMP(w, h)}
	for name, m := range map[string]image.Image{"8.png": image.NewNRGBA(image.Rect(0, 0, w, h)), "16.png": image.NewNRGBA64(image.Rect(0, 0, w, h)),
		"gray.png": image.NewGray(image.Rect(0, 0, w, h)), "gray16.png": image.NewGray16(image.Rect(0, 0, w, h))} {
		var b bytes.Buffer
		if err := png.Encode(&b, m); err != nil {
			t.Fatal(err)
		}
		files[name] = b.Bytes()
	}
	files["plain.pbm"] = append(fmt.Appendf(nil, "P4\n%d %d\n", w, h), make([]byte, w*h/8)...)
	paths, err := filepath.Glob("testdata/bombs/*")
	if err != nil || len(paths) < 5 {
		t.Fatalf("%d bombs, %v", len(paths), err)
	}
	for _, path := range paths {
		if files[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range files {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		p, err := Decode(context.Background(), name, data, DefaultLimits)
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Error(err)
			continue
		}
		each := float64(after.TotalAlloc-before.TotalAlloc) / (w * h)
		t.Logf("%-22s %6d bytes, %4d ms, %5.1f bytes a pixel", name, len(data), took.Milliseconds(), each)
		if p.Width*p.Height != w*h || each > bytesPerPixel {
			t.Errorf("%s: %dx%d at %.1f bytes a pixel, expected %d at most", name, p.Width, p.Height, each, bytesPerPixel)
		}
		asked := int64(0)
		lim := DefaultLimits
		lim.Memory = func(need int64, what string) error {
			asked = need
			if what != fmt.Sprintf("its size %dx%d", w, h) && what != fmt.Sprintf("its size %dx%d", h, w) {
				t.Errorf("%s: memory is asked for %q", name, what)
			}
			return io.ErrShortBuffer
		}
		before = after
		_, err = Decode(context.Background(), name, data, lim)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, io.ErrShortBuffer) || err.Error() != "image "+name+": short buffer" {
			t.Errorf("%s: without memory: %v", name, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 2<<20 {
			t.Errorf("%s: %d bytes were taken before memory was denied, expected to read the header alone", name, took)
		}
		if need := float64(asked) / (w * h); need < 0.98*each || need > 2*each {
			t.Errorf("%s: %.1f bytes a pixel were asked for, %.1f taken", name, need, each)
		}
	}
}
