package hf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"pgc/checkpoint/npz"
	"pgc/models/maskdecoder"
	"pgc/runtime/safetensors"
)

// masksFile returns the file with the decoder of masks: the one given, or that in the checkpoint's folder if there is one,
// else "".
func masksFile(dir, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	if isBigVision(dir) {
		dir = filepath.Dir(dir)
	}
	path := find(dir, maskdecoder.File)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	return path, nil
}

// readMasks adds the decoder of masks to a model that generates text.
func (c *Checkpoint) readMasks(given string) error {
	path, err := masksFile(c.Dir, given)
	if err != nil || path == "" {
		return err
	}
	if c.Model.Embeds != nil {
		if given == "" {
			return nil
		}
		return fmt.Errorf("%s makes embeddings, which have no masks: expected no %s", c.Dir, given)
	}
	f, masks, err := openMasks(path)
	if err != nil {
		return err
	}
	c.files = append(c.files, f)
	c.MasksFile, c.Masks = path, masks
	for _, w := range c.Masks.Weights() {
		stored, _ := f.Tensor(w.Name)
		t, ok := tensorOf(stored)
		if !ok {
			return fmt.Errorf("%s: tensor %s is %s, expected floats", path, w.Name, stored.DType)
		}
		made := Tensor{DType: t.DType, Shape: t.Shape, Data: t.Data, File: path}
		if t.Values != nil {
			made.Read = t.Read
		}
		c.made[maskdecoder.Prefix+w.Name] = made
	}
	return nil
}

// openMasks opens a file with a decoder of masks, and reads its shapes.
func openMasks(path string) (*safetensors.File, *maskdecoder.Config, error) {
	f, err := npz.Open(path, maskdecoder.Reads)
	if err != nil {
		return nil, nil, err
	}
	c, err := maskdecoder.Read(func(name string) []int { return shapeOf(f, name) })
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, c, nil
}

// MasksOf reads the shapes of a decoder of masks alone.
func MasksOf(path string) (*maskdecoder.Config, error) {
	f, c, err := openMasks(path)
	if err != nil {
		return nil, err
	}
	return c, f.Close()
}

// shapeOf returns the shape of a tensor, nil where there is none.
func shapeOf(f *safetensors.File, name string) []int {
	t, ok := f.Tensor(name)
	if !ok {
		return nil
	}
	return append([]int{}, t.Shape...)
}
