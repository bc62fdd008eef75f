package debug

import (
	"cmp"
	"slices"
)

// graph is a drawing in layers (Sugiyama, Tagawa and Toda 1981): every box stands below those it reads, edges over
// several layers go through bends, boxes of a layer are ordered so that few edges cross, then moved towards their
// neighbors.
type graph struct {
	boxes  []*box
	edges  []*edge
	layers [][]*box
}

// box is an operation, a parameter, a result, or the bend of an edge.
type box struct {
	class    string
	lines    []string
	w, h     float64
	x        float64 // of the middle
	layer    int
	up, down []*box // neighbors in the adjacent layers
	reads    []*edge
	readBy   []*edge
}

// bend is the class of boxes that stand for an edge on its way.
const bend = "bend"

type edge struct {
	from, to *box
	bends    []*box
}

func (g *graph) connect(from, to *box) {
	for _, e := range to.reads {
		if e.from == from {
			return // read twice
		}
	}
	e := &edge{from: from, to: to}
	from.readBy, to.reads = append(from.readBy, e), append(to.reads, e)
	g.edges = append(g.edges, e)
}

// through returns the boxes from one end of an edge to the other.
func (e *edge) through() []*box { return append(append([]*box{e.from}, e.bends...), e.to) }

func (g *graph) layout() {
	g.rank()
	g.bends()
	for i := range 12 {
		g.order(i%2 == 0)
	}
	g.place()
}

// rank assigns layers to boxes: as far up as the boxes they read allow. Boxes that read nothing stand just above their
// first user.
func (g *graph) rank() {
	for _, b := range g.boxes { // boxes come in order of the program
		for _, e := range b.reads {
			b.layer = max(b.layer, e.from.layer+1)
		}
	}
	// Parameters and constants in layer 0 would pull long edges through the drawing.
	for _, b := range slices.Backward(g.boxes) {
		if len(b.reads) == 0 && len(b.readBy) > 0 {
			first := b.readBy[0].to.layer
			for _, e := range b.readBy {
				first = min(first, e.to.layer)
			}
			b.layer = max(0, first-1)
		}
	}
	top := 0
	for _, b := range g.boxes {
		top = max(top, b.layer)
	}
	g.layers = make([][]*box, top+1)
	for _, b := range g.boxes {
		g.layers[b.layer] = append(g.layers[b.layer], b)
	}
}

// bends splits edges into pieces from one layer to the next.
func (g *graph) bends() {
	for _, e := range g.edges {
		last := e.from
		for l := e.from.layer + 1; l < e.to.layer; l++ {
			b := &box{class: bend, layer: l, w: 2}
			e.bends = append(e.bends, b)
			g.layers[l] = append(g.layers[l], b)
			last.down, b.up = append(last.down, b), append(b.up, last)
			last = b
		}
		last.down, e.to.up = append(last.down, e.to), append(e.to.up, last)
	}
}

// order sorts every layer by the mean position of the neighbors in the layer before (after it, going up).
func (g *graph) order(downwards bool) {
	for i := range g.layers {
		if !downwards {
			i = len(g.layers) - 1 - i
		}
		layer := g.layers[i]
		position := map[*box]float64{}
		for at, b := range layer {
			near := b.up
			if !downwards {
				near = b.down
			}
			position[b] = float64(at)
			if len(near) > 0 {
				sum := 0.0
				for _, n := range near {
					sum += n.x
				}
				position[b] = sum / float64(len(near))
			}
		}
		slices.SortStableFunc(layer, func(a, b *box) int { return cmp.Compare(position[a], position[b]) })
		for at, b := range layer {
			b.x = float64(at) - float64(len(layer))/2
		}
	}
}

// place moves boxes towards their neighbors as far as order and gaps allow.
func (g *graph) place() {
	for _, layer := range g.layers {
		x := 0.0
		for _, b := range layer {
			b.x = x + b.w/2
			x += b.w + columnGap
		}
	}
	for round := range 60 {
		for i := range g.layers {
			if round%2 == 1 {
				i = len(g.layers) - 1 - i
			}
			g.relax(g.layers[i])
		}
	}
	left := 0.0
	for _, layer := range g.layers {
		for _, b := range layer {
			left = min(left, b.x-b.w/2)
		}
	}
	for _, layer := range g.layers {
		for _, b := range layer {
			b.x -= left
		}
	}
}

// relax moves the boxes of a layer as near to the mean of their neighbors as possible, by least squares (pool adjacent
// violators).
func (g *graph) relax(layer []*box) {
	type block struct {
		sum   float64 // of wanted positions, each less its distance from the block's first box
		n     float64
		first int
	}
	offset := make([]float64, len(layer)) // distance from the first box, packed
	var blocks []block
	for i, b := range layer {
		if i > 0 {
			offset[i] = offset[i-1] + layer[i-1].w/2 + columnGap + b.w/2
		}
		wanted, n := 0.0, 0.0
		for _, list := range [][]*box{b.up, b.down} {
			for _, v := range list {
				weight := 1.0
				if v.class == bend && b.class == bend {
					weight = 4 // long edges go straight
				}
				wanted, n = wanted+weight*v.x, n+weight
			}
		}
		if n == 0 {
			wanted, n = b.x, 0.1
		}
		blocks = append(blocks, block{wanted - n*offset[i], n, i})
		for k := len(blocks) - 1; k > 0 && blocks[k-1].sum/blocks[k-1].n > blocks[k].sum/blocks[k].n; k-- {
			blocks[k-1].sum += blocks[k].sum
			blocks[k-1].n += blocks[k].n
			blocks = blocks[:k]
		}
	}
	for k, bl := range blocks {
		end := len(layer)
		if k+1 < len(blocks) {
			end = blocks[k+1].first
		}
		for i := bl.first; i < end; i++ {
			layer[i].x = bl.sum/bl.n + offset[i]
		}
	}
}

// height returns the height of the tallest box of a layer.
func (g *graph) height(layer int) float64 {
	tallest := 0.0
	for _, b := range g.layers[layer] {
		tallest = max(tallest, b.h)
	}
	return tallest
}
