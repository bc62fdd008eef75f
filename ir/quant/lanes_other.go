//go:build !amd64

package quant

var vectors = false

func assignAVX2(x, weight *float32, q *byte, n int, min, inverse float32, s *lanes) {}
func boundsAVX2(x *float32, n int, lo, hi *[8]float32)                              {}
func topAVX2(x *float32, n int, top *[8]uint32)                                     {}
func roundAVX2(x *float32, q *byte, n int, inverse float32)                         {}
