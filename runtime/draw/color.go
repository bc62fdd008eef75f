package draw

import (
	"hash/fnv"
	"image/color"
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

// labelColors assigns every label a color: in alphabetical order the one its hash picks, or the next free one while any
// is free.
func labelColors(boxes []Box) map[string]color.RGBA {
	var labels []string
	for _, b := range boxes {
		labels = append(labels, b.Label)
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
