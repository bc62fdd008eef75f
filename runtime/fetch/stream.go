//go:build !least

package fetch

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"net/textproto"
	"strconv"
	"strings"
)

// multipart reports whether a Content-Type is that of the streams of cameras: pictures, one after another, without an
// end.
func multipart(contentType string) bool {
	kind, _, _ := mime.ParseMediaType(contentType)
	return kind == "multipart/x-mixed-replace" || kind == "" && strings.HasPrefix(strings.ToLower(contentType), "multipart/x-mixed-replace")
}

// firstPart returns the body of the first part of a multipart stream. The line before it is what parts end at: what
// cameras write in the header as its boundary may differ.
func firstPart(stream io.Reader) ([]byte, error) {
	r := bufio.NewReader(stream)
	lines := textproto.NewReader(r)
	boundary := ""
	for boundary == "" { // empty lines may come first
		line, err := lines.ReadLine()
		if err != nil {
			return nil, err
		}
		boundary = strings.TrimSpace(line)
	}
	if !strings.HasPrefix(boundary, "--") {
		return nil, errors.New("its stream begins with no boundary, expected pictures in parts")
	}
	header, err := lines.ReadMIMEHeader()
	if err != nil {
		return nil, err
	}
	if n, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64); err == nil && n > 0 {
		var part bytes.Buffer
		if _, err := io.CopyN(&part, r, n); err != nil {
			return nil, err
		}
		return part.Bytes(), nil
	}
	var part []byte
	end := []byte("\n" + boundary)
	for {
		line, err := r.ReadSlice('\n')
		from := max(0, len(part)-len(end)-2)
		part = append(part, line...)
		if at := bytes.Index(part[from:], end); at >= 0 {
			return bytes.TrimSuffix(part[:from+at], []byte("\r")), nil
		}
		if err != nil && err != bufio.ErrBufferFull {
			return nil, err
		}
	}
}
