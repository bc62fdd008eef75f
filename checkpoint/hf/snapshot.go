package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"pgc/checkpoint/download"
)

// IsCheckpoint reports whether what a user names is a checkpoint's folder, a file of big_vision, or no file here and so perhaps a model's
// name.
func IsCheckpoint(path string) bool {
	info, err := os.Stat(path)
	return err == nil && (info.IsDir() || isBigVision(path)) || err != nil && hubName.MatchString(path) && strings.Contains(path, "/")
}

// snapshot returns the directory that holds a checkpoint's files: dir itself, or, if dir is a model's name or its folder
// in the Hugging Face cache (models--org--name with blobs, refs and snapshots), the snapshot that its main branch names.
// A file of big_vision is its own directory.
func snapshot(dir string) (string, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) && hubName.MatchString(dir) {
		in := folderOf(dir)
		if info, err = os.Stat(in); err != nil {
			return "", notCached(dir)
		}
		dir = in
	}
	if err != nil {
		return "", fmt.Errorf("no checkpoint at %s: %w (expected a folder, or a model's name in the Hugging Face cache, such as google/paligemma2-3b-mix-224)", dir, errors.Unwrap(err))
	}
	if isBigVision(dir) {
		return dir, nil
	}
	if !info.IsDir() {
		if _, err := os.Stat(filepath.Join(filepath.Dir(dir), configFile)); err == nil {
			return "", fmt.Errorf("%s is a file of the checkpoint %s: expected that folder", dir, filepath.Dir(dir))
		}
		if kind := kindOf(filepath.Base(dir)); kind >= 0 {
			what, step := explained(kind, filepath.Dir(dir))
			return "", fmt.Errorf("%s is a file (%s), not a checkpoint directory: %s", dir, what, step)
		}
		return "", fmt.Errorf("%s is a file: expected the folder of a Hugging Face checkpoint, with %s", dir, configFile)
	}
	if _, err := os.Lstat(filepath.Join(dir, configFile)); err == nil {
		return dir, nil
	}
	entries, err := os.ReadDir(filepath.Join(dir, "snapshots"))
	if err != nil {
		return dir, nil // what is missing will be said when it is read
	}
	if ref, err := readFile(filepath.Join(dir, "refs"), "main", 1<<10); err == nil {
		name := strings.TrimSpace(string(ref))
		if name != filepath.Base(name) || name == "" {
			return "", fmt.Errorf("%s is %.80q, expected the name of a snapshot (hf download writes it)", filepath.Join(dir, "refs", "main"), name)
		}
		at := filepath.Join(dir, "snapshots", name)
		if _, err := os.Stat(at); err != nil {
			return "", download.Lacks(dir, fmt.Sprintf("%s names the snapshot %s, which is missing", filepath.Join(dir, "refs", "main"), name), "hf download gets it")
		}
		return at, nil
	}
	if len(entries) != 1 {
		return "", fmt.Errorf("%s holds %d snapshots and no refs/main: expected the directory of one of them", dir, len(entries))
	}
	return filepath.Join(dir, "snapshots", entries[0].Name()), nil
}

// modelName is what a checkpoint in dir is called: org/name in the Hugging Face cache, else the directory's name.
func modelName(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return filepath.Base(dir)
	}
	if up := filepath.Dir(abs); filepath.Base(up) == "snapshots" {
		if name, ok := strings.CutPrefix(filepath.Base(filepath.Dir(up)), "models--"); ok {
			return strings.ReplaceAll(name, "--", "/")
		}
	}
	return strings.TrimSuffix(filepath.Base(abs), ".npz")
}

// Files returns the name of the checkpoint in dir and the paths of the files that Load may read, in order.
func Files(dir string, o Options) (name string, paths []string, err error) {
	dir, adapter, err := locate(dir, o.Adapter)
	if err != nil {
		return "", nil, err
	}
	folders := []string{dir}
	if adapter != "" && adapter != dir {
		folders = append(folders, adapter)
	}
	for _, k := range o.Keep {
		if adapter, err = adapterFolder(k.Dir); err != nil {
			return "", nil, err
		}
		folders = append(folders, adapter)
	}
	if folders = append(folders, siblings(dir)...); o.Tokenizer != "" {
		if folder, err := snapshot(o.Tokenizer); err == nil {
			folders = append(folders, folder)
		}
	}
	for _, folder := range folders {
		if isBigVision(folder) {
			paths = append(paths, folder)
			continue
		}
		entries, err := os.ReadDir(folder)
		if err != nil {
			return "", nil, fmt.Errorf("cannot read the checkpoint %s: %w (expected a folder with the right to list it)", folder, errors.Unwrap(err))
		}
		for _, e := range entries {
			path := filepath.Join(folder, e.Name())
			ext := filepath.Ext(path)
			if ext != ".json" && ext != ".safetensors" && ext != ".bin" && ext != ".model" && e.Name() != readmeFile && !isLicense(e.Name()) {
				continue
			}
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				paths = append(paths, path)
			}
		}
	}
	masks, err := masksFile(dir, o.Masks)
	if err != nil {
		return "", nil, err
	}
	if masks != "" {
		paths = append(paths, masks)
	}
	return modelName(dir), paths, nil
}
