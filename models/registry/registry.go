// Package registry lists the models that pgc compiles.
package registry

import (
	"fmt"
	"slices"
	"strings"

	"pgc/models"
	"pgc/models/colpali"
	"pgc/models/config"
	"pgc/models/paligemma"
)

// All are the models, a line each.
var All = []*models.Model{
	&paligemma.Model,
	&colpali.Model,
}

// Read reads a config.json with the model that its model_type names.
func Read(s *config.Section) (*models.Model, models.Config, error) {
	kind := s.String("model_type", "")
	i := slices.IndexFunc(All, func(m *models.Model) bool { return m.Type == kind })
	if i < 0 {
		var types []string
		for _, m := range All {
			types = append(types, fmt.Sprintf("%q", m.Type))
		}
		found := fmt.Sprintf("is %.80q", kind)
		if kind == "" {
			found = "is missing"
		}
		s.Fail("model_type", "%s, expected %s (a training folder needs the config.json of the model that was trained on)", found, strings.Join(types, " or "))
		return nil, nil, s.Err()
	}
	for _, key := range []string{"quantization_config", "quantization"} {
		s.Has(key) // says how weights are stored, which is not the model's to read
	}
	c := All[i].Read(s)
	return All[i], c, s.Err()
}
