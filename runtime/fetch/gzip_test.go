package fetch

import (
	"bytes"
	"compress/gzip"
)

func gzipZeros(n int) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(make([]byte, n))
	w.Close()
	return b.Bytes()
}
