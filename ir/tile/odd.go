package tile

import "math"

// productBF16 multiplies two bfloat16, exactly but for what is subnormal.
func productBF16(x, y word) word {
	return flushed(floatWord(flushed(x&0xffff<<16).float() * flushed(y&0xffff<<16).float()))
}

// sumOdd adds two float32 and rounds to odd: what is inexact is the neighbor whose last bit is 1.
func sumOdd(x, y word) word {
	a, b := float64(x.float()), float64(y.float())
	s := a + b
	if rest := s - a; a-(s-rest)+(b-rest) != 0 && math.Float64bits(s)&1 == 0 { // the sum in float64, rounded to odd
		s = math.Nextafter(s, math.Copysign(math.Inf(1), a-(s-rest)+(b-rest)))
	}
	t := float32(s)
	if math.Abs(s) < 1<<128 && float64(t) != s { // else it is exact, or infinite
		if math.Abs(float64(t)) > math.Abs(s) {
			t = math.Nextafter32(t, 0)
		}
		t = math.Float32frombits(math.Float32bits(t) | 1)
	}
	return flushed(floatWord(t))
}
