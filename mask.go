package pgc

import (
	"context"
	"errors"
	"fmt"
	"image"

	"pgc/runtime/boxes"
	"pgc/runtime/generate"
	"pgc/runtime/masks"
	"pgc/runtime/native"
)

// ErrNoMasks says that the executable has no decoder of masks.
var ErrNoMasks = errors.New("this executable has no decoder of masks, so segments are codes: compile with --masks vae-oid.npz, or with that file beside the checkpoint")

// Scales of the locations of a box: the number that stands for the far edge of the picture.
const (
	BinsScale      = boxes.Scale     // 1024, as in Box
	BenchmarkScale = boxes.Benchmark // 1023, as big_vision's benchmark of segmentation
)

// Mask returns the mask of a box of an answer to "segment" in its picture of width × height pixels: 255 where the object
// is, else 0. Its bounds are the box. scale is BinsScale or BenchmarkScale. The error is ErrNoMasks where the executable has no decoder.
func (m *Model) Mask(ctx context.Context, b Box, width, height, scale int) (*image.Alpha, error) {
	if err := CheckScale(scale); err != nil {
		return nil, err
	}
	if width < 1 || height < 1 {
		return nil, fmt.Errorf("a picture of %d × %d pixels has no masks, expected one pixel or more", width, height)
	}
	values, side, err := m.DecodeMask(ctx, b.Seg)
	if err != nil {
		return nil, err
	}
	r := masks.Bounds(b.Loc, width, height, scale)
	if err := native.CheckMemory(masks.Memory(r, side), fmt.Sprintf("a mask of %d × %d pixels", r.Dx(), r.Dy())); err != nil {
		return nil, err
	}
	return masks.Paste(values, side, b.Loc, width, height, scale), nil
}

// DecodeMask returns what the decoder makes of sixteen segment codes, side rows of side values: above 0 where the object is, and
// about 1 and -1 far from its outline. The error is ErrNoMasks where the executable has no decoder.
func (m *Model) DecodeMask(ctx context.Context, codes []int) (values []float32, side int, err error) {
	if err := m.generates(); err != nil {
		return nil, 0, err
	}
	if m.exe.model.Masks == nil {
		return nil, 0, ErrNoMasks
	}
	err = m.scheduler.End(ctx, func(ctx context.Context, s *generate.Session) (err error) {
		values, err = s.DecodeMask(ctx, codes)
		return err
	})
	return values, m.exe.model.Masks.Side, err
}

// MaskArea returns the pixels of a mask.
func MaskArea(m *image.Alpha) int { return masks.Area(m) }

// MaskRLE returns the run-length codes of a mask of a width × height picture as COCO files have them ("counts"), those of
// pycocotools.mask.encode.
func MaskRLE(m *image.Alpha, width, height int) string { return masks.RLE(m, width, height) }

// MaskPolygons returns the outer contours of a mask, x y x y … in pixels, clockwise along the edges of pixels. Holes are not cut
// out.
func MaskPolygons(m *image.Alpha) [][]float64 { return masks.Polygons(m) }

// MaskIndex returns a width × height picture that is i+1 where masks[i] is, of at most 255, and 0 elsewhere. Where masks overlap
// the later one wins.
func MaskIndex(all []*image.Alpha, width, height int) (*image.Paletted, error) {
	return masks.Index(all, width, height)
}
