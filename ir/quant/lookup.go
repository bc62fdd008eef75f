package quant

// normalFloat4 are the levels of NF4 (Dettmers et al. 2023, "QLoRA"), as bitsandbytes has them: quantiles of the normal
// distribution, eight above zero and seven below, the outermost at 1 and -1.
var normalFloat4 = []float32{-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
	-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
	0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
	0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1}

// smallestLookup is the least magnitude that values are divided by to find their levels: its reciprocal is finite.
const smallestLookup = 1e-38

// lookup rounds to the nearest of levels, as bitsandbytes' blockwise quantization does on CPUs: the scale is the
// greatest magnitude, and a value times the scale's reciprocal that lies halfway between two levels gets the lower one.
// There are as many levels as a code has values.
func lookup(levels []float32) encoder {
	halfway := make([]float32, len(levels)-1)
	for i := range halfway {
		halfway[i] = (levels[i] + levels[i+1]) / 2
	}
	return func(_ *Rounding, x []float32, q []byte) (scale, min float32) {
		scale = top(x)
		inverse := 1 / max(scale, smallestLookup)
		for i, v := range x {
			v, code := v*inverse, 0
			for step := len(levels) / 2; step > 0; step /= 2 {
				if v > halfway[code+step-1] {
					code += step
				}
			}
			q[i] = byte(code)
		}
		return scale, 0
	}
}
