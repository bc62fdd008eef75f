package serve

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"pgc"
	"pgc/runtime/fetch"
	"pgc/runtime/imageio"
	"pgc/runtime/native"
	"pgc/runtime/serve/limits"
	"pgc/runtime/serve/openai"
)

// mostPictures is how many pictures a request may have.
const mostPictures = 64

// pictures decodes the pictures of a request and takes their bytes from the gate, which the call gives back at its end.
// field names them in errors.
func (s *Server) pictures(ctx context.Context, c *call, urls []string, field string) ([]pgc.Image, error) {
	switch {
	case len(urls) == 0:
		return nil, openai.Invalid(field, "the request has no picture, expected one: the model answers about pictures")
	case len(urls) > mostPictures:
		return nil, openai.Invalid(field, "the request has %d pictures, expected %d at most", len(urls), mostPictures)
	}
	var list []pgc.Image
	for i, url := range urls {
		image, err := s.picture(ctx, c, url)
		if err != nil {
			return nil, pictureError(err, i, field)
		}
		list = append(list, image)
	}
	return list, nil
}

// picture reads and decodes one picture, and keeps what the model sees of it.
func (s *Server) picture(ctx context.Context, c *call, url string) (image pgc.Image, err error) {
	url = strings.TrimSpace(url)
	key, fits := sha256.Sum256([]byte(url)), s.Info.EmbeddingDim == 0 && !isAddress(url) // which may lead to another picture now
	if fits {
		if image, found := s.seen.get(key); found {
			return image, c.take(s.gate, s.fitted())
		}
	}
	data, err := s.content(ctx, url)
	if err != nil {
		return image, err
	}
	begun := time.Now()
	err = s.decoding.Do(ctx, func(memory func(need int64, what string) error) error {
		var claims claims
		defer claims.release()
		image = pgc.BytesWithin(data, claims.limits(memory))
		bytes := s.fitted()
		if s.Info.EmbeddingDim > 0 { // which are embedded one by one, as they are
			width, height, err := image.Size(ctx)
			if err != nil {
				return err
			}
			bytes = 3 * int64(width) * int64(height)
		} else if image, err = c.model.Fit(ctx, image); err != nil {
			return err
		}
		s.metrics.Picture(time.Since(begun))
		return c.take(s.gate, bytes)
	})
	if err == nil && fits {
		s.seen.put(key, image)
	}
	return image, err
}

// fitted is the bytes of a picture as the model sees it.
func (s *Server) fitted() int64 { return 3 * int64(s.Info.ImageSize) * int64(s.Info.ImageSize) }

// isAddress reports whether a picture is named by an http or https address.
func isAddress(url string) bool {
	scheme, _, found := strings.Cut(url[:min(len(url), len("https:"))], ":")
	return found && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

// claims are the memory that a picture's decoding was granted, which nobody else is granted until release.
type claims []func()

// limits are those of pictures of requests: what decoders may take together, and the memory there is.
func (c *claims) limits(memory func(need int64, what string) error) imageio.Limits {
	l := imageio.DefaultLimits
	l.Memory = func(need int64, what string) error {
		if err := memory(need, what); err != nil {
			return err
		}
		release, err := native.Claim(need, what)
		if err == nil {
			*c = append(*c, release)
		}
		return err
	}
	return l
}

func (c *claims) release() {
	for _, release := range *c {
		release()
	}
}

// toStd rewrites base64 of the alphabet for URLs.
var toStd = strings.NewReplacer("-", "+", "_", "/")

// content returns the file of a picture: of a data: URI, of base64 alone, or of an address where those are allowed.
func (s *Server) content(ctx context.Context, url string) ([]byte, error) {
	switch scheme, _, found := strings.Cut(url, ":"); {
	case !found:
		data, err := base64.StdEncoding.DecodeString(url)
		if err != nil { // the other alphabet, without padding, or with white space within
			data, err = base64.RawStdEncoding.DecodeString(toStd.Replace(strings.TrimRight(strings.Join(strings.Fields(url), ""), "=")))
		}
		if err != nil {
			return nil, errors.New("it is neither a data: URI nor an https: URL nor base64")
		}
		return data, nil
	case strings.EqualFold(scheme, "data"):
		return fetch.Get(ctx, url, nil, fetch.Limits{Bytes: s.Body})
	case isAddress(url):
		if s.URLs == nil {
			return nil, errors.New("it is an address, which this server does not read: send a data: URI (or start it with --allow-image-urls)")
		}
		return s.URLs.Get(ctx, url)
	default:
		return nil, fmt.Errorf("it is a %.20q address, expected a data: URI", scheme)
	}
}

// pictureError is an error about picture i of a request.
func pictureError(err error, i int, field string) error {
	large, isLarge := errors.AsType[limits.TooLarge](err)
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, limits.ErrNoRoom):
		return err
	case errors.Is(err, native.ErrMemory):
		return openai.Unavailable("out_of_memory", "picture %d: %v", i+1, err)
	case isLarge:
		return &openai.Error{Status: http.StatusRequestEntityTooLarge, Type: "invalid_request_error", Param: field, Code: "picture_too_large", Message: fmt.Sprintf("picture %d: %v", i+1, large)}
	}
	if file, ok := errors.AsType[*imageio.Error](err); ok {
		err = file.Err
	}
	return openai.Invalid(field, "picture %d: %v", i+1, err)
}
