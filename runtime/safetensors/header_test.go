package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// manyTensors is a file of n tensors of one byte.
func manyTensors(n int) []byte {
	var b strings.Builder
	b.WriteString("{")
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"layers.%d.weight":{"dtype":"U8","shape":[1,1],"data_offsets":[%d,%d]}`, i, i, i+1)
	}
	b.WriteString("}")
	data := binary.LittleEndian.AppendUint64(nil, uint64(b.Len()))
	return append(append(data, b.String()...), make([]byte, n)...)
}

// TestManyTensors reads a header of 100,000 tensors, and counts what it allocates for each.
func TestManyTensors(t *testing.T) {
	data := manyTensors(100_000)
	start := time.Now()
	f, err := parse(data)
	if err != nil || len(f.Names()) != 100_000 {
		t.Fatal(err)
	}
	t.Logf("100,000 tensors took %v", time.Since(start))
	data = manyTensors(1000)
	if n := testing.AllocsPerRun(5, func() { parse(data) }); n > 15*1000 {
		t.Errorf("1,000 tensors took %g allocations, expected at most 15 each", n)
	}
}

// TestJSON alters a header byte by byte. What is read then is JSON, and the names are those that encoding/json finds.
func TestJSON(t *testing.T) {
	const good = `{ "__metadata__":{"a\u00e9\n":"\"b\\", "c":""},"w" : {"dtype":"F32","shape":[ 1 , 1],"data_offsets":[0,4]},
 "\u0062":{"shape":[],"data_offsets":[4,8],"dtype":"I32"}, "":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`
	taken := 0
	try := func(header string) {
		f, err := parse(file(header, 8))
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: the error %q is no line", header, err)
			}
			return
		}
		taken++
		var want map[string]any
		if err := json.Unmarshal([]byte(header), &want); err != nil {
			t.Errorf("%s is taken, though %v", header, err)
		}
		delete(want, metadataKey)
		if names := slices.Sorted(maps.Keys(want)); !slices.Equal(names, f.Names()) {
			t.Errorf("%s has the tensors %q, expected %q", header, f.Names(), names)
		}
	}
	if try(good); taken != 1 {
		t.Fatal("the header is refused")
	}
	for i := range len(good) {
		try(good[:i] + good[i+1:])
		try(good[:i] + good[i:i+1] + good[i:])
		for _, c := range "\"\\{}[],:0-+.eax \x01\u00e9" {
			try(good[:i] + string(c) + good[i+1:])
			try(good[:i] + string(c) + good[i:])
		}
	}
	if taken < 500 {
		t.Errorf("only %d of the altered headers are taken", taken)
	}
	t.Logf("%d altered headers are taken", taken)
}
