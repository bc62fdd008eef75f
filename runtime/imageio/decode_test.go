package imageio

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pgc/runtime/rgb"
)

// fixtures lists the picture files that testdata/gen.py wrote.
func fixtures(t testing.TB) []string {
	wants, err := filepath.Glob("testdata/want/*.png")
	if err != nil || len(wants) < 100 {
		t.Fatalf("testdata/want holds %d pictures (%v), expected over 100: run testdata/gen.py", len(wants), err)
	}
	var names []string
	for _, w := range wants {
		names = append(names, "testdata/"+strings.TrimSuffix(filepath.Base(w), ".png"))
	}
	return names
}

// golden reads the pixels Pillow made of a fixture.
func golden(t testing.TB, fixture string) *rgb.Image {
	f, err := os.Open("testdata/want/" + filepath.Base(fixture) + ".png")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return rgb.FromImage(m)
}

// TestPillow compares every fixture with Pillow, to the bit.
func TestPillow(t *testing.T) {
	var d deviation
	for _, path := range fixtures(t) {
		got, err := Read(context.Background(), path, DefaultLimits)
		if err != nil {
			t.Error(err)
			continue
		}
		want := golden(t, path)
		if got.Width != want.Width || got.Height != want.Height {
			t.Errorf("%s is %dx%d, Pillow says %dx%d", path, got.Width, got.Height, want.Width, want.Height)
			continue
		}
		if most, mean := d.add(got.Pix, want.Pix); most > 0 {
			t.Errorf("%s differs from Pillow by %d levels at most, %.4f on average", path, most, mean)
		}
	}
	t.Logf("%d of %d pictures are Pillow's to the bit; the largest difference is %d levels", d.exact, d.pictures, d.most)
}

// TestContentNotName reads a picture whose name claims another format.
func TestContentNotName(t *testing.T) {
	data, err := os.ReadFile("testdata/lossy.webp")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "photo.jpg")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Read(context.Background(), path, DefaultLimits)
	if err != nil || !bytes.Equal(p.Pix, golden(t, "testdata/lossy.webp").Pix) {
		t.Errorf("a WebP named .jpg gave %v", err)
	}
}

func TestStdin(t *testing.T) {
	f, err := os.Open("testdata/c2-d8.png")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	defer func(old *os.File) { os.Stdin = old }(os.Stdin)
	os.Stdin = f
	p, err := Read(context.Background(), "-", DefaultLimits)
	if err != nil || !bytes.Equal(p.Pix, golden(t, "testdata/c2-d8.png").Pix) {
		t.Errorf("reading standard input gave %v", err)
	}
}

// TestEndless reads a device that never ends, which must not take memory.
func TestEndless(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Read(context.Background(), "/dev/zero", DefaultLimits)
	runtime.ReadMemStats(&after)
	sentence(t, "/dev/zero", err, "zero bytes")
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("%d bytes were allocated", used)
	}
}

// sentence fails unless err is one line that names the file.
func sentence(t *testing.T, name string, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, expected one", name)
		return
	}
	text := err.Error()
	if !strings.HasPrefix(text, "image "+name+": ") || strings.ContainsAny(text, "\n\r") || len(text) > 300+len(name) {
		t.Errorf("error %q is not one sentence that names %s", text, name)
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("error %q does not say %q", text, w)
		}
	}
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	_, err := Read(context.Background(), filepath.Join(dir, "none.png"), DefaultLimits)
	sentence(t, filepath.Join(dir, "none.png"), err, "no such file", "expected a PNG")
	_, err = Read(context.Background(), dir, DefaultLimits)
	sentence(t, dir, err, "directory")
	long := filepath.Join(dir, "long.png")
	if err := os.WriteFile(long, make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Read(context.Background(), long, Limits{Pixels: 1000, Bytes: 999})
	sentence(t, long, err, "1000 bytes", "limit of 999")
	for data, words := range map[string]string{
		"":                                     "empty",
		"hello, this is no picture":            "text",
		"<!DOCTYPE html><html>not found":       "HTML",
		"<?xml?><svg xmlns=''></svg>":          "SVG",
		"\x00\x00\x00\x00\x00\x00\x00\x00":     "zero bytes",
		"qoif\x00\x00\x00\x10":                 "a QOI image, which is not supported (magick IN.qoi OUT.png",
		"DDS \x7c\x00\x00\x00":                 "a DirectDraw surface, which",
		"\x00\x00\x01\x00\x01\x00":             "an icon, which is not supported (magick IN.ico OUT.png",
		"\x00\x00\x00\x1cftypavif0000":         "AVIF",
		"\x00\x00\x00\x1cftypheic0000":         "HEIC",
		"\x00\x00\x00\x1cftypmif10000miafavif": "AVIF",
		"P7\nWIDTH 1":                          "PAM",
		"P5\n1 1\n":                            "truncated",
		"P5\n1 1\n0\n":                         "its white is 0",
		"P5\n-1 1\n255\n":                      "its size is -1x1",
		"P2\n1 1\n15\n16":                      "larger than its white",
		"P2\n1 1\n15\nx":                       "'x' among its samples",
		"P2\n1 12345678901\n":                  "over 10 digits",
		"Pf\n1 1\n0\n0000":                     "the scale \"0\"",
		"P4\n9 2\n123":                         "truncated",
		"II+\x00\x08\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff": "truncated",
		"%!PS-Adobe":                          "PostScript",
		"\x93NUMPY\x01":                       "NumPy",
		strings.Repeat("\x00", 128) + "DICM":  "DICOM",
		"%PDF-1.7":                            "PDF",
		"\x01\x02\x03\x04":                    "01 02 03 04",
		"\x7f":                                "bytes 7f",
		"\x89PNG\r\n\x1a\n":                   "truncated",
		"\xff\xd8\xff":                        "truncated",
		"\xff\xd8\xff\xd9":                    "ends before",
		"\xff\xd8\xff\xe0\x00\x02\xff\xd9123": "ends before",
		"GIF89a":                              "truncated",
		"RIFF\x04\x00\x00\x00WEBP":            "no image",
		"RIFF\xff\xff\x00\x00WEBP":            "truncated",
		"BM\x00\x00\x00\x00\x00\x00\x00\x00":  "truncated",
		"II*\x00\x08\x00\x00\x00":             "truncated",
	} {
		_, err := Decode(context.Background(), "x", []byte(data), DefaultLimits)
		sentence(t, "x", err, words)
	}
}

// TestUnreadTIFF: a compression that is not read is named, with what converts it.
func TestUnreadTIFF(t *testing.T) {
	for code, words := range map[uint16][]string{
		50000: {"unsupported compression 50000, Zstandard", "tiffcp -c zip IN OUT converts it"},
		34925: {"unsupported compression 34925, LZMA", "tiffcp -c zip IN OUT converts it"},
		777:   {"unsupported compression 777, of no known kind", "tiffcp -c zip IN OUT converts it"},
		3:     {"two-dimensional fax code of group 3: tiffcp -c g4 IN OUT converts it"},
	} {
		data := []byte("II*\x00\x08\x00\x00\x00\x07\x00")
		for _, entry := range [][2]uint16{{256, 1}, {257, 1}, {259, code}, {262, 1}, {273, 8}, {279, 4}, {292, 1}} {
			data = binary.LittleEndian.AppendUint16(data, entry[0])
			data = append(data, 3, 0, 1, 0, 0, 0, byte(entry[1]), byte(entry[1]>>8), 0, 0)
		}
		_, err := Decode(context.Background(), "x", append(data, 0, 0, 0, 0), DefaultLimits)
		sentence(t, "x", err, words...)
	}
}

// TestTruncated cuts every fixture: the small ones at every byte, the others at many. What is cut within the pixel data
// must be an error; only trailing metadata may be missed.
func TestTruncated(t *testing.T) {
	cuts, whole := 0, 0
	for _, path := range fixtures(t) {
		if strings.Contains(path, "-plain.p") {
			continue // a number without its last digits is a number
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := golden(t, path)
		for n := 0; n < len(data); n += 1 + len(data)/400 {
			name := fmt.Sprintf("%s, %d of %d bytes", path, n, len(data))
			p, err := Decode(context.Background(), name, data[:n:n], DefaultLimits)
			cuts++
			if err == nil && p.Width == want.Width && bytes.Equal(p.Pix, want.Pix) {
				whole++ // the cut is behind the pixels
				continue
			}
			sentence(t, name, err)
		}
	}
	t.Logf("%d cuts, %d of them behind the pixels", cuts, whole)
}

// TestBombs gives headers that promise gigantic or no pictures: the answer must come from the header, without memory
// for the pixels.
func TestBombs(t *testing.T) {
	le16, le32 := binary.LittleEndian.AppendUint16, binary.LittleEndian.AppendUint32
	be32 := binary.BigEndian.AppendUint32
	ihdr := func(w, h uint32) string {
		body := append(be32(be32([]byte("IHDR"), w), h), 8, 2, 0, 0, 0)
		return "\x89PNG\r\n\x1a\n" + string(be32(append(be32(nil, 13), body...), crc32.ChecksumIEEE(body)))
	}
	dib := func(w, h uint32) string {
		b := le32([]byte("BM\x00\x00\x00\x00\x00\x00\x00\x00"), 54)
		b = le32(le32(le32(b, 40), w), h)
		return string(le16(le16(b, 1), 24)) + strings.Repeat("\x00", 24)
	}
	ifd := func(w, h uint32) string {
		b := []byte("II*\x00\x08\x00\x00\x00\x05\x00")
		for _, e := range [][2]uint32{{256, w}, {257, h}, {258, 8}, {259, 1}, {262, 1}} {
			b = le32(le32(le16(le16(b, uint16(e[0])), 4), 1), e[1])
		}
		return string(b) + "\x00\x00\x00\x00"
	}
	sof := func(w, h uint16) string {
		size := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, h), w)
		return "\xff\xd8\xff\xc0\x00\x11\x08" + string(size) + "\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00\xff\xda\x00\x0c\x03\x01\x00\x02\x00\x03\x00\x00\x3f\x00"
	}
	screen := func(w, h uint16) string { return "GIF89a" + string(le16(le16(nil, w), h)) + "\x00\x00\x00" }
	vp8l := func(w, h uint32) string {
		b := append(le32(nil, 5), 0x2f)
		return "RIFF\x12\x00\x00\x00WEBPVP8L" + string(le32(b, w-1|(h-1)<<14)) + "\x00"
	}
	for name, data := range map[string]string{
		"big PNG": ihdr(60000, 60000), "long PNG": ihdr(1<<30, 1), "big BMP": dib(60000, 60000), "big TIFF": ifd(60000, 60000),
		"big JPEG": sof(65500, 65500), "big GIF": screen(65000, 65000), "big WebP": vp8l(16000, 16000),
		"empty PNG": ihdr(0, 5), "empty BMP": dib(0, 0), "empty TIFF": ifd(0, 0), "empty JPEG": sof(0, 9), "empty GIF": screen(0, 0),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decode(context.Background(), name, []byte(data), DefaultLimits)
		runtime.ReadMemStats(&after)
		words := []string{"over the limit"}
		if strings.HasPrefix(name, "empty") {
			words = nil
		}
		sentence(t, name, err, words...)
		t.Log(err)
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
			t.Errorf("%s: %d bytes were allocated before the error", name, used)
		}
	}
}

// TestDecoderPanic proves that a panicking decoder is an error about the file.
func TestDecoderPanic(t *testing.T) {
	one := func([]byte) (image.Point, error) { return image.Pt(1, 1), nil }
	f := &format{"PNG", nil, one, func(context.Context, []byte, int64) (*rgb.Image, error) {
		rgb.Parallel(4, func(int, int) { panic("out of range") })
		return nil, nil
	}, nil, constant(1)}
	p, err := f.read(t.Context(), nil, Limits{Pixels: 1})
	if p != nil || err == nil || !strings.Contains(err.Error(), "out of range") {
		t.Errorf("a panic became %v, %v", p, err)
	}
}

// TestMutated changes bytes of fixtures at random: our own decoders never rely on the net that TestDecoderPanic tests.
func TestMutated(t *testing.T) {
	seed, errs, count := uint32(7), 0, 0
	random := func(n int) int {
		seed = seed*1664525 + 1013904223
		return int(uint64(seed) * uint64(n) >> 32)
	}
	for _, path := range fixtures(t) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(path, ".png") {
			continue // its checksums find every change
		}
		for range 150 {
			bad := bytes.Clone(data)
			for range 1 + random(3) {
				bad[random(min(len(bad), 1+random(len(bad))))] = byte(random(256))
			}
			count++
			if _, err := Decode(context.Background(), "x", bad, Limits{Pixels: 1 << 16, Bytes: 1 << 20}); err != nil {
				errs++
				noPanic(t, bad, err)
				sentence(t, "x", err)
			}
		}
	}
	t.Logf("%d changed files, %d errors", count, errs)
}

// noPanic fails if one of our own decoders was caught in a panic.
func noPanic(t *testing.T, data []byte, err error) {
	t.Helper()
	if f := sniff(data); f != nil && strings.Contains(err.Error(), "the decoder failed on it") && strings.Contains("JPEG BMP TIFF PNM", f.name) {
		t.Errorf("%v: %q", err, data)
	}
}

func FuzzDecode(f *testing.F) {
	for _, path := range fixtures(f) {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		if len(data) < 1<<13 {
			f.Add(data)
		}
	}
	lim := Limits{Pixels: 1 << 16, Bytes: 1 << 20}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Decode(context.Background(), "fuzzed", data, lim)
		if err != nil {
			noPanic(t, data, err)
			sentence(t, "fuzzed", err)
			return
		}
		if p.Width < 1 || p.Height < 1 || int64(p.Width)*int64(p.Height) > lim.Pixels || len(p.Pix) != 3*p.Width*p.Height {
			t.Errorf("decoded to %dx%d with %d bytes", p.Width, p.Height, len(p.Pix))
		}
	})
}
