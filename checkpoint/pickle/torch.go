package pickle

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"pgc/runtime/safetensors"
)

// storages are the types of torch's storages, and what their elements are.
var storages = map[string]safetensors.DType{"FloatStorage": safetensors.F32, "HalfStorage": safetensors.F16, "BFloat16Storage": safetensors.BF16,
	"DoubleStorage": safetensors.F64, "LongStorage": safetensors.I64, "IntStorage": safetensors.I32, "ShortStorage": safetensors.I16,
	"CharStorage": safetensors.I8, "ByteStorage": safetensors.U8, "BoolStorage": safetensors.Bool}

// The functions that tensors are made by.
var (
	ordered   = global{"collections", "OrderedDict"}
	rebuild   = global{"torch._utils", "_rebuild_tensor_v2"}
	parameter = global{"torch._utils", "_rebuild_parameter"}
	size      = global{"torch", "Size"}
)

// Bounds of what a file may hold.
const (
	maxPickle   = 256 << 20
	maxEntries  = 1 << 20
	maxNesting  = 8
	maxElements = 1 << 40  // of a tensor
	maxRepeated = 64 << 20 // bytes of tensors whose elements repeat those of a storage, as expand makes them
)

// storage is the bytes of tensors.
type storage struct {
	dtype safetensors.DType
	data  []byte
}

// expected says what is read.
const expected = "expected a state_dict of tensors alone, or safetensors"

// Open maps a file that torch.save wrote. Its tensors have the names that they have in its dictionaries, those of
// dictionaries inside others with dots between. Errors are one line and name the file.
func Open(file string) (*safetensors.File, error) {
	return safetensors.Map(file, "a file of torch.save", parse)
}

// parse finds the tensors of an archive.
func parse(data []byte) (map[string]safetensors.Tensor, error) {
	if tensors, ok, err := legacy(data); ok {
		return tensors, err
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("it is no archive of torch.save (%w): copy or download it again if it was cut, else save the model as safetensors", err)
	}
	e := &entries{data: data, byName: map[string]*zip.File{}}
	for _, f := range z.File {
		if f.Name == path.Base(path.Dir(f.Name))+"/data.pkl" {
			e.folder = path.Dir(f.Name)
		}
		e.byName[f.Name] = f
	}
	code, err := e.bytes("data.pkl")
	if err != nil {
		return nil, err
	}
	if order, err := e.bytes("byteorder"); err == nil && string(order) != "little" {
		return nil, fmt.Errorf("its numbers are %.20q-endian, expected little: save it as safetensors", order)
	}
	if len(code) > maxPickle {
		return nil, fmt.Errorf("its pickle has %d bytes, more than %d: %s", len(code), maxPickle, expected)
	}
	a := &archive{size: len(data), tensors: map[string]safetensors.Tensor{},
		storage: func(key string, _ safetensors.DType) ([]byte, error) { return e.bytes("data/" + key) }}
	return a.tensors, a.read(code)
}

// entries are those of a zip archive.
type entries struct {
	data   []byte
	folder string // that all lie in
	byName map[string]*zip.File
}

// archive is a file of torch.save.
type archive struct {
	size    int // bytes of the file
	storage func(key string, dtype safetensors.DType) ([]byte, error)
	tensors map[string]safetensors.Tensor
	visited int // entries of dictionaries
	copied  int // bytes of tensors whose elements lie apart
}

// read takes the tensors of a pickled dictionary.
func (a *archive) read(code []byte) error {
	m := &machine{code: code, call: a.call, load: a.load, known: known}
	v, err := m.run()
	if err != nil {
		return err
	}
	top, ok := v.(*dict)
	if !ok {
		return errors.New("it holds no dictionary of tensors: " + expected)
	}
	return a.collect("", top, 0)
}

// known says whether a name is among those that tensors need.
func known(g global) error {
	if _, ok := storages[g.name]; ok && g.module == "torch" || g == ordered || g == rebuild || g == parameter || g == size {
		return nil
	}
	return fmt.Errorf("its pickle wants %s, which weights do not need: refused, nothing was executed (%s)",
		safetensors.Printable(g.module+"."+g.name), expected)
}

// bytes returns the bytes of an entry, which torch does not compress.
func (e *entries) bytes(name string) ([]byte, error) {
	f := e.byName[e.folder+"/"+name]
	if f == nil {
		return nil, fmt.Errorf("its archive has no %s: copy or download it again if it was cut, else save the model as safetensors", safetensors.Printable(name))
	}
	if f.Method != zip.Store {
		return nil, fmt.Errorf("%s in its archive is compressed: expected it as torch.save stores it, or safetensors", safetensors.Printable(name))
	}
	at, err := f.DataOffset()
	if n := int64(len(e.data)); err != nil || at > n || f.UncompressedSize64 > uint64(n-at) || f.CompressedSize64 != f.UncompressedSize64 {
		return nil, fmt.Errorf("%s in its archive lies outside the file: truncated, copy or download it again", safetensors.Printable(name))
	}
	return e.data[at:][:f.UncompressedSize64], nil
}

// load returns the storage that a persistent id names.
func (a *archive) load(id any) (any, error) { return storageOf(id, a.storage) }

// storageOf returns the storage that a persistent id names: ("storage", type, key, location, elements), before torch 1.6 with
// a view of it, which is None. bytes finds its bytes; where it returns nil, the storage has none yet.
func storageOf(id any, bytes func(key string, dtype safetensors.DType) ([]byte, error)) (any, error) {
	t, _ := id.(tuple)
	if len(t) == 6 && t[5] == nil {
		t = t[:5]
	}
	if len(t) != 5 || t[0] != "storage" {
		return nil, errors.New("its pickle has a persistent id that is no storage: " + expected)
	}
	kind, isGlobal := t[1].(global)
	key, isText := t[2].(string)
	n, isInt := t[4].(int64)
	dtype := storages[kind.name]
	if !isGlobal || !isText || !isInt || dtype == "" {
		return nil, errors.New("its pickle has a storage without type, name or length: " + expected)
	}
	data, err := bytes(key, dtype)
	if err != nil || data == nil {
		return other{}, err
	}
	if n < 0 || n > int64(len(data)/dtype.Bytes()) {
		return nil, fmt.Errorf("its storage %s claims %d elements of %s, but has %d bytes: damaged, copy or download it again", safetensors.Printable(key), n, dtype, len(data))
	}
	return storage{dtype, data[:int(n)*dtype.Bytes()]}, nil
}

// call returns what the functions of tensors make.
func (a *archive) call(f global, args tuple) (any, error) {
	switch {
	case f == ordered && len(args) == 0:
		return &dict{}, nil
	case f == parameter && len(args) >= 1:
		return args[0], nil
	case f == size && len(args) == 1:
		return args[0], nil
	case f == rebuild && len(args) >= 4:
		return a.tensor(args)
	}
	return nil, fmt.Errorf("its pickle calls %s.%s with %d arguments, which weights do not need: %s", f.module, f.name, len(args), expected)
}

// tensor makes a tensor of (storage, offset, shape, strides, …).
func (a *archive) tensor(args tuple) (any, error) {
	s, isStorage := args[0].(storage)
	offset, isInt := args[1].(int64)
	shape, isShape := numbers(args[2])
	strides, isStrides := numbers(args[3])
	if !isStorage || !isInt || !isShape || !isStrides || len(shape) != len(strides) || offset < 0 {
		return nil, errors.New("its pickle has a tensor without storage, offset, shape or strides: " + expected)
	}
	if len(args) > 6 {
		if bits, ok := args[6].(*dict); !ok || len(bits.keys) > 0 {
			return nil, errors.New("its pickle has a tensor that stands for the negative of its elements, or others: call resolve_neg() of it, or save it as safetensors")
		}
	}
	if slices.Contains(shape, 0) {
		return safetensors.Tensor{DType: s.dtype, Shape: shape}, nil
	}
	elements := len(s.data) / s.dtype.Bytes()
	n, last, contiguous := 1, 0, true // last is the last element's place behind the first
	for i := len(shape) - 1; i >= 0; i-- {
		d := shape[i]
		if d > 1 {
			contiguous = contiguous && strides[i] == n
			if n > maxElements/d || strides[i] > elements/(d-1) {
				last = elements
				break
			}
			last += (d - 1) * strides[i]
		}
		n *= d
	}
	if offset >= int64(elements) || last >= elements-int(offset) {
		return nil, fmt.Errorf("its pickle has a tensor of shape %v and strides %v at %d, beyond its storage of %d elements: damaged, copy or download it again", shape, strides, offset, elements)
	}
	size := s.dtype.Bytes()
	t := safetensors.Tensor{DType: s.dtype, Shape: shape}
	switch {
	case contiguous:
		t.Data = s.data[int(offset)*size:][:n*size]
	default:
		if a.copied += n * size; a.copied > a.size+maxRepeated {
			return nil, errors.New("its tensors overlap: save them as safetensors")
		}
		t.Data = gather(s.data[int(offset)*size:], size, shape, strides, n)
	}
	return t, nil
}

// gather copies the elements of a tensor that lie apart.
func gather(data []byte, size int, shape, strides []int, n int) []byte {
	out := make([]byte, 0, n*size)
	at := make([]int, len(shape))
	for from := 0; ; {
		out = append(out, data[from*size:][:size]...)
		i := len(shape) - 1
		for ; i >= 0; i-- {
			at[i]++
			from += strides[i]
			if at[i] < shape[i] {
				break
			}
			from -= at[i] * strides[i]
			at[i] = 0
		}
		if i < 0 {
			return out
		}
	}
}

// numbers returns a tuple of sizes.
func numbers(v any) ([]int, bool) {
	t, ok := v.(tuple)
	if !ok || len(t) > 16 {
		return nil, false
	}
	list := make([]int, len(t))
	for i, x := range t {
		n, ok := x.(int64)
		if !ok || n < 0 || n > math.MaxInt32<<16 {
			return nil, false
		}
		list[i] = int(n)
	}
	return list, true
}

// collect takes the tensors of a dictionary and of those inside it.
func (a *archive) collect(prefix string, d *dict, depth int) error {
	for i, k := range d.keys {
		if a.visited++; a.visited > maxEntries || depth > maxNesting {
			return errors.New("its dictionaries have more entries than any model: " + expected)
		}
		key, ok := k.(string)
		if !ok {
			continue
		}
		switch v := d.values[i].(type) {
		case *dict:
			if err := a.collect(prefix+key+".", v, depth+1); err != nil {
				return err
			}
		case safetensors.Tensor:
			name := prefix + key
			if len(name) > 1<<10 || strings.ContainsRune(name, 0) {
				return fmt.Errorf("it has a tensor whose name has %d bytes, more than %d: %s", len(name), 1<<10, expected)
			}
			v.Name = name
			a.tensors[name] = v
		}
	}
	return nil
}
