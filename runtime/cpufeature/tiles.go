package cpufeature

import (
	"errors"
	"fmt"
	"strings"
	"sync"
)

// stateTiles are the bits of XCR0, and of the kernel's mask, for the configuration of tile registers and their data.
const stateTiles = 3 << 17

// tileSystem is what a machine says of AMX's tile registers beyond the bits of its CPU: a hypervisor may show those and
// let instructions fault, and Linux lets a process have the registers when it asks.
type tileSystem struct {
	palettes  uint32 // the greatest number of a palette of shapes, from CPUID
	saved     uint64 // XCR0
	supported func() (mask uint64, err error)
	request   func() error // for all threads of the process
}

// tiles asks this system for the tile registers, once, and says why it does not grant them.
var tiles = sync.OnceValue(func() error { return thisSystem().ask() })

func (s tileSystem) ask() error {
	if s.palettes == 0 {
		return errors.New("this CPU has AMX but no palette of tiles, as under a hypervisor that hides them")
	}
	if s.saved&stateTiles != stateTiles {
		return errors.New("the system does not save AMX's tile registers")
	}
	mask, err := s.supported()
	if err == nil && mask&stateTiles != stateTiles {
		err = fmt.Errorf("its mask is %#x", mask)
	}
	if err != nil {
		return fmt.Errorf("the kernel does not know AMX's tile registers, as Linux does from 5.16 on: %w", err)
	}
	if err := s.request(); err != nil {
		return fmt.Errorf("the kernel refuses AMX's tile registers: %w", err)
	}
	return nil
}

// usesTiles reports whether one of the features is of tile registers.
func usesTiles(features []string) bool {
	for _, f := range features {
		if strings.HasPrefix(f, "amx-") {
			return true
		}
	}
	return false
}
