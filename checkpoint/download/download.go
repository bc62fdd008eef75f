// Package download tells which downloads into a checkpoint's folder have not come to their end.
package download

import (
	"fmt"
	"os"
	"path/filepath"
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
var places = []string{"blobs/*.incomplete", "../../blobs/*.incomplete", ".cache/huggingface/download/*.incomplete", "*.incomplete",
	"*.aria2", "*.part", "*.partial", "*.crdownload", "*.download"}

// unfinished is the path of a part of a file that is being downloaded into a folder, "" for none.
func unfinished(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	for _, place := range append(places, filepath.Join("../.cache/huggingface/download", filepath.Base(abs), "*.incomplete")) {
		if place == places[1] && filepath.Base(filepath.Dir(abs)) != "snapshots" {
			continue
		}
		if found, _ := filepath.Glob(filepath.Join(quoted(abs), place)); len(found) > 0 {
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

// Whole says that a file which is there is not yet what it will be: aria2 gives a file its length first. It returns nil
// otherwise.
func Whole(path string) error {
	part := path + ".aria2"
	if _, err := os.Lstat(part); err != nil {
		return nil
	}
	return fmt.Errorf("%s is not complete, as %s lies beside it: aria2c -c goes on with the download (delete that file if it is complete)", path, filepath.Base(part))
}
