package build

import (
	"os"
	"strings"

	"pgc/checkpoint/hf"
)

// ParseAdapters reads values of --adapter: the folder of one that is merged, or NAME=DIR of each that is kept beside the
// model. A folder's own name may have an =.
func ParseAdapters(values []string) (merged string, kept []hf.Kept, err error) {
	for _, v := range values {
		name, dir, named := strings.Cut(v, "=")
		if _, err := os.Stat(v); !named || err == nil {
			if merged != "" {
				return "", nil, optionError("Adapter", "%s and %s would both be merged: expected one folder, or NAME=DIR for each", merged, v)
			}
			merged = v
			continue
		}
		kept = append(kept, hf.Kept{Name: name, Dir: dir})
	}
	if merged != "" && kept != nil {
		return "", nil, optionError("Adapter", "%s would be merged beside %s, which is kept: expected NAME=DIR for each", merged, kept[0].Name)
	}
	return merged, kept, nil
}
