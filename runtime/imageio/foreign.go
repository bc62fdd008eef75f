package imageio

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// convertible are formats that Pillow reads, and Photoshop's, by what their files begin with.
var convertible = []struct{ begins, name, ending string }{
	{"\x00\x00\x01\x00", "an icon", "ico"},
	{"8BPS", "a Photoshop document", "psd"},
	{"DDS ", "a DirectDraw surface", "dds"},
	{"qoif", "a QOI image", "qoi"},
	{"icns", "an icon of macOS", "icns"},
	{"\x01\xda", "an SGI image", "sgi"},
	{"\x0a\x05\x01", "a PCX image", "pcx"},
	{"v/1\x01", "an OpenEXR image", "exr"},
	{"#?RADIANCE", "a Radiance image", "hdr"},
	{"gimp xcf", "a GIMP document", "xcf"},
}

// foreign describes data of another format.
func foreign(data []byte) string {
	if text := unread(data); text != "" {
		return text
	}
	is := func(prefixes ...string) bool { return magic(prefixes...)(data) }
	switch {
	case len(data) >= 12 && string(data[4:8]) == "ftyp":
		brand := string(data[8:12])
		if n := int(data[3]); strings.Contains(string(data[8:min(len(data), max(n, 12))]), "avif") { // of the compatible ones
			brand = "avif"
		}
		switch brand {
		case "avif", "avis":
			return "it is an AVIF image, which is not supported (magick IN.avif OUT.png converts it)"
		case "heic", "heix", "hevc", "mif1", "msf1":
			return "it is a HEIC image, which is not supported (heif-convert IN.heic OUT.png or magick converts it)"
		}
		return "it is a video"
	case is("\xff\x0a", "\x00\x00\x00\x0cJXL "):
		return "it is a JPEG XL image, which is not supported (djxl IN.jxl OUT.png converts it)"
	case is("\x00\x00\x00\x0cjP  ", "\xff\x4f\xff\x51"):
		return "it is a JPEG 2000 image, which is not supported (magick IN.jp2 OUT.png converts it)"
	case is("P7\n", "PF\n"):
		return "it is a PAM or a PFM image in color, which are not supported"
	case len(data) >= 132 && string(data[128:132]) == "DICM":
		return "it is a DICOM file, which is not supported (dcmj2pnm +on IN.dcm OUT.png converts it)"
	case is("\x93NUMPY"):
		return "it is an array of NumPy, which is not supported (Image.fromarray(array).save(\"OUT.png\") converts it)"
	case is("%!PS", "\xc5\xd0\xd3\xc6"):
		return "it is a PostScript document"
	case is("%PDF"):
		return "it is a PDF document"
	case is("PK\x03\x04", "\x1f\x8b"):
		return "it is a compressed archive"
	}
	for _, f := range convertible {
		if is(f.begins) {
			return fmt.Sprintf("it is %s, which is not supported (magick IN.%s OUT.png converts it)", f.name, f.ending)
		}
	}
	head := data[:min(len(data), headBytes)]
	text := bytes.ToLower(bytes.TrimLeft(head, "\ufeff \t\r\n"))
	switch {
	case bytes.Contains(text, []byte("<svg")):
		return "it is an SVG drawing, which is not supported"
	case bytes.HasPrefix(text, []byte("<")):
		return "it holds HTML or XML text"
	case len(bytes.Trim(head, "\x00")) == 0:
		return "it holds only zero bytes"
	case isText(head):
		return "it holds text"
	}
	return fmt.Sprintf("its first bytes % x belong to no known format", data[:min(len(data), 4)])
}

// isText reports whether head is UTF-8 without control characters; the last character may be cut off.
func isText(head []byte) bool {
	for len(head) > 0 {
		r, n := utf8.DecodeRune(head)
		if r == utf8.RuneError && n == 1 && utf8.FullRune(head) || unicode.IsControl(r) && !unicode.IsSpace(r) {
			return false
		}
		head = head[n:]
	}
	return true
}
