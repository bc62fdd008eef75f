package rgb

import (
	"math"
	"testing"
)

func TestOverWhite(t *testing.T) {
	worst := 0.0
	for a := range uint32(256) {
		for s := range uint32(256) {
			exact := (float64(s*a) + 255*float64(255-a)) / 255
			worst = max(worst, math.Abs(float64(OverWhite(s, a))-exact))
		}
	}
	if worst > 0.51 {
		t.Errorf("compositing is off by %.3f levels, expected rounding only", worst)
	}
}
