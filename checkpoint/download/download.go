// Package download tells which downloads into a checkpoint's folder have not come to their end, or brought something else.
package download

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Lacks is the error of a folder that lacks a file: what is missing, and the next step, which is another one where a download
// into the folder has not come to its end.
func Lacks(dir, what, step string) error {
	if part := unfinished(dir); part != "" {
		return fmt.Errorf("%s: its download is not complete, %s is a part of it (hf download goes on with it)", what, part)
	}
	return fmt.Errorf("%s: %s", what, step)
}

// places are where huggingface_hub keeps what it has of a file, seen from a model's folder in its cache, from a snapshot there and
// from a folder that it downloads to; and the names that browsers and others give parts.
// parent is the name of the folder that the seen one must lie in, "" for any.
var places = []struct{ pattern, parent string }{
	{"blobs/*.incomplete", ""}, {"../../blobs/*.incomplete", "snapshots"}, {".cache/huggingface/download/*.incomplete", ""},
	{"*.incomplete", ""}, {"*.aria2", ""}, {"*.part", ""}, {"*.partial", ""}, {"*.crdownload", ""}, {"*.download", ""},
}

// unfinished is the path of a part of a file that is being downloaded into a folder, "" for none.
func unfinished(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	var patterns []string
	for _, p := range places {
		if p.parent == "" || p.parent == filepath.Base(filepath.Dir(abs)) {
			patterns = append(patterns, p.pattern)
		}
	}
	for _, pattern := range append(patterns, filepath.Join("../.cache/huggingface/download", quoted(filepath.Base(abs)), "*.incomplete")) {
		if found, _ := filepath.Glob(filepath.Join(quoted(abs), pattern)); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// quoted is a path as a pattern that fits it alone.
func quoted(path string) string {
	var out []rune
	for _, r := range path {
		if r == '*' || r == '?' || r == '[' || r == '\\' {
			out = append(out, '\\')
		}
		out = append(out, r)
	}
	return string(out)
}

// Whole says why a file that is there is not yet what it is called, or never will be: aria2 gives a file its length first, and see
// Itself. It returns nil otherwise.
func Whole(path string) error {
	part := path + ".aria2"
	if _, err := os.Lstat(part); err == nil {
		return fmt.Errorf("%s is not complete, as %s lies beside it: aria2c -c goes on with the download (delete that file if it is complete)", path, filepath.Base(part))
	}
	return Itself(path, beginning(path))
}

// pointer is how Git LFS begins the text that stands for a file.
const pointer = "version https://git-lfs.github.com/spec/v1"

// answers are how pages and messages of servers begin, in small letters, that were saved in the place of a file.
var answers = []string{"<!doctype", "<html", "<?xml", "access to model ", "entry not found", "repository not found", "invalid username or password", "invalid credentials"}

// Itself says that a file of so much beginning is not itself: a pointer of Git LFS, or what a server answered in its place. It
// returns nil otherwise.
func Itself(path string, beginning []byte) error {
	begin := strings.ToLower(string(bytes.TrimLeft(beginning[:min(len(beginning), len(pointer))], " \r\n\t")))
	switch {
	case bytes.HasPrefix(beginning, []byte(pointer)):
		return fmt.Errorf("%s is a pointer of Git LFS, not the file itself: git lfs pull in its folder downloads it", path)
	case slices.ContainsFunc(answers, func(a string) bool { return strings.HasPrefix(begin, a) }):
		return fmt.Errorf("%s begins with %.20q, as what a server says in the place of a file: download it again (hf download, and hf auth login first if the model is gated)", path, begin)
	}
	return nil
}

// beginning returns the first bytes of a regular file, as many as Itself reads.
func beginning(path string) []byte {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	text := make([]byte, len(pointer))
	n, _ := io.ReadFull(f, text)
	return text[:n]
}
