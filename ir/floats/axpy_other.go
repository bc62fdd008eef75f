//go:build !amd64

package floats

var vectors = false

func addProductFMA(d, a *float32, n int, l float32) {}
