package annotate

import "fmt"

// LabelStudio is a list of tasks with predictions, to be imported into a project whose labeling interface has an Image named
// "image" and, named "label", RectangleLabels for boxes or PolygonLabels for masks.
type LabelStudio []labelStudioTask

type labelStudioTask struct {
	Data        map[string]string       `json:"data"`
	Predictions []labelStudioPrediction `json:"predictions"`
}

type labelStudioPrediction struct {
	Model  string              `json:"model_version"`
	Score  *float64            `json:"score,omitempty"` // the lowest of the objects
	Result []labelStudioResult `json:"result"`
}

type labelStudioResult struct {
	ID       string         `json:"id"`
	Type     string         `json:"type"`
	From     string         `json:"from_name"`
	To       string         `json:"to_name"`
	Width    int            `json:"original_width"`
	Height   int            `json:"original_height"`
	Rotation int            `json:"image_rotation"`
	Score    *float64       `json:"score,omitempty"`
	Value    map[string]any `json:"value"` // lengths in percent of the picture's
}

// Add adds a picture; model names what found the objects.
func (l *LabelStudio) Add(p Picture, model string) {
	prediction := labelStudioPrediction{Model: model, Result: []labelStudioResult{}}
	sx, sy := 100/float64(p.Width), 100/float64(p.Height)
	outlined := masked(p)
	for i, o := range p.Objects {
		r := labelStudioResult{From: "label", To: "image", Width: p.Width, Height: p.Height, Score: value(o)}
		if r.Score != nil && (prediction.Score == nil || *r.Score < *prediction.Score) {
			prediction.Score = r.Score
		}
		if !outlined {
			b := o.Box.Box
			r.ID, r.Type = fmt.Sprintf("object-%d", i+1), "rectanglelabels"
			r.Value = map[string]any{"x": b[0] * sx, "y": b[1] * sy, "width": (b[2] - b[0]) * sx, "height": (b[3] - b[1]) * sy, "rotation": 0,
				r.Type: []string{o.Label}}
			prediction.Result = append(prediction.Result, r)
			continue
		}
		for k, polygon := range outlines(o) {
			r.ID, r.Type = fmt.Sprintf("object-%d-%d", i+1, k+1), "polygonlabels"
			r.Value = map[string]any{"points": points(polygon, sx, sy), "closed": true, r.Type: []string{o.Label}}
			prediction.Result = append(prediction.Result, r)
		}
	}
	*l = append(*l, labelStudioTask{map[string]string{"image": p.Name}, []labelStudioPrediction{prediction}})
}
