package jpeg

// plane is one component of a JPEG at its own resolution.
type plane struct {
	pix           []byte
	stride        int
	width, height int // of the samples of the image, without padding
	hx, vx        int // columns and rows of the image per sample
}

func (p *plane) line(y int) []byte {
	y = min(max(y, 0), p.height-1)
	return p.pix[y*p.stride : y*p.stride+p.width]
}

// upsampler returns rows of a plane at the image's resolution as libjpeg does (jdsample.c): doubling interpolates with
// the triangle filter ("fancy upsampling"), every other ratio repeats samples.
type upsampler struct {
	*plane
	out []byte
	sum []int32 // a row of 3*near + far, for doubling both ways
}

func newUpsampler(p *plane, width int) upsampler {
	u := upsampler{plane: p}
	if p.hx > 1 || p.vx > 1 {
		u.out = make([]byte, width+1) // the last sample may reach one past the edge
		u.sum = make([]int32, p.width)
	}
	return u
}

// row returns row y of the image. It is valid until the next call.
func (u *upsampler) row(y int) []byte {
	near := u.line(y / u.vx)
	switch {
	case u.hx == 1 && u.vx == 1:
		return near
	case u.hx == 1 && u.vx == 2:
		u.betweenRows(near, y)
	case u.hx == 2 && u.vx == 1 && u.width > 2:
		u.betweenColumns(near)
	case u.hx == 2 && u.vx == 2 && u.width > 2:
		u.betweenBoth(near, y)
	default:
		u.repeat(near)
	}
	return u.out
}

// far returns the row on the other side of image row y, clamped at the edges.
func (u *upsampler) far(y int) []byte { return u.line(y/2 - 1 + 2*(y&1)) }

func (u *upsampler) repeat(near []byte) {
	for x := range u.out {
		u.out[x] = near[min(x/u.hx, len(near)-1)]
	}
}

// betweenRows: 3/4 near + 1/4 far; rounding alternates between the rows of a pair.
func (u *upsampler) betweenRows(near []byte, y int) {
	far, bias := u.far(y), int32(1+y&1)
	for x, v := range near {
		u.out[x] = byte((3*int32(v) + int32(far[x]) + bias) >> 2)
	}
}

// betweenColumns: 3/4 near + 1/4 far, the outermost columns thus as they are; rounding alternates between the columns
// of a pair.
func (u *upsampler) betweenColumns(near []byte) {
	last := len(near) - 1
	for x, v := range near {
		left, right := near[max(x-1, 0)], near[min(x+1, last)]
		u.put(x, byte((3*int32(v)+int32(left)+1)>>2), byte((3*int32(v)+int32(right)+2)>>2))
	}
}

// betweenBoth: 9/16, 3/16, 3/16, 1/16, in one rounding.
func (u *upsampler) betweenBoth(near []byte, y int) {
	far, last := u.far(y), len(near)-1
	for x, v := range near {
		u.sum[x] = 3*int32(v) + int32(far[x])
	}
	for x, v := range u.sum {
		left, right := u.sum[max(x-1, 0)], u.sum[min(x+1, last)]
		u.put(x, byte((3*v+left+8)>>4), byte((3*v+right+7)>>4))
	}
}

func (u *upsampler) put(x int, even, odd byte) { u.out[2*x], u.out[2*x+1] = even, odd }
