package tiff

import (
	"math"
	"sync"
)

// CIELab becomes sRGB as Pillow has Little CMS do it, to the bit: sRGB is computed in 16 bits at the nodes of a grid over
// Lab, and between them interpolated in the tetrahedron that holds the color.

// grid is the number of nodes of an axis.
const grid = 33

// D50, the white of Lab, and what makes linear sRGB of XYZ adapted to it (IEC 61966-2-1 with Bradford's adaptation).
var (
	white50 = [3]float64{0.9642, 1, 0.8249}
	fromXYZ = [3][3]float64{
		{3.1341863642368195, -1.6172089589982759, -0.4906940640063842},
		{-0.9787485041906946, 1.9161300967735877, 0.033433399159995617},
		{0.07196392780224682, -0.22899387345320335, 1.4057537328964447},
	}
)

// node is the color at a node of the grid.
type node [3]int64

// labGrid computes the nodes: [L][a][b].
var labGrid = sync.OnceValue(func() *[grid][grid][grid]node {
	g := new([grid][grid][grid]node)
	at := func(i int) float64 { return math.Floor(float64(i)*65535/(grid-1)+0.5) / 65535 }
	for i := range grid {
		for j := range grid {
			for k := range grid {
				g[i][j][k] = labNode(at(i)*100, at(j)*65535/257-128, at(k)*65535/257-128)
			}
		}
	}
	return g
})

// labNode converts a color, L* from 0 to 100, a* and b* around 0, to 16 bits of sRGB. The conversions of products to
// float64 keep processors from fusing them with sums.
func labNode(l, a, b float64) (n node) {
	fy := (l + 16) / 116
	f := [3]float64{fy + float64(a*0.002), fy, fy - float64(b*0.005)}
	var xyz [3]float64
	for i, t := range f {
		v := float64(t*t) * t
		if t <= 24.0/116 {
			v = 108.0 / 841 * (t - 16.0/116)
		}
		xyz[i] = v * white50[i]
	}
	for c, row := range fromXYZ {
		v := float64(row[0]*xyz[0]) + float64(row[1]*xyz[1]) + float64(row[2]*xyz[2])
		if v >= math.Pow((0.04045+0.055)/1.055, 2.4) {
			v = float64(math.Pow(v, 1/2.4)*1.055) - 0.055
		} else {
			v *= 12.92
		}
		n[c] = int64(math.Floor(float64(min(max(v, 0), 1)*65535) + 0.5))
	}
	return n
}

// fromLab converts a pixel of a file, L* and signed a* and b*, in place.
func fromLab(d []byte) {
	g := labGrid()
	var low, rest [3]int64 // the node below, and how far the color lies from it
	for i, v := range [3]byte{d[0], d[1] ^ 128, d[2] ^ 128} {
		x := int64(v) * 257 * (grid - 1)
		x += (x + 0x7fff) / 0xffff
		low[i], rest[i] = x>>16, x&0xffff
	}
	at := low
	color := func() node { return g[at[0]][at[1]][at[2]] }
	first := color()
	sum, before := node{0x8001, 0x8001, 0x8001}, first
	left := [3]bool{true, true, true}
	for range 3 { // from node to node, along the axis of the longest way first
		axis := -1
		for i, is := range left {
			if is && (axis < 0 || rest[i] > rest[axis]) {
				axis = i
			}
		}
		left[axis] = false
		at[axis] = min(at[axis]+1, grid-1)
		next := color()
		for c := range sum {
			sum[c] += (next[c] - before[c]) * rest[axis]
		}
		before = next
	}
	for c := range sum {
		v := (first[c] + (sum[c]+sum[c]>>16)>>16) & 0xffff
		d[c] = byte((v*65281 + 8388608) >> 24)
	}
}
