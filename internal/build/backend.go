package build

import (
	"fmt"

	"pgc/codegen/backend"
	"pgc/codegen/cpu"
	"pgc/codegen/ptx"
	"pgc/ir/target"
	"pgc/runtime/program"
)

// BackendOf returns the backend for a target that a program names.
func BackendOf(t program.Target) (*backend.Backend, error) {
	switch t.Kind {
	case program.CPU:
		found, err := target.Find(t.CPU)
		if err != nil {
			return nil, err
		}
		return cpu.Backend(found), nil
	case program.PTX:
		return ptx.Backend(), nil
	}
	return nil, fmt.Errorf("a target of unknown %v", t.Kind)
}
