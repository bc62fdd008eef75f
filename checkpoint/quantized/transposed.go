package quantized

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgc/models/config"
	"pgc/runtime/safetensors"
)

// everyBits are the widths of integers in words of GPTQ's kind.
var everyBits = []int{2, 3, 4, 5, 6, 7, 8}

// awqOrder is which of the eight values of a word a column has (AutoAWQ, packing_utils.py).
var awqOrder = []int{0, 4, 1, 5, 2, 6, 3, 7}

// layoutOf returns how words lie, in small letters: one of those that are read, the first where nothing says so. The older name of
// the setting goes before "format", as in transformers.
func layoutOf(s *config.Section, legacy string, read []string) string {
	key := "format"
	if s.Has(legacy) {
		key = legacy
	}
	if s.String("backend", "") == "llm-awq" {
		key = "backend" // whose layout is its own, whatever the format is said to be
	}
	format := strings.ToLower(s.String(key, read[0]))
	if !slices.Contains(read, format) {
		s.Fail(key, "is %.40q, expected \"%s\": %s", format, strings.Join(read, `" or "`), Dequantize)
	}
	return format
}

// transposed returns the reader of GPTQ or AWQ, which store the transposed matrix in words of 32 bits: qweight, qzeros
// [groups, rows·bits/32], scales [groups, rows] and, for GPTQ, g_idx [columns].
func transposed(gptq bool) func(root, s *config.Section) Reader {
	return func(_, s *config.Section) Reader {
		bits, size := s.Int("bits", 4), 128
		if s.Has("group_size") {
			size = s.ID("group_size", 0) // -1 is one group
		}
		if bits != 4 && !(gptq && slices.Contains([]int{2, 3, 8}, bits)) {
			s.Fail("bits", "is %d, which is not read: %s", bits, Dequantize)
		}
		legacy, formats := "version", []string{"gemm"}
		if gptq {
			legacy, formats = "checkpoint_format", []string{"gptq", "gptq_v2"}
		}
		return words32(s, gptq, layoutOf(s, legacy, formats), bits, size)
	}
}

// autoRound returns the reader of Intel's AutoRound, whose words are those of GPTQ or AWQ: "packing_format" says which.
func autoRound(_, s *config.Section) Reader {
	formats := map[string]string{"auto_round": "gptq_v2", "auto_round:gptqmodel": "gptq_v2", "auto_round:auto_gptq": "gptq", "auto_round:gptq": "gptq",
		"auto_round:auto_awq": "gemm", "auto_round:awq": "gemm"}
	packing := s.String("packing_format", "auto_round:gptq") // as in transformers
	format, kind := formats[packing], s.String("data_type", "int")
	if format == "" {
		s.Fail("packing_format", "is %.60q, expected \"%s\": %s", packing, strings.Join(slices.Sorted(maps.Keys(formats)), `", "`), Dequantize)
	}
	if kind != "int" {
		s.Fail("data_type", "is %.40q, expected \"int\": %s", kind, Dequantize)
	}
	if r, given := s.Section("rotation_config"); given && r.Len() > 0 {
		s.Fail("rotation_config", "rotates what is multiplied with the weights, which is not read: %s", Dequantize)
	}
	bits := s.Int("bits", 4)
	if !slices.Contains(everyBits, bits) || format == "gemm" && bits != 4 {
		s.Fail("bits", "is %d, which is not read: %s", bits, Dequantize)
	}
	return words32(s, format != "gemm", format, bits, s.ID("group_size", 0))
}

// words32 returns the reader of the words of GPTQ or AWQ in a format. bits and size, of a group, are those of all weights, unless s
// lists others: then shapes tell.
func words32(s *config.Section, gptq bool, format string, bits, size int) Reader {
	various := s.Has("dynamic") || s.Has("extra_config")
	return func(name string, shape []int, get Get) (*Weight, error) {
		module := name[:len(name)-min(len(name), len("weight"))]
		if _, ok := get(module + "qweight"); !ok || len(shape) != 2 {
			return nil, nil
		}
		rows, columns, bits, size := shape[0], shape[1], bits, size
		if various {
			bits, size = fitting(shape, bits, size, module, gptq, get)
		}
		if rows*bits%32 != 0 || columns*bits%32 != 0 {
			return nil, fmt.Errorf("tensor %sqweight stands for a weight of shape %v, expected whole words of %d bits", module, shape, bits)
		}
		if size == 0 {
			size = columns
		}
		count := (columns + size - 1) / size
		stored := []int{columns * bits / 32, rows}
		if !gptq {
			stored = []int{columns, rows * bits / 32}
		}
		q, err := matrix(get, module+"qweight", safetensors.I32, stored...)
		if err != nil {
			return nil, err
		}
		z, err := matrix(get, module+"qzeros", safetensors.I32, count, rows*bits/32)
		if err != nil {
			return nil, err
		}
		v, dtype, err := scales(get, module+"scales", count*rows)
		if err != nil {
			return nil, err
		}
		group, used, err := groups(get, module+"g_idx", columns, count, size)
		if err != nil {
			return nil, err
		}
		w := scaled{scales: v, row: 1, by: rows, size: size, group: group}
		if gptq {
			w.q, w.zero = words(q, bits, true, true, nil), words(z, bits, false, true, nil)
			if format == "gptq" { // stores zeros less one
				w.zero = masked(w.zero, 1, 1<<bits-1)
			}
		} else {
			w.q, w.zero = words(q, bits, false, true, awqOrder), words(z, bits, false, true, awqOrder)
		}
		return &Weight{Tensor: w.tensor(shape, dtype), From: module + "qweight",
			Used: append(used, module+"qweight", module+"qzeros", module+"scales")}, nil
	}
}

// fitting returns the bits and the size of a group that the shapes of a module's words and scales have, or those given where none fit.
func fitting(shape []int, bits, size int, module string, gptq bool, get Get) (int, int) {
	q, _ := get(module + "qweight")
	s, _ := get(module + "scales")
	if gptq && len(q.Shape) == 2 && slices.Contains(everyBits, q.Shape[0]*32/shape[1]) {
		bits = q.Shape[0] * 32 / shape[1]
	}
	if whole := max(size, 1); len(s.Shape) == 2 && s.Shape[0] > 0 && (size == 0 || s.Shape[0] != (shape[1]+whole-1)/whole) && shape[1]%s.Shape[0] == 0 {
		size = shape[1] / s.Shape[0]
	}
	return bits, size
}
