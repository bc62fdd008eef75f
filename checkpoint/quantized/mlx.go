package quantized

import (
	"fmt"
	"slices"

	"pgc/models/config"
	"pgc/runtime/safetensors"
)

// isMLX reports whether config.json is of a save that mlx-vlm quantized, which names no method. The numbers in
// "quantization" are also shapes.
func isMLX(s *config.Section) bool {
	q, ok := s.Section("quantization")
	return ok && q.Has("group_size") && q.Has("bits")
}

// affine reads the weights of MLX: values of 2 to 8 bits in words, [rows, columns·bits/32], and a scale and a bias in the
// weight's type for each group of a row. The product is rounded to that type before the sum, as mx.dequantize does.
func affine(name string, shape []int, get Get) (*Weight, error) {
	module := name[:len(name)-min(len(name), len("weight"))]
	s, ok := get(module + "scales")
	if !ok || len(shape) != 2 {
		return nil, nil
	}
	rows, columns := shape[0], shape[1]
	q, _ := get(name)
	fits := slices.DeleteFunc([]int{2, 3, 4, 5, 6, 8}, func(bits int) bool { return !slices.Equal(q.Shape, []int{rows, columns * bits / 32}) })
	if q.DType != safetensors.U32 || len(fits) != 1 || len(s.Shape) != 2 || s.Shape[0] != rows || s.Shape[1] < 1 || columns%s.Shape[1] != 0 {
		return nil, fmt.Errorf("tensor %s is %s of shape %v with scales of %v, expected MLX's words of 2, 3, 4, 5, 6 or 8 bits for %v: expected float weights (mlx_vlm.convert --dequantize)",
			name, q.DType, q.Shape, s.Shape, shape)
	}
	count := s.Shape[1]
	v, dtype, err := scales(get, module+"scales", rows*count)
	if err != nil {
		return nil, err
	}
	biases, err := floats(get, module+"biases", rows*count)
	if err != nil {
		return nil, err
	}
	w := scaled{q: words(q, fits[0], false, false, nil), scales: v, offsets: biases, product: dtype, row: count, by: 1, size: columns / count}
	return &Weight{Tensor: w.tensor(shape, dtype), From: name, Used: []string{name, module + "scales", module + "biases"}}, nil
}
