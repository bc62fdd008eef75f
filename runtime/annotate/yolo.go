package annotate

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// YOLO is a data set of text files, one a picture, and a list of classes.
type YOLO struct{ labels labels }

// Labels returns the text file of a picture: a line an object, its class and its box as x and y of the center, width and
// height, or, where an object has a mask, its class and a polygon, a line for each contour. Lengths are fractions of the
// picture's.
func (y *YOLO) Labels(p Picture) []byte {
	y.labels.add(p)
	var text strings.Builder
	w, h := float64(p.Width), float64(p.Height)
	outlined := masked(p)
	for _, o := range p.Objects {
		class := y.labels.number(o.Label)
		if !outlined {
			b := o.Box.Box
			line(&text, class, (b[0]+b[2])/2/w, (b[1]+b[3])/2/h, (b[2]-b[0])/w, (b[3]-b[1])/h)
			continue
		}
		for _, polygon := range outlines(o) {
			for i := range polygon {
				polygon[i] /= []float64{w, h}[i%2]
			}
			line(&text, class, polygon...)
		}
	}
	return []byte(text.String())
}

func line(text *strings.Builder, class int, values ...float64) {
	text.WriteString(strconv.Itoa(class))
	for _, v := range values {
		text.WriteString(" " + strconv.FormatFloat(v, 'f', -1, 32))
	}
	text.WriteByte('\n')
}

// Data returns data.yaml: where the pictures belong, and the classes of all pictures so far.
func (y *YOLO) Data() []byte {
	var text strings.Builder
	fmt.Fprintf(&text, "# Put the pictures into images/, beside labels/.\npath: .\ntrain: images\nval: images\nnc: %d\nnames:\n", len(y.labels))
	for i, label := range y.labels {
		quoted, _ := json.Marshal(label) // a string of JSON is one of YAML
		fmt.Fprintf(&text, "  %d: %s\n", i, quoted)
	}
	return []byte(text.String())
}
