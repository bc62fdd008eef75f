//go:build !amd64

package cpufeature

import (
	"os"
	"strconv"
	"strings"
)

func extended(uint32) registers { return registers{} }

func hypervised() bool { return false }

func thisSystem() tileSystem { return tileSystem{} }

// ofMIDR reads what Linux shows of the register; the zero Core if that is nothing.
func ofMIDR(text string) Core {
	midr, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(text), "0x"), 16, 64)
	if err != nil {
		return Core{}
	}
	return Core{Vendor: strconv.FormatUint(midr>>24&0xff, 16), Model: int(midr >> 4 & 0xfff)}
}

// midr is where Linux shows the register of the first core.
const midr = "/sys/devices/system/cpu/cpu0/regs/identification/midr_el1"

// ThisCore identifies the first core of this machine.
func ThisCore() Core {
	text, err := os.ReadFile(midr)
	if err != nil {
		return Core{}
	}
	return ofMIDR(string(text))
}
