package imageio

import (
	"bytes"
	"fmt"
	"image"
	"image/png"

	"pgc/runtime/output"
)

// WritePNG writes m to path as output.WriteFile does.
func WritePNG(path string, m image.Image) error {
	var b bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.DefaultCompression}
	if err := encoder.Encode(&b, m); err != nil {
		return fmt.Errorf("image %s: encoding as PNG failed: %w", path, err)
	}
	if err := output.WriteFile(path, b.Bytes()); err != nil {
		return fmt.Errorf("image %s: cannot be written: %w", path, output.Cause(err))
	}
	return nil
}
