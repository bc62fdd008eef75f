package serve

import (
	"container/list"
	"crypto/sha256"
	"sync"

	"pgc"
)

// cache keeps pictures as the model sees them, by what was sent: clients send a picture again with every question about it.
type cache struct {
	most int // pictures

	mu    sync.Mutex
	by    map[[sha256.Size]byte]*list.Element
	order *list.List // of kept, the last used first
}

// kept is a picture of the cache.
type kept struct {
	key   [sha256.Size]byte
	image pgc.Image
}

// newCache returns a cache of as many pictures of some bytes as fit into most.
func newCache(most, each int64) *cache {
	return &cache{most: int(most / max(1, each)), by: map[[sha256.Size]byte]*list.Element{}, order: list.New()}
}

// get returns a picture.
func (c *cache) get(key [sha256.Size]byte) (image pgc.Image, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, found := c.by[key]
	if !found {
		return image, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*kept).image, true
}

// put keeps a picture, and forgets the one that was not used for the longest time where there are too many.
func (c *cache) put(key [sha256.Size]byte, image pgc.Image) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, found := c.by[key]; found {
		return
	}
	c.by[key] = c.order.PushFront(&kept{key, image})
	if c.order.Len() > c.most {
		last := c.order.Back()
		c.order.Remove(last)
		delete(c.by, last.Value.(*kept).key)
	}
}
