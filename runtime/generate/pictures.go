package generate

import (
	"context"
	"crypto/sha256"
	"time"

	"pgc/runtime/engine"
	"pgc/runtime/entry"
	"pgc/runtime/internal/preprocess"
	"pgc/runtime/rgb"
)

// Fit resizes an image to the size that the model sees. Preparing an image ahead of a request this way changes nothing
// but who waits for it.
func (s *Session) Fit(p *rgb.Image) *rgb.Image {
	if p.Width == s.Model.ImageSize && p.Height == s.Model.ImageSize {
		return p
	}
	q := preprocess.Resize(p, s.Model.ImageSize, s.Model.ImageSize)
	q.Doubt = p.Doubt
	return q
}

// encoded is an image whose features the executor holds, and what they are known by.
type encoded struct {
	image *rgb.Image
	key   featureKey
}

// featureKey is what the features of an image follow from: the pixels that the encoder sees, and the adapter that it runs
// with.
type featureKey struct {
	pixels  [sha256.Size]byte
	adapter int
}

// Encode runs the image encoder over the images with an adapter, 0 for none; their features stay in the executor for
// prefill and forward. Features of images that were seen before, which the executor or the cache holds, are not computed
// again.
func (s *Session) Encode(ctx context.Context, images []*rgb.Image, adapter int) (preprocessing, encoding time.Duration, err error) {
	e := encoder{s: s, images: images, adapter: adapter}
	for done := false; !done && err == nil; {
		now := unlimited()
		if s.lend != nil {
			now = s.lend()
		}
		done, err = e.further(ctx, now)
	}
	return e.preprocessing, e.encoding, err
}

// encoder is the run of the image encoder over some images.
type encoder struct {
	s       *Session
	images  []*rgb.Image
	adapter int
	at      int // the image that is next
	key     featureKey
	parts   *engine.Parts // of the run over that image; nil where it has not begun
	began   time.Time     // of that run

	preprocessing, encoding time.Duration
}

// further encodes what fits into a slice, and reports whether all images are encoded.
func (e *encoder) further(ctx context.Context, b *slice) (done bool, err error) {
	s := e.s
	for len(s.encoded) < len(e.images) {
		s.encoded = append(s.encoded, encoded{})
	}
	f := &s.fn.adapted[e.adapter]
	for ; e.at < len(e.images); e.at++ {
		if e.parts == nil {
			there, err := e.begin(f)
			if err != nil {
				return false, err
			}
			if there {
				continue
			}
		}
		if b.spent() {
			return false, nil
		}
		if done, err := s.part(ctx, e.parts, b); !done || err != nil {
			return false, err
		}
		e.parts = nil
		s.encoded[e.at] = encoded{e.images[e.at], e.key}
		e.encoding += time.Since(e.began)
		if err := s.pictures.put(e.key, s.fn.features, e.at); err != nil {
			return false, err
		}
	}
	return true, nil
}

// begin prepares the run over the next image, and reports whether there needs to be none.
func (e *encoder) begin(f *adapted) (there bool, err error) {
	s, p := e.s, e.images[e.at]
	at := &s.encoded[e.at]
	if at.image == p && at.key.adapter == e.adapter {
		return true, nil
	}
	start := time.Now()
	fitted := s.Fit(p)
	e.key = featureKey{sha256.Sum256(fitted.Pix), e.adapter}
	if at.key == e.key && at.image != nil {
		at.image = p
		return true, nil
	}
	*at = encoded{}
	if hit, err := s.pictures.get(e.key, s.fn.features, e.at); hit || err != nil {
		if err == nil {
			*at = encoded{p, e.key}
		}
		return hit, err
	}
	if err := engine.Put(f.pixels, 0, preprocess.PixelValues(fitted, s.Model)); err != nil {
		return false, err
	}
	e.began = time.Now()
	e.preprocessing += e.began.Sub(start)
	f.encode.Set(entry.SymRow, e.at*s.Model.ImageTokens)
	e.parts = f.encode.Parts()
	return false, nil
}
