package pgc

import (
	"fmt"
	"strings"

	"pgc/runtime/manifest"
	"pgc/runtime/program"
)

// Storage is how the matrices of a part of the model are stored.
type Storage struct {
	Part  string        `json:"part"`
	Types []StorageType `json:"types"` // in the order of their first matrix
}

// StorageType is a storage type and the matrices that have it.
type StorageType struct {
	Type     string `json:"type"`
	Matrices int    `json:"matrices"`
	Bytes    int64  `json:"bytes"`
}

// storage lists how the parts of a model are stored. A matrix that is stored in several layouts counts once a layout.
func storage(m *manifest.Model, p *program.Program) (out []Storage) {
	for _, name := range m.PartNames() {
		found := Storage{Part: name}
		for _, w := range p.Weights {
			if m.PartOf(w.Name) != name || len(w.Shape) < 2 {
				continue
			}
			at := 0
			for at < len(found.Types) && found.Types[at].Type != string(w.DType) {
				at++
			}
			if at == len(found.Types) {
				found.Types = append(found.Types, StorageType{Type: string(w.DType)})
			}
			found.Types[at].Matrices++
			found.Types[at].Bytes += w.Bytes
		}
		if len(found.Types) > 0 {
			out = append(out, found)
		}
	}
	return out
}

// String lists the types: i8g128 (162 matrices, 12.3 MiB), bf16 (2 matrices, 0.1 MiB).
func (p Storage) String() string {
	var list []string
	for _, k := range p.Types {
		noun := "matrices"
		if k.Matrices == 1 {
			noun = "matrix"
		}
		list = append(list, fmt.Sprintf("%s (%d %s, %.1f MiB)", k.Type, k.Matrices, noun, float64(k.Bytes)/(1<<20)))
	}
	return strings.Join(list, ", ")
}
