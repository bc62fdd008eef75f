package app

import (
	"fmt"
	"slices"

	"pgc"
	"pgc/runtime/fetch"
)

// album keeps the images of the last request, so that requests about the same ones share them: they are read and encoded once.
type album map[string]pgc.Image

// images names the images of a request, which are read when it is its turn. Nothing is fetched unless a name is a URL. Images of other
// names than these are let go of.
func (al *album) images(names []string) ([]pgc.Image, error) {
	now := album{}
	var out []pgc.Image
	for i, name := range names {
		image, known := (*al)[name]
		switch {
		case name == "-" && slices.Contains(names[:i], "-"):
			return nil, usage{fmt.Errorf("standard input (-) is named twice as a picture, expected once")}
		case known:
		case now[name] != (pgc.Image{}):
			image = now[name]
		case fetch.IsURL(name):
			image = pgc.URL(name)
		default:
			image = pgc.File(name)
		}
		now[name] = image
		out = append(out, image)
	}
	*al = now
	return out, nil
}
