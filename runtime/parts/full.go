//go:build !least

package parts

// Full reports whether nothing is left out.
const Full = true
