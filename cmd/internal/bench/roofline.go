package bench

import (
	"cmp"
	"fmt"
	"image/color"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"sort"

	"pgc/runtime/entry"
	"pgc/runtime/output"
	"pgc/runtime/plural"
)

// Roofline writes a roofline chart of every kernel that computes, as SVG or PNG by the file's extension: operations per
// byte against operations per second, below the measured limits. The size of a circle is the kernel's share of its
// phase; the list beside explains the numbers.
func (r *Report) Roofline(path string) error {
	if r.Peaks == nil {
		return fmt.Errorf("--roofline %s: the limits of a GPU are not measured, expected --device cpu", path)
	}
	var c canvas
	var err error
	switch filepath.Ext(path) {
	case ".svg":
		c = newSVG(plotWidth, plotHeight)
	case ".png":
		if c, err = newPixels(plotWidth, plotHeight); err != nil {
			return err
		}
	default:
		return fmt.Errorf("--roofline %s: expected a name that ends in .svg or .png", path)
	}
	r.plot(c)
	data, err := c.bytes()
	if err != nil {
		return err
	}
	return output.WriteFile(path, data)
}

const (
	plotWidth, plotHeight            = 1180, 640
	left, right, top, bottom float64 = 70, 640, 60, 580
)

var (
	ink     = color.NRGBA{40, 40, 40, 255}
	faint   = color.NRGBA{220, 220, 220, 255}
	roofs   = color.NRGBA{120, 120, 120, 255}
	palette = map[string]color.NRGBA{entry.EncodeImage: {0, 114, 178, 170}, entry.Prefill: {213, 94, 0, 170}, entry.Decode: {0, 158, 115, 170},
		entry.DecodeBatch: {86, 180, 233, 170}, entry.Embed: {213, 94, 0, 170}}
)

// axes maps logarithms to coordinates.
type axes struct{ x0, x1, y0, y1 float64 }

func (a axes) x(v float64) float64 { return left + (math.Log10(v)-a.x0)/(a.x1-a.x0)*(right-left) }
func (a axes) y(v float64) float64 { return bottom - (math.Log10(v)-a.y0)/(a.y1-a.y0)*(bottom-top) }

// dot is a kernel in the chart.
type dot struct {
	phase string
	row   Row
	share float64 // of the phase
}

func (d dot) intensity() float64 { return float64(d.row.Flops) / float64(d.row.Bytes) }
func (d dot) speed() float64     { return float64(d.row.Flops) / d.row.Seconds }

// dots returns the kernels that compute and take at least a hundredth of a phase, phase by phase.
func (r *Report) dots() []dot {
	var out []dot
	for _, p := range r.Phases {
		for _, row := range p.Rows {
			if d := (dot{p.Name, row, row.Seconds / p.Seconds}); row.Flops > 0 && d.share >= 0.01 {
				out = append(out, d)
			}
		}
	}
	return out
}

func (r *Report) plot(c canvas) {
	dots := r.dots()
	a := axes{0, 3, 10, 12}
	for _, d := range dots {
		a.x0, a.x1 = min(a.x0, math.Floor(math.Log10(d.intensity()))), max(a.x1, math.Log10(d.intensity())+0.3)
		a.y0, a.y1 = min(a.y0, math.Floor(math.Log10(d.speed()))), max(a.y1, math.Log10(d.speed())+0.3)
	}
	a.y1 = max(a.y1, math.Log10(r.Peaks.Flops)+0.3, math.Log10(r.Peaks.Int4)+0.3)
	c.text(left, 24, 16, 0, ink, fmt.Sprintf("%s on %s, %s, prompt of %d tokens", r.Model, r.CPU, plural.Of(r.Threads, "thread"), r.Prompt))
	r.grid(c, a)
	r.drawRoofs(c, a, dots)
	// Large circles first, so that small ones stay on top.
	order := make([]int, len(dots))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool { return dots[order[i]].share > dots[order[j]].share })
	for _, i := range order {
		d := dots[i]
		x, y := a.x(d.intensity()), a.y(d.speed())
		c.circle(x, y, 4+14*math.Sqrt(d.share), palette[d.phase])
	}
	var taken [][2]float64
	for i, d := range dots {
		at := free(taken, a.x(d.intensity()), a.y(d.speed()))
		taken = append(taken, at)
		c.text(at[0], at[1]+4, 10, 0.5, ink, fmt.Sprint(i+1))
	}
	list(c, r, dots)
}

// free returns the position nearest to x, y with room for a number.
func free(taken [][2]float64, x, y float64) [2]float64 {
	for step := 0; ; step++ {
		distance := 5 * math.Sqrt(float64(step)) // a spiral
		at := [2]float64{x + distance*math.Cos(2.4*float64(step)), y + distance*math.Sin(2.4*float64(step))}
		ok := true
		for _, t := range taken {
			ok = ok && (math.Abs(t[0]-at[0]) > 14 || math.Abs(t[1]-at[1]) > 11)
		}
		if ok {
			return at
		}
	}
}

// grid draws the axes: a line for every power of ten.
func (r *Report) grid(c canvas, a axes) {
	for e := math.Ceil(a.x0); e <= a.x1; e++ {
		x := a.x(math.Pow(10, e))
		c.line(x, top, x, bottom, 1, faint)
		c.text(x, bottom+18, 12, 0.5, ink, fmt.Sprintf("%g", math.Pow(10, e)))
	}
	for e := math.Ceil(a.y0); e <= a.y1; e++ {
		y := a.y(math.Pow(10, e))
		c.line(left, y, right, y, 1, faint)
		c.text(left-8, y+4, 12, 1, ink, fmt.Sprintf("%g", math.Pow(10, e-9)))
	}
	c.text((left+right)/2, bottom+40, 13, 0.5, ink, "operations per byte of memory")
	c.text(left, top-10, 13, 0, ink, "GFLOP/s (integers: GOP/s)")
}

// drawRoofs draws the limits that apply to some kernel: memory and cache as slopes, arithmetic as level lines.
func (r *Report) drawRoofs(c canvas, a axes, dots []dot) {
	levels := map[string]float64{"f32 multiply-add": r.Peaks.Flops}
	for _, d := range dots {
		v, name := r.Peaks.arithmetic(&d.row)
		levels[name] = v
	}
	names := slices.SortedFunc(maps.Keys(levels), func(a, b string) int {
		return cmp.Or(cmp.Compare(levels[a], levels[b]), cmp.Compare(a, b))
	})
	top, label := 0.0, ""
	for i, name := range names {
		v := levels[name]
		top = max(top, v)
		c.line(a.x(max(math.Pow(10, a.x0), v/r.Peaks.Cache)), a.y(v), right, a.y(v), 1.5, roofs)
		label += name
		if i+1 < len(names) && a.y(v)-a.y(levels[names[i+1]]) < 12 { // one label for lines that nearly meet
			label += ", "
			continue
		}
		c.text(right, a.y(v)-5, 11, 1, roofs, fmt.Sprintf("%s: %.0f", label, v/1e9))
		label = ""
	}
	for _, slope := range []struct {
		name string
		v    float64
	}{{"memory", r.Peaks.Bandwidth}, {"cache", r.Peaks.Cache}} {
		from := max(math.Pow(10, a.x0), math.Pow(10, a.y0)/slope.v)
		c.line(a.x(from), a.y(from*slope.v), a.x(top/slope.v), a.y(top), 1.5, roofs)
		c.text(a.x(from)+12, a.y(from*slope.v)-6, 11, 0, roofs, fmt.Sprintf("%s: %.0f GB/s", slope.name, slope.v/1e9))
	}
}

// list writes the names of the numbered kernels.
func list(c canvas, r *Report, dots []dot) {
	y := top
	phase := ""
	const x = right + 30
	for i, d := range dots {
		if d.phase != phase {
			phase = d.phase
			for _, p := range r.Phases {
				if p.Name == phase {
					c.circle(x+6, y+4, 6, palette[phase])
					c.text(x+20, y+8, 13, 0, ink, fmt.Sprintf("%s: %.1f ms", phase, p.Seconds*1e3))
				}
			}
			y += 20
		}
		c.text(x+16, y+6, 11, 1, ink, fmt.Sprint(i+1))
		c.text(x+24, y+6, 11, 0, ink, d.row.Kernel)
		c.text(x+370, y+6, 11, 1, ink, fmt.Sprintf("%.0f %% of the time", 100*d.share))
		c.text(x+485, y+6, 11, 1, ink, fmt.Sprintf("%.0f %% of its roof", 100*d.row.Roof))
		if y += 16; i+1 < len(dots) && dots[i+1].phase != phase {
			y += 10
		}
	}
}
