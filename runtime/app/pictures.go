package app

import (
	"context"
	"fmt"
	"slices"

	"pgc/runtime/fetch"
	"pgc/runtime/picture"
)

// pictures reads the pictures that the user named. Nothing is fetched unless a name is a URL.
func (a *App) pictures(names []string) ([]*picture.Picture, error) {
	if i := slices.Index(names, "-"); i >= 0 && slices.Contains(names[i+1:], "-") {
		return nil, usage{fmt.Errorf("standard input (-) is named twice as a picture, expected once")}
	}
	var out []*picture.Picture
	for _, name := range names {
		p, err := readPicture(a.ctx, name)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// readPicture reads one picture: a path, - for standard input, a data: URI or an http(s) URL.
func readPicture(ctx context.Context, name string) (*picture.Picture, error) {
	if !fetch.IsURL(name) {
		return picture.Read(name, picture.DefaultLimits)
	}
	data, err := fetch.Get(ctx, name, fetch.DefaultLimits)
	if err != nil {
		return nil, err
	}
	return picture.Decode(fetch.Short(name), data, picture.DefaultLimits)
}
