//go:build !amd64

package emu

var vectors = false

func loadAVX2(t *floatTile, r *fragments, s *split) {}
func multiplyAVX2(t *floatTile) int32               { return 1 }
func storeAVX2(t *floatTile, r *fragments)          {}
