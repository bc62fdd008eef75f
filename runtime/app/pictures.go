package app

import (
	"context"
	"fmt"
	"slices"

	"pgc/runtime/fetch"
	"pgc/runtime/imageio"
	"pgc/runtime/rgb"
)

// pictures reads the pictures that the user named. Nothing is fetched unless a name is a URL.
func (a *App) pictures(names []string) ([]*rgb.Image, error) {
	if i := slices.Index(names, "-"); i >= 0 && slices.Contains(names[i+1:], "-") {
		return nil, usage{fmt.Errorf("standard input (-) is named twice as a picture, expected once")}
	}
	var out []*rgb.Image
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
func readPicture(ctx context.Context, name string) (*rgb.Image, error) {
	if !fetch.IsURL(name) {
		return imageio.Read(name, imageio.DefaultLimits)
	}
	data, err := fetch.Get(ctx, name, fetch.DefaultLimits)
	if err != nil {
		return nil, err
	}
	return imageio.Decode(fetch.Short(name), data, imageio.DefaultLimits)
}

// album keeps the pictures of the last request, so that requests about the same ones share them: they are read and
// encoded once.
type album map[string]*rgb.Image

// open reads the pictures that it does not hold and lets go of all others.
func (al *album) open(a *App, names []string) ([]*rgb.Image, error) {
	var fresh []string
	for _, name := range names {
		if (*al)[name] == nil && (name == "-" || !slices.Contains(fresh, name)) {
			fresh = append(fresh, name)
		}
	}
	pics, err := a.pictures(fresh)
	if err != nil {
		return nil, err
	}
	now := album{}
	out := make([]*rgb.Image, len(names))
	for i, name := range names {
		p := (*al)[name]
		if at := slices.Index(fresh, name); at >= 0 {
			p = pics[at]
		}
		now[name], out[i] = p, p
	}
	*al = now
	return out, nil
}
