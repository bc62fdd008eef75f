package annotate

import "pgc/runtime/masks"

// COCO is a data set of pictures, categories and annotations. Ids begin at 1.
type COCO struct {
	Info        map[string]string `json:"info"`
	Licenses    []string          `json:"licenses"`
	Images      []cocoImage       `json:"images"`
	Categories  []cocoCategory    `json:"categories"`
	Annotations []cocoAnnotation  `json:"annotations"`

	labels labels
}

type cocoImage struct {
	ID     int    `json:"id"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
	File   string `json:"file_name"`
}

type cocoCategory struct {
	ID    int    `json:"id"`
	Name  string `json:"name"`
	Super string `json:"supercategory"`
}

// cocoAnnotation is an object, as a ground truth and as a result.
type cocoAnnotation struct {
	ID       int        `json:"id"`
	Image    int        `json:"image_id"`
	Category int        `json:"category_id"`
	Box      [4]float64 `json:"bbox"` // x, y, width, height
	Area     float64    `json:"area"`
	Crowd    int        `json:"iscrowd"`
	Mask     any        `json:"segmentation"` // run lengths or, without a mask, the box as a polygon
	Score    *float64   `json:"score,omitempty"`
}

// NewCOCO returns an empty data set.
func NewCOCO() *COCO {
	return &COCO{Info: map[string]string{"description": "objects found by a PaliGemma model compiled by pgc"}, Licenses: []string{}, Images: []cocoImage{},
		Categories: []cocoCategory{}, Annotations: []cocoAnnotation{}}
}

// Add adds a picture. Its number is its id, whatever other pictures there are.
func (c *COCO) Add(p Picture) {
	c.labels.add(p)
	for len(c.Categories) < len(c.labels) {
		n := len(c.Categories)
		c.Categories = append(c.Categories, cocoCategory{n + 1, c.labels[n], ""})
	}
	c.Images = append(c.Images, cocoImage{p.Number, p.Width, p.Height, p.Name})
	for _, o := range p.Objects {
		b := o.Box.Box
		a := cocoAnnotation{ID: len(c.Annotations) + 1, Image: p.Number, Category: c.labels.number(o.Label) + 1, Score: value(o),
			Box: [4]float64{b[0], b[1], b[2] - b[0], b[3] - b[1]}}
		if o.Mask != nil {
			a.Area, a.Mask = float64(masks.Area(o.Mask)), lengths(p, o)
		} else {
			a.Area, a.Mask = a.Box[2]*a.Box[3], outlines(o)
		}
		c.Annotations = append(c.Annotations, a)
	}
}
