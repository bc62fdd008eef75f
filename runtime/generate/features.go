package generate

import (
	"pgc/runtime/engine"
	"pgc/runtime/manifest"
	"pgc/runtime/native"
)

// DefaultImageCache bounds the features of images that a session keeps, in bytes: with 2304 numbers a token those of 28
// images of 256 tokens, or of one of 4096.
const DefaultImageCache = 64 << 20

// mostFeatures bounds their number, which is searched.
const mostFeatures = 1024

// featureCache keeps the features of images that were seen before, those used last, outside Go's heap. What comes out are
// the bits that went in. All features of a model have one size.
type featureCache struct {
	each  int            // bytes of an image's features
	most  int            // images; 0 keeps none
	cells *native.Memory // of most images, touched as far as they are used; nil until the first
	keys  []featureKey   // of the cells in use
	last  []int64        // when each was used, by clock
	clock int64
	at    map[featureKey]int // the cell of a key
}

// featureBytes is the size of an image's features.
func featureBytes(m *manifest.Model) int { return 4 * m.ImageTokens * m.HiddenSize }

// newFeatureCache returns a cache of so many bytes.
func newFeatureCache(m *manifest.Model, bytes int64) featureCache {
	each := featureBytes(m)
	return featureCache{each: each, most: int(min(max(0, bytes)/int64(max(1, each)), mostFeatures)), at: map[featureKey]int{}}
}

// get copies features to the place of image i in a tensor, if they are there.
func (c *featureCache) get(k featureKey, t engine.Tensor, i int) (hit bool, err error) {
	cell, hit := c.at[k]
	if !hit {
		return false, nil
	}
	c.use(cell)
	return true, t.PutBytes(int64(i*c.each), c.cell(cell))
}

// put keeps the features at the place of image i in a tensor, in place of those that were unused for the longest time
// where there is no room, or no memory for more.
func (c *featureCache) put(k featureKey, t engine.Tensor, i int) error {
	if c.most == 0 {
		return nil
	}
	if c.cells == nil {
		m, err := native.Reserve(int64(c.most * c.each))
		if err != nil { // it is only slower without
			c.most = 0
			return nil
		}
		c.cells = m
	}
	cell := len(c.keys)
	if cell == c.most || native.CheckMemory(int64(c.each), "features") != nil {
		if cell == 0 {
			return nil
		}
		cell = 0
		for j, at := range c.last {
			if at < c.last[cell] {
				cell = j
			}
		}
		delete(c.at, c.keys[cell])
	} else {
		c.keys, c.last = append(c.keys, k), append(c.last, 0)
	}
	if err := t.GetBytes(int64(i*c.each), c.cell(cell)); err != nil {
		return err
	}
	c.keys[cell], c.at[k] = k, cell
	c.use(cell)
	return nil
}

func (c *featureCache) use(cell int) {
	c.clock++
	c.last[cell] = c.clock
}

func (c *featureCache) cell(i int) []byte { return c.cells.Bytes()[i*c.each:][:c.each] }

// bytes is the memory that is in use.
func (c *featureCache) bytes() int64 { return int64(len(c.keys) * c.each) }

// drop gives all of the memory back.
func (c *featureCache) drop() error {
	m := c.cells
	c.cells, c.keys, c.last = nil, nil, nil
	clear(c.at)
	return m.Close()
}
