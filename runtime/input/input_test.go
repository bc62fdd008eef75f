package input

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEndless reads what has no end, or only after a terabyte.
func TestEndless(t *testing.T) {
	dir := t.TempDir()
	sparse, whole := filepath.Join(dir, "sparse"), filepath.Join(dir, "whole")
	if err := os.WriteFile(whole, []byte("12345"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sparse, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(sparse, 1<<40); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path  string
		limit int64
		want  string
	}{
		{sparse, 1 << 20, " has 1099511627776 bytes, expected at most 1048576"},
		{"/dev/zero", 1 << 20, " has over 1048576 bytes, expected at most as many"},
		{whole, 4, " has 5 bytes, expected at most 4"},
		{whole, 5, ""},
		{"/dev/null", 0, ""},
		{dir, 100, "is a directory"},
	} {
		data, err := ReadFile(c.path, c.limit)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, expected %q", c.path, err, c.want)
		}
		if c.path == whole && err == nil && string(data) != "12345" {
			t.Errorf("read %q", data)
		}
	}
}
