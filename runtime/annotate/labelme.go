package annotate

// LabelMe is the file of a picture.
type LabelMe struct {
	Version string          `json:"version"`
	Flags   map[string]bool `json:"flags"`
	Shapes  []labelMeShape  `json:"shapes"`
	Path    string          `json:"imagePath"` // from the file's folder
	Data    []byte          `json:"imageData"` // the picture, where no path leads to it
	Height  int             `json:"imageHeight"`
	Width   int             `json:"imageWidth"`
}

type labelMeShape struct {
	Label       string          `json:"label"`
	Points      [][2]float64    `json:"points"`
	Group       *int            `json:"group_id"` // of several polygons of one object
	Description string          `json:"description"`
	Type        string          `json:"shape_type"`
	Flags       map[string]bool `json:"flags"`
	Mask        *string         `json:"mask"`
}

// labelMeVersion is the version of LabelMe whose form this is.
const labelMeVersion = "5.5.0"

// NewLabelMe returns the file of a picture that lies at path, or is data.
func NewLabelMe(p Picture, path string, data []byte) *LabelMe {
	l := &LabelMe{Version: labelMeVersion, Flags: map[string]bool{}, Shapes: []labelMeShape{}, Path: path, Data: data, Height: p.Height, Width: p.Width}
	for i, o := range p.Objects {
		s := labelMeShape{Label: o.Label, Type: "rectangle", Flags: map[string]bool{}}
		if o.Score != nil {
			s.Description = "score " + number(o.Score.Value())
		}
		if o.Outlined() == nil {
			b := o.Box.Box
			s.Points = [][2]float64{{b[0], b[1]}, {b[2], b[3]}}
			l.Shapes = append(l.Shapes, s)
			continue
		}
		s.Type = "polygon"
		polygons := outlines(o)
		if len(polygons) > 1 {
			s.Group = new(i + 1)
		}
		for _, polygon := range polygons {
			s.Points = points(polygon, 1, 1)
			l.Shapes = append(l.Shapes, s)
		}
	}
	return l
}

// points returns a polygon's corners, lengths multiplied by sx and sy.
func points(polygon []float64, sx, sy float64) [][2]float64 {
	var out [][2]float64
	for i := 0; i < len(polygon); i += 2 {
		out = append(out, [2]float64{polygon[i] * sx, polygon[i+1] * sy})
	}
	return out
}
