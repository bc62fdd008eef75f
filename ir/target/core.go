package target

import "pgc/runtime/cpufeature"

// core tells a CPU of the table by its identification: models from first to last.
type core struct {
	vendor      string
	family      int
	first, last int
	name        string
}

const (
	amd   = "AuthenticAMD"
	intel = "GenuineIntel"
	arm   = "41"
)

// cores are as LLVM's Host.cpp has them. Families of AMD's server cores that share a range with others come first.
var cores = []core{
	{amd, 0x17, 0x00, 0x2f, "znver1"}, {amd, 0x17, 0x30, 0xff, "znver2"},
	{amd, 0x19, 0x10, 0x1f, "znver4"}, {amd, 0x19, 0x60, 0xaf, "znver4"}, {amd, 0x19, 0x00, 0x5f, "znver3"},
	{amd, 0x1a, 0x00, 0xff, "znver5"},
	{intel, 6, 0x3c, 0x3c, "haswell"}, {intel, 6, 0x3f, 0x3f, "haswell"}, {intel, 6, 0x45, 0x46, "haswell"},
	{intel, 6, 0x3d, 0x3d, "broadwell"}, {intel, 6, 0x47, 0x47, "broadwell"}, {intel, 6, 0x4f, 0x4f, "broadwell"}, {intel, 6, 0x56, 0x56, "broadwell"},
	{intel, 6, 0x4e, 0x4e, "skylake"}, {intel, 6, 0x5e, 0x5e, "skylake"}, {intel, 6, 0x8e, 0x8e, "skylake"}, {intel, 6, 0x9e, 0x9e, "skylake"},
	{intel, 6, 0xa5, 0xa6, "skylake"},
	{intel, 6, 0x55, 0x55, "cascadelake"}, // and its relatives, which FindHere tells by their features
	{intel, 6, 0x6a, 0x6a, "icelake-server"}, {intel, 6, 0x6c, 0x6c, "icelake-server"}, {intel, 6, 0x7d, 0x7e, "icelake-client"},
	{intel, 6, 0x8c, 0x8d, "tigerlake"}, {intel, 6, 0xa7, 0xa7, "rocketlake"},
	{intel, 6, 0x97, 0x97, "alderlake"}, {intel, 6, 0x9a, 0x9a, "alderlake"}, {intel, 6, 0xb7, 0xb7, "raptorlake"}, {intel, 6, 0xba, 0xba, "raptorlake"},
	{intel, 6, 0xbf, 0xbf, "raptorlake"}, {intel, 6, 0xaa, 0xaa, "meteorlake"}, {intel, 6, 0xac, 0xac, "meteorlake"},
	{intel, 6, 0x8f, 0x8f, "sapphirerapids"}, {intel, 6, 0xcf, 0xcf, "emeraldrapids"}, {intel, 6, 0xad, 0xae, "graniterapids"},
	{intel, 6, 0xbd, 0xbd, "lunarlake"}, {intel, 6, 0xc5, 0xc6, "arrowlake"},
	{arm, 0, 0xd03, 0xd03, "cortex-a53"}, {arm, 0, 0xd05, 0xd05, "cortex-a55"}, {arm, 0, 0xd08, 0xd08, "cortex-a72"}, {arm, 0, 0xd0b, 0xd0b, "cortex-a76"},
	{arm, 0, 0xd0c, 0xd0c, "neoverse-n1"}, {arm, 0, 0xd40, 0xd40, "neoverse-v1"}, {arm, 0, 0xd49, 0xd49, "neoverse-n2"}, {arm, 0, 0xd4f, 0xd4f, "neoverse-v2"},
	{"c0", 0, 0xac3, 0xac3, "ampere1"},
}

// named returns the name of a core; "" for one that the table lacks.
func named(c cpufeature.Core) string {
	for _, k := range cores {
		if k.vendor == c.Vendor && k.family == c.Family && k.first <= c.Model && c.Model <= k.last {
			return k.name
		}
	}
	return ""
}

// FindHere returns the target of this machine's CPU: by its model, or, where the table lacks that or the machine hides some
// of its instructions, the best of Default, with the family of the model, if the code of both is for vectors of one length.
func FindHere() (Target, error) { return here(named(cpufeature.ThisCore()), cpufeature.Check) }

func here(name string, check func(features []string) error) (Target, error) {
	own, err := Find(name)
	if err == nil && check(own.Features) == nil {
		return own, nil
	}
	t, bestErr := best(Default, check)
	if bestErr == nil && err == nil && t.Lanes == own.Lanes {
		t.Family = own.Family
	}
	return t, bestErr
}
