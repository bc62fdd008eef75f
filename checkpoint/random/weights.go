package random

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"path/filepath"
	"sync"

	"github.com/x448/float16"

	"pgc/models"
	"pgc/runtime/output"
	"pgc/runtime/safetensors"
)

// weights writes all tensors, in shards if they are more than one holds.
func weights(ctx context.Context, dir string, m *models.Model, specs []models.Weight, dtype safetensors.DType, o Options) error {
	limit := o.Shard
	if limit == 0 {
		limit = 5_000_000_000
	}
	var shards [][]models.Weight
	total, filled := int64(0), limit
	for _, s := range specs {
		n := s.Elements() * int64(dtype.Bytes())
		if filled+n > limit && filled > 0 {
			shards, filled = append(shards, nil), 0
		}
		shards[len(shards)-1] = append(shards[len(shards)-1], s)
		filled += n
		total += n
	}
	index := map[string]string{}
	done := int64(0)
	for i, part := range shards {
		name := "model.safetensors"
		if len(shards) > 1 {
			name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		}
		list := make([]safetensors.Spec, len(part))
		for j, s := range part {
			list[j] = safetensors.Spec{Name: m.Hub(s.Name), DType: dtype, Shape: s.Shape}
			index[list[j].Name] = name
		}
		w, err := safetensors.Create(filepath.Join(dir, name), map[string]string{"format": "pt"}, list)
		if err != nil {
			return err
		}
		for _, s := range part {
			if err := fill(ctx, w, m, s, dtype, o.Seed); err != nil {
				w.Abort()
				return err
			}
			done += s.Elements() * int64(dtype.Bytes())
			if o.Progress != nil {
				o.Progress(s.Name, done, total)
			}
		}
		if err := w.Close(); err != nil {
			return err
		}
	}
	if len(shards) == 1 {
		return nil
	}
	text, err := json.MarshalIndent(map[string]any{"metadata": map[string]int64{"total_size": total}, "weight_map": index}, "", "  ")
	if err != nil {
		return err
	}
	return output.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), text)
}

// scale returns mean and spread of a tensor's uniform values, so that activations stay of order one.
func scale(m *models.Model, s models.Weight) (mean, spread float64) {
	uniform := math.Sqrt(3) // half the width of a uniform distribution of variance one
	if len(s.Shape) == 1 {
		if m.Scale(s.Name) {
			return 1, .05
		}
		return 0, .05
	}
	fan := s.Elements() / int64(s.Shape[0])
	return 0, uniform / math.Sqrt(float64(fan))
}

// block is how many elements are made at a time.
const block = 1 << 20

// fill writes one tensor, two blocks at a time in parallel; each block has a generator of its own.
func fill(ctx context.Context, w *safetensors.Writer, m *models.Model, s models.Weight, dtype safetensors.DType, seed uint64) error {
	h := fnv.New64a()
	fmt.Fprint(h, seed, s.Name)
	base := h.Sum64()
	mean, spread := scale(m, s)
	const workers = 4
	var bufs [workers][]byte
	n := s.Elements()
	for at := int64(0); at < n; at += workers * block {
		if err := ctx.Err(); err != nil {
			return err
		}
		var wg sync.WaitGroup
		for i := range workers {
			first := at + int64(i)*block
			count := min(block, n-first)
			if count <= 0 {
				bufs[i] = bufs[i][:0]
				continue
			}
			wg.Go(func() { bufs[i] = values(bufs[i][:0], base+uint64(first), int(count), mean, spread, dtype) })
		}
		wg.Wait()
		for _, b := range bufs {
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// values appends uniform values from a SplitMix64 sequence (Steele et al. 2014), two to a step.
func values(out []byte, seed uint64, n int, mean, spread float64, dtype safetensors.DType) []byte {
	state := seed * 0x9e3779b97f4a7c15
	m, k := float32(mean), float32(spread/(1<<31))
	for i := 0; i < n; i += 2 {
		state += 0x9e3779b97f4a7c15
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
		for j := range min(2, n-i) {
			v := m + k*float32(int32(uint32(z>>(32*j))))
			switch dtype {
			case safetensors.BF16:
				out = binary.LittleEndian.AppendUint16(out, uint16((math.Float32bits(v)+0x8000)>>16))
			case safetensors.F16:
				out = binary.LittleEndian.AppendUint16(out, float16.Fromfloat32(v).Bits())
			default:
				out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
			}
		}
	}
	return out
}
