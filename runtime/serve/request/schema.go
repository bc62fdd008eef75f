package request

import (
	_ "embed"

	"pgc"
	"pgc/runtime/serve/openai"
)

// DetectionSchema is the JSON schema of the documents that response_format may ask for.
//
//go:embed detection.schema.json
var DetectionSchema []byte

// found is an object of a document of DetectionSchema.
type found struct {
	Label string     `json:"label"`
	Score *float64   `json:"score"`
	Box   [4]float64 `json:"box"`
}

// DetectionDocument returns the document of DetectionSchema about a detection.
func DetectionDocument(d *pgc.Detection) (string, error) {
	list := []found{}
	for _, o := range d.Objects {
		f := found{Label: o.Label, Box: o.Box.Box}
		if o.Score != nil {
			f.Score = new(o.Score.Value())
		}
		list = append(list, f)
	}
	text, err := openai.Marshal(struct {
		Boxes []found `json:"boxes"`
	}{list})
	return string(text), err
}
