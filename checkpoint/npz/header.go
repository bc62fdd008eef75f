package npz

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"pgc/runtime/safetensors"
)

// dtypes are numpy's names of types, without the order of bytes.
var dtypes = map[string]safetensors.DType{"f8": safetensors.F64, "f4": safetensors.F32, "f2": safetensors.F16, "V2": safetensors.BF16,
	"i8": safetensors.I64, "i4": safetensors.I32, "i2": safetensors.I16, "i1": safetensors.I8,
	"u8": safetensors.U64, "u4": safetensors.U32, "u2": safetensors.U16, "u1": safetensors.U8, "b1": safetensors.Bool}

// maxAxes is the most axes that numpy has.
const maxAxes = 64

// A header is a dictionary in Python's notation, with these entries.
var (
	dict    = regexp.MustCompile(`^\{(.*)\}\s*$`)
	descr   = regexp.MustCompile(`'descr': *'([<>|=]?)([a-zA-Z]+[0-9]*)'`)
	records = regexp.MustCompile(`'descr': *[\[(]`)
	order   = regexp.MustCompile(`'fortran_order': *(True|False)`)
	extents = regexp.MustCompile(`'shape': *\(([0-9L, ]*)\)`)
)

// parseDict reads the header's dictionary. Errors continue a sentence that begins with the array's name.
func parseDict(text string) (h header, err error) {
	if !dict.MatchString(text) {
		return h, fmt.Errorf("has the header %.60q, expected a dictionary", text)
	}
	if records.MatchString(text) {
		return h, errors.New("holds records, expected numbers of one type")
	}
	d, o, s := descr.FindStringSubmatch(text), order.FindStringSubmatch(text), extents.FindStringSubmatch(text)
	if d == nil || o == nil || s == nil {
		return h, fmt.Errorf("has the header %.60q, expected 'descr', 'fortran_order' and 'shape'", text)
	}
	if h.dtype = dtypes[d[2]]; h.dtype == "" {
		if strings.HasPrefix(d[2], "O") {
			return h, errors.New("holds pickled objects, which are programs: refused, expected numbers")
		}
		return h, fmt.Errorf("holds elements of type %s%s, expected floats, integers or booleans", d[1], d[2])
	}
	if d[1] == ">" && h.dtype.Bytes() > 1 {
		return h, fmt.Errorf("holds big-endian numbers (%s%s), expected little-endian", d[1], d[2])
	}
	h.fortran = o[1] == "True"
	for field := range strings.SplitSeq(s[1], ",") {
		field = strings.TrimSuffix(strings.TrimSpace(field), "L") // as Python 2 wrote it
		if field == "" {
			continue
		}
		n, err := strconv.Atoi(field)
		if err != nil || n > math.MaxInt32<<16 || len(h.shape) == maxAxes {
			return h, fmt.Errorf("has the shape (%.60s), expected sizes", s[1])
		}
		h.shape = append(h.shape, n)
	}
	return h, nil
}
