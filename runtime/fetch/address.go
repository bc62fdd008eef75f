package fetch

import (
	"fmt"
	"strings"
)

// elsewhere are schemes of addresses that are not read here: what they are of, and how to come by the picture.
var elsewhere = map[string]string{
	"s3":    "an address of Amazon S3, expected an https one (aws s3 presign makes it) or a file (aws s3 cp copies it)",
	"gs":    "an address of Google Cloud Storage, expected an https one (gcloud storage sign-url makes it) or a file (gcloud storage cp copies it)",
	"az":    "an address of Azure Storage, expected an https one or a file (az storage blob download copies it)",
	"abfs":  "an address of Azure Storage, expected an https one or a file (az storage blob download copies it)",
	"abfss": "an address of Azure Storage, expected an https one or a file (az storage blob download copies it)",
	"hf":    "an address of the Hugging Face Hub, expected an https one or a file (hf download copies it)",
	"hdfs":  "an address of Hadoop's file system, expected a file (hdfs dfs -get copies it)",
	"ftp":   "an address of FTP, expected an https one or a file",
	"sftp":  "an address of SFTP, expected an https one or a file",
	"rtsp":  "the address of a video stream, expected a picture (ffmpeg -i ADDRESS -frames:v 1 OUT.png takes one)",
	"file":  "the address of a file, expected its path",
}

// spaced encodes what addresses as people have them hold behind the host and HTTP does not: spaces and letters beyond
// ASCII.
func spaced(address string) string {
	host := strings.Index(address, "://") + len("://")
	if at := strings.IndexAny(address[host:], "/?#"); at >= 0 {
		host += at
	} else {
		return address
	}
	var b strings.Builder
	b.WriteString(address[:host])
	for _, c := range []byte(address[host:]) {
		if c == ' ' || c >= 0x80 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
