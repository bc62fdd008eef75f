package cpufeature

// registers are those of CPUID that are asked for.
type registers struct{ ebx, ecx uint32 }

// Core identifies the kind of core of this machine: for x86-64 the vendor's name, family and model of CPUID, for arm64 the
// implementer, in hexadecimal, and the part, as MIDR_EL1 has them.
type Core struct {
	Vendor        string
	Family, Model int
}

// ofCPUID decodes leaves 0 and 1.
func ofCPUID(ebx, ecx, edx, signature uint32) Core {
	c := Core{Family: int(signature >> 8 & 0xf), Model: int(signature >> 4 & 0xf)}
	if c.Family == 6 || c.Family == 15 {
		c.Model += int(signature>>16&0xf) << 4
	}
	if c.Family == 15 {
		c.Family += int(signature >> 20 & 0xff)
	}
	for _, r := range []uint32{ebx, edx, ecx} {
		c.Vendor += string([]byte{byte(r), byte(r >> 8), byte(r >> 16), byte(r >> 24)})
	}
	return c
}
