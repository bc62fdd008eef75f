package imageio

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// endings are those of the names of pictures, of formats that are not read, too.
var endings = strings.Fields(".png .apng .jpg .jpeg .jpe .jfif .gif .webp .bmp .dib .tif .tiff .pbm .pgm .ppm .pnm .pfm .heic .heif .avif .jp2 .j2k .jxl")

// IsPicture reports whether the regular file at path is meant as a picture: it begins as one or is called so.
func IsPicture(path string) bool {
	return Named(strings.ToLower(filepath.Ext(path))) || Begins(path)
}

// Named reports whether files with this ending, in small letters and with or without its dot, are called as pictures are.
func Named(ending string) bool {
	return slices.Contains(endings, "."+strings.TrimPrefix(ending, "."))
}

// Begins reports whether the regular file at path begins as a picture of a format that is read.
func Begins(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, headBytes)
	n, _ := io.ReadFull(f, head)
	return sniff(head[:n]) != nil
}
