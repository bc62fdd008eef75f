package app

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pgc/runtime/fetch"
	"pgc/runtime/imageio"
)

// lists are the endings of the names of lists of requests.
var lists = []string{".jsonl", ".ndjson", ".json"}

// listFiles returns the pictures and the tar files that batch's input stands for, sorted by name: those in a folder and
// the folders in it, those that fit a pattern, or one picture. It returns nil where the input is something else.
func listFiles(input string) ([]string, error) {
	if fetch.IsURL(input) {
		return nil, fmt.Errorf("--input %s is an address, expected a file, a folder or a pattern (curl ADDRESS | … --input - reads one)", fetch.Short(input))
	}
	info, err := os.Stat(input)
	switch {
	case err == nil && info.IsDir():
		return inFolder(input)
	case err == nil && info.Mode().IsRegular() && imageio.Begins(input):
		return []string{input}, nil
	case err == nil || !strings.ContainsAny(input, "*?["):
		return nil, nil
	}
	names, err := filepath.Glob(input)
	if err != nil {
		return nil, fmt.Errorf("--input %s is no pattern, expected one such as 'photos/*.jpg'", input)
	}
	var pictures []string
	for _, name := range names {
		info, err := os.Stat(name)
		if lost := err != nil && imageio.IsPicture(name); !lost && (err != nil || !info.Mode().IsRegular()) {
			continue
		}
		if slices.Contains(lists, strings.ToLower(filepath.Ext(name))) {
			return nil, fmt.Errorf("--input %s fits %s, a list, expected pictures or tar files: give one list at a time", input, name)
		}
		pictures = append(pictures, name)
	}
	if pictures == nil {
		return nil, fmt.Errorf("--input %s fits no file, expected pictures or tar files", input)
	}
	return pictures, nil
}

// inFolder returns the pictures and the tar files in a folder and the folders in it, also those that links lead to: the regular
// files that begin as a picture does or are called so, and links called so that lead nowhere, which fail alone. Hidden files and
// folders are left out.
func inFolder(dir string) ([]string, error) {
	w := walk{}
	if err := w.folder(dir); err != nil {
		return nil, fmt.Errorf("--input %s: %w", dir, err)
	}
	if w.pictures == nil {
		return nil, fmt.Errorf("--input %s holds no picture, expected a folder of pictures or a list of requests%s", dir, listIn(dir))
	}
	return w.pictures, nil
}

// walk goes through a folder in the order of names.
type walk struct {
	within   []fs.FileInfo // the folders around, which a link is not followed to again
	pictures []string
}

func (w *walk) folder(dir string) error {
	here, err := os.Stat(dir)
	if err != nil || slices.ContainsFunc(w.within, func(around fs.FileInfo) bool { return os.SameFile(around, here) }) {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	w.within = append(w.within, here)
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		info, err := os.Stat(name) // of the file that a link leads to
		switch {
		case strings.HasPrefix(e.Name(), "."):
		case err == nil && info.IsDir():
			if err := w.folder(name); err != nil {
				return err
			}
		case (err != nil || info.Mode().IsRegular()) && (isTar(name) || imageio.IsPicture(name)):
			w.pictures = append(w.pictures, name)
		}
	}
	w.within = w.within[:len(w.within)-1]
	return nil
}

// listIn names a list of requests in a folder, as a next step.
func listIn(dir string) string {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if slices.Contains(lists[:2], strings.ToLower(filepath.Ext(e.Name()))) {
			return ", such as " + filepath.Join(dir, e.Name())
		}
	}
	return ""
}

// missingPrompt says what to do about pictures without a prompt.
func missingPrompt(input string, pictures []string) error {
	hint := listIn(input) // the list has the prompts
	if hint != "" {
		hint += ","
	}
	return usage{fmt.Errorf("--input %s stands for %d pictures without a prompt, expected a list of requests%s or --prompt TEXT for all of them", input, len(pictures), hint)}
}
