// Package ptxrun runs a kernel of a PTX file in the emulator: arguments from text and from tensor files, results to a
// tensor file.
package ptxrun

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"pgc/codegen/ptx/emu"
	"pgc/runtime/safetensors"
)

// argument is one --arg, ready for a launch. Results are buffers that the output file holds.
type argument struct {
	value  any // what emu.Launch takes
	result *result
}

// result is a buffer to be written.
type result struct {
	spec safetensors.Spec
	mem  *emu.Memory
}

// forms says what an --arg may look like.
const forms = "expected i32:N, u32:N, i64:N, u64:N, f32:X, f64:X, in:FILE:NAME, inout:FILE:NAME, out:NAME:TYPE[SIZE,…], bytes:HEX or null"

// dtypes is the element types of out by name.
var dtypes = map[string]safetensors.DType{"f64": safetensors.F64, "f32": safetensors.F32, "f16": safetensors.F16, "bf16": safetensors.BF16,
	"i64": safetensors.I64, "i32": safetensors.I32, "i16": safetensors.I16, "i8": safetensors.I8, "u64": safetensors.U64,
	"u32": safetensors.U32, "u16": safetensors.U16, "u8": safetensors.U8, "bool": safetensors.Bool}

// parseArgument reads an --arg. File opens a tensor file.
func parseArgument(text string, file func(path string) (*safetensors.File, error)) (argument, error) {
	kind, rest, _ := strings.Cut(text, ":")
	wrong := func(why string) (argument, error) { return argument{}, Misuse{fmt.Errorf("--arg %s: %s", text, why)} }
	switch kind {
	case "null":
		if text == "null" {
			return argument{value: emu.Pointer{}}, nil
		}
	case "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64":
		bits, _ := strconv.Atoi(kind[1:])
		v, err := integer(rest, kind[0] == 'i', bits)
		if err != nil {
			return wrong(err.Error())
		}
		return argument{value: little(v, bits/8)}, nil
	case "f32":
		v, err := strconv.ParseFloat(rest, 32)
		if err != nil {
			return wrong("expected a number behind the colon")
		}
		return argument{value: float32(v)}, nil
	case "f64":
		v, err := strconv.ParseFloat(rest, 64)
		if err != nil {
			return wrong("expected a number behind the colon")
		}
		return argument{value: v}, nil
	case "bytes":
		b, err := hex.DecodeString(rest)
		if err != nil || len(b) == 0 {
			return wrong("expected two hexadecimal digits for each byte behind the colon")
		}
		return argument{value: b}, nil
	case "in", "inout":
		return tensor(text, rest, kind == "inout", file)
	case "out":
		spec, err := parseSpec(rest)
		if err != nil {
			return wrong(err.Error())
		}
		n := spec.DType.Bytes()
		for _, d := range spec.Shape {
			n *= d
		}
		r := &result{spec, emu.Unwritten(spec.Name, n)}
		return argument{emu.Pointer{Memory: r.mem}, r}, nil
	}
	return wrong(forms)
}

// integer reads a number of so many bits, decimal or with a prefix such as 0x.
func integer(text string, signed bool, bits int) (uint64, error) {
	if signed {
		v, err := strconv.ParseInt(text, 0, bits)
		if err != nil {
			return 0, fmt.Errorf("expected a whole number from %d to %d", int64(math.MinInt64)>>(64-bits), int64(math.MaxInt64)>>(64-bits))
		}
		return uint64(v), nil
	}
	v, err := strconv.ParseUint(text, 0, bits)
	if err != nil {
		return 0, fmt.Errorf("expected a whole number from 0 to %d", uint64(math.MaxUint64)>>(64-bits))
	}
	return v, nil
}

// little is a number's n bytes.
func little(v uint64, n int) []byte {
	var b []byte
	for range n {
		b, v = append(b, byte(v)), v>>8
	}
	return b
}

// tensor reads FILE:NAME; the last colon divides them.
func tensor(text, rest string, inout bool, file func(path string) (*safetensors.File, error)) (argument, error) {
	at := strings.LastIndexByte(rest, ':')
	if at < 1 || at == len(rest)-1 {
		return argument{}, Misuse{fmt.Errorf("--arg %s: expected a file, a colon and the name of a tensor in it", text)}
	}
	path, name := rest[:at], rest[at+1:]
	f, err := file(path)
	if err != nil {
		return argument{}, err
	}
	t, ok := f.Tensor(name)
	if !ok {
		names := f.Names()
		more := ""
		if len(names) > 8 {
			names, more = names[:8], ", …"
		}
		return argument{}, Misuse{fmt.Errorf("--arg %s: %s has no tensor %s; it has %s%s", text, path, name, strings.Join(names, ", "), more)}
	}
	mem := &emu.Memory{Name: name, Data: slices.Clone(t.Data)}
	a := argument{value: emu.Pointer{Memory: mem}}
	if inout {
		a.result = &result{safetensors.Spec{Name: name, DType: t.DType, Shape: t.Shape}, mem}
	}
	return a, nil
}

// parseSpec reads NAME:TYPE[SIZE,…].
func parseSpec(text string) (safetensors.Spec, error) {
	at := strings.LastIndexByte(text, ':')
	if at < 1 {
		return safetensors.Spec{}, fmt.Errorf("expected a name, a colon and a type such as f32[64,128]")
	}
	name, shape := text[:at], text[at+1:]
	dtype, sizes, ok := strings.Cut(strings.TrimSuffix(shape, "]"), "[")
	if !ok || !strings.HasSuffix(shape, "]") {
		return safetensors.Spec{}, fmt.Errorf("expected a type such as f32[64,128] behind the name, not %q", shape)
	}
	s := safetensors.Spec{Name: name, DType: dtypes[dtype], Shape: []int{}}
	if s.DType == "" {
		return s, fmt.Errorf("the type %q is none of f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8 and bool", dtype)
	}
	n := s.DType.Bytes()
	for _, d := range strings.Split(sizes, ",") {
		if sizes == "" {
			break
		}
		v, err := strconv.Atoi(strings.TrimSpace(d))
		if err != nil || v < 0 {
			return s, fmt.Errorf("the size %q is no whole number", d)
		}
		if v > 0 && n > 1<<36/v {
			return s, fmt.Errorf("%s is larger than 64 GiB", shape)
		}
		n *= v
		s.Shape = append(s.Shape, v)
	}
	return s, nil
}
