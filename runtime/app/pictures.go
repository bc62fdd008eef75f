package app

import (
	"fmt"
	"slices"

	"pgc"
	"pgc/runtime/fetch"
)

// album keeps the images of the last request, so that requests about the same ones read and encode them once.
type album struct {
	header fetch.Header // sent with requests for URLs
	last   map[string]pgc.Image
}

// images returns the images of a request and drops all others. They are read when the request runs; only URLs use the
// network.
func (al *album) images(names []string) ([]pgc.Image, error) {
	now := map[string]pgc.Image{}
	var out []pgc.Image
	for i, name := range names {
		image, known := al.last[name]
		switch {
		case name == "-" && slices.Contains(names[:i], "-"):
			return nil, usage{fmt.Errorf("standard input (-) is named twice as a picture, expected once")}
		case known:
		case now[name] != (pgc.Image{}):
			image = now[name]
		case fetch.IsURL(name):
			image = pgc.URLWithHeader(name, al.header)
		default:
			image = pgc.File(name)
		}
		now[name] = image
		out = append(out, image)
	}
	al.last = now
	return out, nil
}

// album returns one of a command.
func (a *App) album() *album { return &album{header: a.header} }
