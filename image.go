package pgc

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"time"

	"pgc/runtime/draw"
	"pgc/runtime/fetch"
	"pgc/runtime/imageio"
	"pgc/runtime/native"
	"pgc/runtime/rgb"
)

// Image is what to ask about. It is decoded when it is first needed, and once. Consecutive requests about the same
// Image encode it once, too. The zero Image is none and an error in a request.
type Image struct{ source *imageSource }

type imageSource struct {
	read    func(ctx context.Context) (*rgb.Image, error)
	turn    chan struct{} // holds one while somebody reads
	decoded *rgb.Image
	fitted  *fitted // as a model sees it; nil before
}

// fitted is an image as a model sees it.
type fitted struct {
	image *rgb.Image    // of the model's size
	size  image.Point   // before
	took  time.Duration // to resize it; 0 where that was done before
}

// File is the image in the file at path: PNG, JPEG, GIF, WebP, BMP, TIFF or PNM. "-" is standard input.
func File(path string) Image {
	return newImage(func(ctx context.Context) (*rgb.Image, error) {
		return limited(func(l imageio.Limits) (*rgb.Image, error) { return imageio.Read(ctx, path, l) })
	})
}

// URL is the image that a data:, http: or https: URL stands for.
func URL(url string) Image { return URLWithHeader(url, nil) }

// URLWithHeader is URL that sends a header, such as Authorization, with an http or https request, but not on to another
// host that one redirects to.
func URLWithHeader(url string, header fetch.Header) Image {
	return Lazy(fetch.Short(url), func(ctx context.Context) ([]byte, error) { return fetch.Get(ctx, url, header, fetch.DefaultLimits) })
}

// Lazy is the image file that read returns when the image is first needed; name stands for it in errors.
func Lazy(name string, read func(ctx context.Context) ([]byte, error)) Image {
	var data []byte // that there was too little memory to decode
	return newImage(func(ctx context.Context) (p *rgb.Image, err error) {
		if read == nil {
			return nil, fmt.Errorf("image %s: its function is nil, expected one that returns an image file", name)
		}
		if data == nil {
			if data, err = read(ctx); err != nil {
				return nil, err
			}
		}
		p, err = limited(func(l imageio.Limits) (*rgb.Image, error) { return imageio.Decode(ctx, name, data, l) })
		if !errors.Is(err, native.ErrMemory) {
			data = nil
		}
		return p, err
	})
}

// Bytes is an image file held in memory, which must not change before its first use.
func Bytes(data []byte) Image {
	return Lazy("in memory", func(context.Context) ([]byte, error) { return data, nil })
}

// BytesWithin is Bytes with limits of the caller's own. Their Memory may wait until there is some.
func BytesWithin(data []byte, l imageio.Limits) Image {
	return newImage(func(ctx context.Context) (*rgb.Image, error) { return imageio.Decode(ctx, "in memory", data, l) })
}

// Pixels is a decoded image, which must not change before its first use. What is transparent is seen over white.
func Pixels(m image.Image) Image {
	return newImage(func(context.Context) (*rgb.Image, error) {
		if err := checkPixels(m); err != nil {
			return nil, fmt.Errorf("image of pixels: %w", err)
		}
		return rgb.FromImage(m), nil
	})
}

// checkPixels says why an image cannot be converted: it is nil, has no pixels or too many, or its buffer is shorter
// than its bounds.
func checkPixels(m image.Image) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("its pixels cannot be read, expected an image whose buffer holds its bounds: %v", cause)
		}
	}()
	if m == nil {
		return errors.New("it is nil, expected an image")
	}
	b := m.Bounds()
	w, h := b.Dx(), b.Dy()
	if b.Empty() {
		return fmt.Errorf("its size is %dx%d, expected at least one pixel", w, h)
	}
	if most := imageio.DefaultLimits.Pixels; int64(w) > most || int64(h) > most/int64(w) {
		return fmt.Errorf("its size is %dx%d, expected at most %d pixels", w, h, most)
	}
	m.At(b.Min.X, b.Min.Y)
	m.At(b.Max.X-1, b.Max.Y-1)
	return nil
}

// limited reads an image within the default limits and the memory there is, which nobody else is granted meanwhile.
func limited(read func(imageio.Limits) (*rgb.Image, error)) (*rgb.Image, error) {
	var claims []func()
	defer func() {
		for _, release := range claims {
			release()
		}
	}()
	l := imageio.DefaultLimits
	l.Memory = func(need int64, what string) error {
		release, err := native.Claim(need, what)
		if err == nil {
			claims = append(claims, release)
		}
		return err
	}
	return read(l)
}

func newImage(read func(ctx context.Context) (*rgb.Image, error)) Image {
	return Image{&imageSource{read: read, turn: make(chan struct{}, 1)}}
}

// Size decodes the image and returns its size in pixels, as it is seen upright.
func (i Image) Size(ctx context.Context) (width, height int, err error) {
	p, err := i.decode(ctx)
	if err != nil {
		return 0, 0, err
	}
	return p.Width, p.Height, nil
}

// Decode returns the image upright and opaque, as the model sees it before it is resized.
func (i Image) Decode(ctx context.Context) (image.Image, error) {
	p, err := i.decode(ctx)
	if err != nil {
		return nil, err
	}
	return drawn(p, nil)
}

// Draw returns the image with boxes and their labels drawn over it.
func Draw(ctx context.Context, i Image, boxes []Box) (image.Image, error) {
	var list []draw.Object
	for _, b := range boxes {
		list = append(list, drawing(b))
	}
	return i.draw(ctx, list)
}

// Draw returns the image with the objects drawn over it: masks, boxes of objects without a pixel in one, and labels.
func (d *Detection) Draw(ctx context.Context, i Image) (image.Image, error) {
	return i.draw(ctx, d.Drawing())
}

// Drawing is what Draw draws.
func (d *Detection) Drawing() (list []draw.Object) {
	for _, o := range d.Objects {
		x := drawing(o.Box)
		x.Mask, x.Number = o.Outlined(), slices.Index(d.Classes, o.Label)+1
		list = append(list, x)
	}
	return list
}

// Undrawable returns the labels that Draw stands numbers for, since its fonts lack some of their letters: the number of
// the class.
func (d *Detection) Undrawable() (labels []string) {
	for _, o := range d.Objects {
		if !slices.Contains(labels, o.Label) && !draw.Drawable(o.Label) {
			labels = append(labels, o.Label)
		}
	}
	return labels
}

func drawing(b Box) draw.Object {
	return draw.Object{Label: b.Label, X0: b.Box[0], Y0: b.Box[1], X1: b.Box[2], Y1: b.Box[3]}
}

func (i Image) draw(ctx context.Context, list []draw.Object) (image.Image, error) {
	p, err := i.decode(ctx)
	if err != nil {
		return nil, err
	}
	return drawn(p, list)
}

// drawn draws over a copy of an image, unless there is no memory for one.
func drawn(p *rgb.Image, list []draw.Object) (image.Image, error) {
	if err := native.CheckMemory(4*int64(p.Width)*int64(p.Height), fmt.Sprintf("a drawing of %d × %d pixels", p.Width, p.Height)); err != nil {
		return nil, err
	}
	return draw.Objects(p, list), nil
}

// decode returns the decoded image.
func (i Image) decode(ctx context.Context) (p *rgb.Image, err error) {
	err = i.alone(ctx, func(s *imageSource) error {
		p, err = s.decode(ctx)
		return err
	})
	return p, err
}

// fit returns the image resized.
func (i Image) fit(ctx context.Context, resize func(*rgb.Image) *rgb.Image) (f fitted, err error) {
	err = i.alone(ctx, func(s *imageSource) error {
		if s.fitted != nil && resize(s.fitted.image) == s.fitted.image { // is of the right size
			f = *s.fitted
			return nil
		}
		p, err := s.decode(ctx)
		if err != nil {
			return err
		}
		start := time.Now()
		f = fitted{image: resize(p), size: image.Pt(p.Width, p.Height)}
		s.fitted = &fitted{image: f.image, size: f.size}
		f.took = time.Since(start)
		return nil
	})
	return f, err
}

// alone does work with the source of an image, which nobody else uses meanwhile.
func (i Image) alone(ctx context.Context, work func(*imageSource) error) error {
	if i.source == nil {
		return errors.New("an image of the request is the zero Image, expected one that File, URL, Bytes or Pixels made")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case i.source.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-i.source.turn }()
	return work(i.source)
}

func (s *imageSource) decode(ctx context.Context) (p *rgb.Image, err error) {
	if s.decoded != nil {
		return s.decoded, nil
	}
	if p, err = s.read(ctx); err == nil {
		s.decoded, s.read = p, nil // with the file's bytes
	}
	return p, err
}

// decodeAll decodes the images of a request.
func decodeAll(ctx context.Context, images []Image) ([]*rgb.Image, error) {
	if len(images) == 0 {
		return nil, errors.New("the request has no image, expected at least one")
	}
	out := make([]*rgb.Image, len(images))
	for n, i := range images {
		var err error
		if out[n], err = i.decode(ctx); err != nil {
			return nil, err
		}
	}
	return out, nil
}
