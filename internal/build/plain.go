package build

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pgc/checkpoint/hf"
	"pgc/checkpoint/random"
	"pgc/ir"
	"pgc/models"
	"pgc/models/maskdecoder"
	"pgc/runtime/manifest"
	"pgc/runtime/program"
)

// Graph is the graph of a model, without weights, before any pass.
type Graph struct {
	Name        string
	Layers      int // of the encoder and the decoder, where not all
	ImageTokens int
	Module      *ir.Module
	Config      models.Config // nil for an executable's
}

// HasModel reports whether Plain accepts path.
func HasModel(path string) bool {
	if info, err := os.Stat(path); err == nil {
		return IsCheckpoint(path) || filepath.Ext(path) == ".json" || filepath.Ext(path) != ".pgir" && info.Mode().IsRegular() && isELF(path)
	}
	return slices.Contains(random.Shapes(), path)
}

func isELF(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	_, err = f.Read(magic[:])
	return err == nil && string(magic[:]) == "\x7fELF"
}

// IsCheckpoint reports whether a path that a user gives is a checkpoint's folder, a file of big_vision or a model's name.
func IsCheckpoint(path string) bool { return hf.IsCheckpoint(path) }

// Plain returns the graph of a checkpoint directory, of an executable, or of the released size or config.json that pgc
// random takes. layers, if not 0, is how many layers of the encoder and of the decoder to build.
func Plain(path string, layers int, o Options) (*Graph, error) {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() && filepath.Ext(path) != ".json" && !IsCheckpoint(path) {
		if layers != 0 {
			return nil, fmt.Errorf("%s is compiled: expected a checkpoint or a size to take %d layers of", path, layers)
		}
		return carried(path)
	}
	var record *models.Model
	var cfg models.Config
	var stored tensors
	var adapters []models.Adapter
	var masks *maskdecoder.Config
	if IsCheckpoint(path) {
		c, err := o.Open(path)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		record, cfg, stored, adapters, masks = c.Model, c.Config, c, c.Kept, c.Masks
	} else {
		if o.Adapter != "" || len(o.Adapters) > 0 {
			return nil, optionError("Adapter", "is given with %s, which has no weights: expected a checkpoint", path)
		}
		if record, cfg, err = random.Config(path); err != nil {
			return nil, err
		}
		if stored, err = newBFloats(cfg); err != nil {
			return nil, err
		}
		if o.Masks != "" {
			if record.Embeds != nil {
				return nil, optionError("Masks", "is given with %s, which makes embeddings: expected a model that generates text", path)
			}
			if masks, err = hf.MasksOf(o.Masks); err != nil {
				return nil, err
			}
		}
	}
	m := &Graph{Name: strings.TrimSuffix(filepath.Base(path), ".json"), ImageTokens: cfg.Facts().ImageTokens}
	if layerCount := cfg.Facts().NumHiddenLayers; layers > layerCount || layers < 0 {
		return nil, fmt.Errorf("%d layers of %s: expected 1 to %d", layers, path, layerCount)
	}
	if m.Layers = layers; layers > 0 {
		cfg = cfg.WithLayers(layers)
	}
	m.Config = cfg
	m.Module, err = o.first().graph(record, cfg, masks, stored, adapters, false)
	return m, err
}

// carried reads the graph that an executable carries.
func carried(path string) (*Graph, error) {
	image, err := program.OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	described, err := manifest.Decode(image.Program.Model)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m := &Graph{Name: described.Name, ImageTokens: described.ImageTokens}
	m.Module, err = decodeGraph(path, image, image.Program.Target.Kind)
	return m, err
}

// bfloats stands for a checkpoint whose tensors are all bf16. It holds their ranks.
type bfloats map[string]int

func newBFloats(c models.Config) (bfloats, error) {
	list, err := models.Weights(c)
	ranks := bfloats{}
	for _, w := range list {
		ranks[w.Name] = len(w.Shape)
	}
	return ranks, err
}

func (b bfloats) DType(string) ir.DType { return ir.BF16 }

func (b bfloats) Rank(key string) int { return b[key] }
