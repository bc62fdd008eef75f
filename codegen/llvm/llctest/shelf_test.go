package llctest

import "testing"

// A shelf gives what was put there last, and keeps what was used last as long as there is room.
func TestShelf(t *testing.T) {
	defer func(before string) { folder = before }(folder)
	folder = t.TempDir()
	s, err := NewShelf("others", 1<<10)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"000000000000aa", "000000000001aa", "000000000002aa"}
	if _, ok := s.Get(names[0]); ok {
		t.Error("something is there from the start")
	}
	for _, name := range names {
		for _, size := range []int{10, 600} {
			if err := s.Put(name, make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			if b, ok := s.Get(name); !ok || len(b) != size {
				t.Errorf("%d bytes, %v, expected %d", len(b), ok, size)
			}
		}
	}
	if _, ok := s.Get(names[0]); ok {
		t.Error("more is kept than there is room for")
	}
	folder = "off"
	if s, err := NewShelf("others", 1<<10); s != nil || err != nil {
		t.Errorf("a shelf where nothing is kept: %v", err)
	}
}
