package rgb

import (
	"strings"
	"testing"
)

// TestSettleDeep: gray samples of 16 bits keep the high ones of the bits that are used; where that is a guess, or the
// range is a sliver, the image's Doubt says so.
func TestSettleDeep(t *testing.T) {
	for _, c := range []struct {
		samples  []uint16
		inverted bool
		want     []byte
		doubt    string
	}{
		{[]uint16{0, 0x1234, 0xffff}, false, []byte{0, 0x12, 0xff}, ""},
		{[]uint16{0, 0x1234, 0xffff}, true, []byte{0xff, 0xed, 0}, ""},
		{[]uint16{0, 0x123, 0xfff}, false, []byte{0, 0x12, 0xff}, "reach only 4095, so they are taken for samples of 12 bits"},
		{[]uint16{0, 0x123, 0x400}, false, []byte{0, 0x12, 0x40}, "of 12 bits"},
		{[]uint16{1, 0x3ff}, false, []byte{0, 0xff}, "of 10 bits"},
		{[]uint16{1, 0xff}, false, []byte{1, 0xff}, "of 8 bits"},
		{[]uint16{0, 0xff}, true, []byte{0xff, 0}, "of 8 bits"},
		{[]uint16{0, 0x1000}, false, []byte{0, 0x10}, "reach only 4096 of 65535, so it is dark"},
		{[]uint16{0x8000, 0x8fff}, false, []byte{0x80, 0x8f}, "between 32768 and 36863, a sliver"},
		{[]uint16{0, 0}, false, []byte{0, 0}, ""},
		{[]uint16{0xfff0, 0xfff0}, false, []byte{0xff, 0xff}, ""},
	} {
		m := New(len(c.samples), 1)
		for i, v := range c.samples {
			PutDeep(m.Pix[3*i:], v)
		}
		m.SettleDeep(c.inverted)
		for i, w := range c.want {
			if m.Pix[3*i] != w || m.Pix[3*i+1] != w || m.Pix[3*i+2] != w {
				t.Errorf("%x: pixel %d is %x, expected %x", c.samples, i, m.Pix[3*i:3*i+3], w)
			}
		}
		if (c.doubt == "") != (m.Doubt == "") || !strings.Contains(m.Doubt, c.doubt) {
			t.Errorf("%x: doubt %q, expected %q", c.samples, m.Doubt, c.doubt)
		}
	}
}

// TestDepth: color of 16 bits that uses a quarter of the range at most is doubtful.
func TestDepth(t *testing.T) {
	for doubt, row := range map[string][]byte{"stay below 4096 of 65536": {0x0f, 0xff, 0, 1, 2, 3}, "": {0x0f, 0xff, 0x40, 0, 0, 0}} {
		var big, little Depth
		big.Add(row, 0)
		for i := 0; i < len(row); i += 2 {
			little.Add([]byte{row[i+1], row[i]}, 1)
		}
		if big != little || (doubt == "") != (big.Doubt() == "") || !strings.Contains(big.Doubt(), doubt) {
			t.Errorf("%x: doubts %q and %q, expected %q", row, big.Doubt(), little.Doubt(), doubt)
		}
	}
	if got := new(Depth).Doubt(); got != "" {
		t.Errorf("a black image is doubtful: %q", got)
	}
}

// TestRange: floats and long integers in another range than 0…255 are doubtful.
func TestRange(t *testing.T) {
	for doubt, samples := range map[string][]float64{
		"reach only 0.5, where 255 is white, so it is black": {0, 0.5}, "reach 4095, where 255 is white": {-1, 4095}, "": {0, 200.5, 300},
	} {
		var r Range
		for _, v := range samples {
			r.Add(v)
		}
		if got := r.Doubt(); (doubt == "") != (got == "") || !strings.Contains(got, doubt) {
			t.Errorf("%v: doubt %q, expected %q", samples, got, doubt)
		}
	}
	if got := (&Range{}).Doubt(); got != "" {
		t.Errorf("a black image is doubtful: %q", got)
	}
}
