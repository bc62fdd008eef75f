package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"pgc/runtime/safetensors"
)

// magic is the first of the pickles that torch wrote before 1.6, and still writes with
// _use_new_zipfile_serialization=False: a number and its end.
var magic = []byte("\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.")

// legacy finds the tensors of a file of that format. It holds pickles: the magic number, a version, facts about the
// machine, the dictionary and the keys of its storages. The storages follow in the order of the keys, each with the number
// of its elements before it. The dictionary is read twice, as the type of a storage's elements, and so where the next one
// begins, stands in it. ok is false where data has no magic number.
func legacy(data []byte) (tensors map[string]safetensors.Tensor, ok bool, err error) {
	at := bytes.Index(data[:min(len(data), 64)], magic) // behind the protocol and, of newer ones, a frame
	if at < 0 {
		return nil, false, nil
	}
	types := map[string]safetensors.DType{}
	note := func(key string, dtype safetensors.DType) ([]byte, error) {
		if was := types[key]; was != "" && was != dtype {
			return nil, fmt.Errorf("its storage %s is of %s and of %s: save it as safetensors", safetensors.Printable(key), was, dtype)
		}
		types[key] = dtype
		return nil, nil
	}
	m := &machine{code: data[:min(len(data), maxPickle)], at: at + len(magic), known: known,
		load: func(id any) (any, error) { return storageOf(id, note) },
		call: func(f global, args tuple) (any, error) {
			if f == ordered {
				return &dict{}, nil
			}
			return other{}, nil
		}}
	if _, err := m.run(); err != nil { // the version
		return nil, true, err
	}
	v, err := m.run()
	if err != nil {
		return nil, true, err
	}
	facts, _ := v.(*dict)
	if little, ok := facts.get("little_endian"); ok && little != true {
		return nil, true, errors.New("its numbers are big-endian, expected little: save it as safetensors")
	}
	begin := m.at
	if _, err := m.run(); err != nil {
		return nil, true, err
	}
	keys, err := m.run()
	if err != nil {
		return nil, true, err
	}
	storages, err := places(data[m.at:], keys, types)
	if err != nil {
		return nil, true, err
	}
	a := &archive{size: len(data), tensors: map[string]safetensors.Tensor{},
		storage: func(key string, _ safetensors.DType) ([]byte, error) {
			b, ok := storages[key]
			if !ok {
				return nil, fmt.Errorf("it has no storage %s: damaged, copy or download it again", safetensors.Printable(key))
			}
			return b, nil
		}}
	return a.tensors, true, a.read(data[begin:m.at])
}

// places returns the bytes of each storage: data is the keys' storages, one after another.
func places(data []byte, keys any, types map[string]safetensors.DType) (map[string][]byte, error) {
	list, ok := keys.(*list)
	if !ok {
		return nil, errors.New("it has no list of its storages: " + expected)
	}
	places := map[string][]byte{}
	for _, k := range list.items {
		key, ok := k.(string)
		dtype := types[key]
		if !ok || dtype == "" {
			return nil, errors.New("it has a storage that no tensor uses: save it as safetensors")
		}
		if len(data) < 8 {
			return nil, errTruncated(key)
		}
		n := binary.LittleEndian.Uint64(data)
		data = data[8:]
		if n > uint64(len(data)/dtype.Bytes()) {
			return nil, errTruncated(key)
		}
		size := int(n) * dtype.Bytes()
		places[key], data = data[:size:size], data[size:]
	}
	return places, nil
}

func errTruncated(key string) error {
	return fmt.Errorf("its storage %s goes beyond the end of the file: truncated, copy or download it again", safetensors.Printable(key))
}

// get returns the value of a key, the last one given. A nil dictionary has none.
func (d *dict) get(key string) (any, bool) {
	if d == nil {
		return nil, false
	}
	for i := len(d.keys) - 1; i >= 0; i-- {
		if d.keys[i] == key {
			return d.values[i], true
		}
	}
	return nil, false
}
