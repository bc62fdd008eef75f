package draw

import (
	"hash/fnv"
	"image/color"
	"math"
	"slices"
)

// palette holds colors that are easy to tell apart, on light and dark backgrounds.
var palette = []color.RGBA{
	{230, 57, 70, 255},   // red
	{30, 136, 229, 255},  // blue
	{67, 160, 71, 255},   // green
	{255, 179, 0, 255},   // amber
	{142, 36, 170, 255},  // purple
	{0, 172, 193, 255},   // cyan
	{244, 81, 30, 255},   // orange
	{216, 27, 96, 255},   // magenta
	{124, 179, 66, 255},  // light green
	{57, 73, 171, 255},   // indigo
	{109, 76, 65, 255},   // brown
	{253, 216, 53, 255},  // yellow
	{0, 121, 107, 255},   // teal
	{244, 143, 177, 255}, // pink
	{84, 110, 122, 255},  // slate
	{144, 202, 249, 255}, // light blue
}

// Colors returns the color of each object: that of its label, and a shade of it for every further object of the label.
func Colors(objects []Object) []color.RGBA {
	of := labelColors(objects)
	seen := map[string]int{}
	out := make([]color.RGBA, len(objects))
	for i, o := range objects {
		out[i] = shade(of[o.Label], seen[o.Label])
		seen[o.Label]++
	}
	return out
}

// labelColors assigns every label a color: in alphabetical order the one its hash picks, or the next free one while any
// is free.
func labelColors(objects []Object) map[string]color.RGBA {
	var labels []string
	for _, o := range objects {
		labels = append(labels, o.Label)
	}
	slices.Sort(labels)
	out := map[string]color.RGBA{}
	used := make([]bool, len(palette))
	for n, l := range slices.Compact(labels) {
		hash := fnv.New32a()
		hash.Write([]byte(l))
		i := int(hash.Sum32() % uint32(len(palette)))
		for n < len(palette) && used[i] {
			i = (i + 1) % len(palette)
		}
		used[i] = true
		out[l] = palette[i]
	}
	return out
}

// shade returns the n-th shade of a color: itself, then lighter and darker ones.
func shade(c color.RGBA, n int) color.RGBA {
	to, part := 255.0, []float64{0, 0.35, 0.3, 0.55, 0.5}[n%5] // of the way to white, or to black
	if n%5 > 0 && n%2 == 0 {
		to = 0
	}
	toward := func(v uint8) uint8 { return uint8(math.Round(float64(v) + part*(to-float64(v)))) }
	return color.RGBA{toward(c.R), toward(c.G), toward(c.B), 255}
}

// contrast returns black or white, whichever reads better on c: the two contrast ratios of WCAG 2 are equal at a
// relative luminance of about 0.18; the threshold is a little higher because white letters on a saturated plate look
// clearer.
func contrast(c color.RGBA) color.RGBA {
	luminance := 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
	if luminance > 0.33 {
		return color.RGBA{20, 20, 20, 255}
	}
	return color.RGBA{255, 255, 255, 255}
}

// linear approximates the sRGB transfer curve by a square.
func linear(v uint8) float64 { return float64(v) * float64(v) / (255 * 255) }
