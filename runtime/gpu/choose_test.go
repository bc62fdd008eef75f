package gpu

import (
	"strings"
	"testing"
)

// devices is a driver that lists GPUs and opens none.
type devices []Info

func (d devices) Devices() ([]Info, error) { return d, nil }
func (d devices) Open(int) (Device, error) { panic("opened") }

// Where no GPU runs programs, the error is one line.
func TestFindNone(t *testing.T) {
	old := Info{Name: "old", Major: 7, Minor: 5, Driver: 12000}
	_, _, err := Of(devices{old, old}).Find(-1)
	if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "expected 8.0 or later") {
		t.Errorf("%v, expected one line", err)
	}
	if n, _, err := Of(devices{old, {Name: "new", Major: 8, Driver: 12000}}).Find(-1); n != 1 || err != nil {
		t.Errorf("GPU %d, %v, expected 1", n, err)
	}
}
