package cpufeature

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cpuid and xgetbv are in x86_amd64.s.
func cpuid(leaf, sub uint32) (eax, ebx, ecx, edx uint32)
func xgetbv() (eax, edx uint32)

// extended returns an extended leaf of CPUID, zeros where the CPU has no such leaf.
func extended(leaf uint32) (r registers) {
	if last, _, _, _ := cpuid(0x80000000, 0); last >= leaf {
		_, r.ebx, r.ecx, _ = cpuid(leaf, 0)
	}
	return r
}

// hypervised reports whether a hypervisor says that it is there.
func hypervised() bool {
	_, _, ecx, _ := cpuid(1, 0)
	return ecx&(1<<31) != 0
}

// Codes of arch_prctl, and the component of a thread's state that tile registers are (Documentation/arch/x86/xstate.rst
// of Linux).
const (
	archGetSupported = 0x1021
	archRequest      = 0x1023
	stateTileData    = 18
)

// thisSystem is what this machine says of tile registers.
func thisSystem() tileSystem {
	const (
		leafTiles = 0x1d
		osxsave   = 1 << 27 // XGETBV may be asked
	)
	s := tileSystem{
		supported: func() (mask uint64, err error) {
			return mask, archPrctl(archGetSupported, uintptr(unsafe.Pointer(&mask)))
		},
		request: func() error { return archPrctl(archRequest, stateTileData) },
	}
	if last, _, _, _ := cpuid(0, 0); last >= leafTiles {
		s.palettes, _, _, _ = cpuid(leafTiles, 0)
	}
	if _, _, ecx, _ := cpuid(1, 0); ecx&osxsave != 0 {
		low, high := xgetbv()
		s.saved = uint64(high)<<32 | uint64(low)
	}
	return s
}

func archPrctl(code, arg uintptr) error {
	if _, _, errno := syscall.RawSyscall(unix.SYS_ARCH_PRCTL, code, arg, 0); errno != 0 {
		return errno
	}
	return nil
}

// ThisCore identifies the core that this process runs on.
func ThisCore() Core {
	_, ebx, ecx, edx := cpuid(0, 0)
	signature, _, _, _ := cpuid(1, 0)
	return ofCPUID(ebx, ecx, edx, signature)
}
