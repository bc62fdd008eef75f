// Package pickle reads the tensors of files that torch.save wrote (pytorch_model.bin): a zip archive of a pickle and of the
// bytes of each storage.
//
// A pickle is a program, and one from a stranger may do anything. This reader executes nothing: it knows the opcodes by
// which dictionaries of tensors are written, and of all Python names only those of the functions that make a tensor,
// which it does not call but reads the arguments of. Any other name ends in an error that says it.
package pickle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// A pickle's values are nil, bool, int64, float64, string and these.
type (
	tuple  []any
	list   struct{ items []any }
	dict   struct{ keys, values []any }
	global struct{ module, name string }
	other  struct{} // what nothing here reads, such as bytes
)

// mark stands on the stack where a tuple, or the items of a list or dictionary, begin.
type mark struct{}

// Bounds of a pickle.
const (
	maxStack = 1 << 20
	maxMemo  = 1 << 24
)

// machine executes the opcodes of a pickle.
type machine struct {
	code  []byte
	at    int
	stack []any
	memo  map[int64]any
	// call returns what a function makes of its arguments, load what a persistent id stands for.
	call func(f global, args tuple) (any, error)
	load func(id any) (any, error)
	// known says whether a name may be used.
	known func(g global) error
}

var errShort = errors.New("the pickle ends too early: truncated, copy or download it again")

// run executes the pickle and returns its value.
func (m *machine) run() (any, error) {
	m.memo = map[int64]any{}
	for {
		op, err := m.bytes(1)
		if err != nil {
			return nil, err
		}
		if op[0] == '.' { // STOP
			return m.pop()
		}
		if err := m.step(op[0]); err != nil {
			return nil, err
		}
		if len(m.stack) > maxStack || len(m.memo) > maxMemo {
			return nil, errors.New("the pickle is too deep to be a dictionary of tensors: " + expected)
		}
	}
}

// step executes an opcode. Names are those of Python's pickletools.
func (m *machine) step(op byte) error {
	switch op {
	case 0x80: // PROTO
		v, err := m.bytes(1)
		if err == nil && v[0] > 5 {
			err = fmt.Errorf("the pickle has protocol %d, expected at most 5, or safetensors", v[0])
		}
		return err
	case 0x95: // FRAME
		_, err := m.bytes(8)
		return err
	case 'N': // NONE
		m.push(nil)
	case 0x88, 0x89: // NEWTRUE, NEWFALSE
		m.push(op == 0x88)
	case 'K', 'M', 'J', 0x8a: // BININT1, BININT2, BININT, LONG1
		return m.integer(op)
	case 'G': // BINFLOAT
		b, err := m.bytes(8)
		if err == nil {
			m.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
		}
		return err
	case 'X', 0x8c, 0x8d: // BINUNICODE, SHORT_BINUNICODE, BINUNICODE8
		s, err := m.text(map[byte]int{'X': 4, 0x8c: 1, 0x8d: 8}[op])
		m.push(s)
		return err
	case 'C', 'B', 'U', 'T': // SHORT_BINBYTES, BINBYTES, SHORT_BINSTRING, BINSTRING
		_, err := m.text(map[byte]int{'C': 1, 'B': 4, 'U': 1, 'T': 4}[op])
		m.push(other{})
		return err
	case '(': // MARK
		m.push(mark{})
	case ')', ']', '}', 0x8f: // EMPTY_TUPLE, EMPTY_LIST, EMPTY_DICT, EMPTY_SET
		m.push(map[byte]any{')': tuple{}, ']': &list{}, '}': &dict{}, 0x8f: &list{}}[op])
	case 't', 0x85, 0x86, 0x87: // TUPLE, TUPLE1, TUPLE2, TUPLE3
		return m.tuple(op)
	case 'a', 'e', 0x90, 's', 'u': // APPEND, APPENDS, ADDITEMS, SETITEM, SETITEMS
		return m.add(op)
	case 'q', 'r', 0x94, 'h', 'j': // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
		return m.remember(op)
	case 'c', 0x93: // GLOBAL, STACK_GLOBAL
		return m.global(op)
	case 'Q': // BINPERSID
		id, err := m.pop()
		if err != nil {
			return err
		}
		v, err := m.load(id)
		m.push(v)
		return err
	case 'R', 0x81: // REDUCE, NEWOBJ
		args, err := m.popTuple()
		if err != nil {
			return err
		}
		f, err := m.pop()
		if err != nil {
			return err
		}
		g, ok := f.(global)
		if !ok {
			return errors.New("the pickle calls what is no function: " + expected)
		}
		v, err := m.call(g, args)
		m.push(v)
		return err
	case 'b': // BUILD sets attributes: of a dictionary those that nothing here reads
		if _, err := m.pop(); err != nil {
			return err
		}
		if len(m.stack) == 0 {
			return errShort
		}
		if _, ok := m.stack[len(m.stack)-1].(*dict); !ok {
			return errors.New("the pickle sets attributes of an object: " + expected)
		}
	default:
		return fmt.Errorf("the pickle has the opcode 0x%02x, which dictionaries of tensors do not need: %s", op, expected)
	}
	return nil
}

func (m *machine) push(v any) { m.stack = append(m.stack, v) }

func (m *machine) pop() (any, error) {
	if len(m.stack) == 0 {
		return nil, errShort
	}
	v := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	return v, nil
}

func (m *machine) popTuple() (tuple, error) {
	v, err := m.pop()
	if t, ok := v.(tuple); ok {
		return t, err
	}
	return nil, errors.New("the pickle gives a function no tuple of arguments: " + expected)
}

// popMark returns what lies above the last mark, without it.
func (m *machine) popMark() ([]any, error) {
	for i := len(m.stack) - 1; i >= 0; i-- {
		if _, ok := m.stack[i].(mark); ok {
			items := append([]any(nil), m.stack[i+1:]...)
			m.stack = m.stack[:i]
			return items, nil
		}
	}
	return nil, errShort
}

// bytes takes the next n bytes of code.
func (m *machine) bytes(n int) ([]byte, error) {
	if n < 0 || n > len(m.code)-m.at {
		return nil, errShort
	}
	m.at += n
	return m.code[m.at-n : m.at], nil
}

// unsigned takes a little-endian number of n bytes.
func (m *machine) unsigned(n int) (int64, error) {
	b, err := m.bytes(n)
	v := uint64(0)
	for i := range b {
		v |= uint64(b[i]) << (8 * i)
	}
	if v > math.MaxInt64 {
		return 0, errors.New("the pickle has a number beyond 63 bits: " + expected)
	}
	return int64(v), err
}

// text takes a length of n bytes and a string.
func (m *machine) text(n int) (string, error) {
	size, err := m.unsigned(n)
	if err != nil || size > int64(len(m.code)) {
		return "", errShort
	}
	b, err := m.bytes(int(size))
	return string(b), err
}

func (m *machine) integer(op byte) error {
	n := map[byte]int{'K': 1, 'M': 2, 'J': 4}[op]
	if op == 0x8a {
		size, err := m.unsigned(1)
		if err != nil {
			return err
		}
		if n = int(size); n > 8 {
			return errors.New("the pickle has a number beyond 64 bits: " + expected)
		}
	}
	b, err := m.bytes(n)
	if err != nil {
		return err
	}
	v := int64(0)
	for i := range b {
		v |= int64(b[i]) << (8 * i)
	}
	if op == 'J' || op == 0x8a && n > 0 { // signed
		v = v << (64 - 8*n) >> (64 - 8*n)
	}
	m.push(v)
	return nil
}

func (m *machine) tuple(op byte) error {
	if op == 't' {
		items, err := m.popMark()
		m.push(tuple(items))
		return err
	}
	n := int(op) - 0x84
	if len(m.stack) < n {
		return errShort
	}
	items := append(tuple(nil), m.stack[len(m.stack)-n:]...)
	m.stack = append(m.stack[:len(m.stack)-n], items)
	return nil
}

// add puts items into the list or dictionary below them.
func (m *machine) add(op byte) error {
	var items []any
	var err error
	switch op {
	case 'a', 's':
		n := map[byte]int{'a': 1, 's': 2}[op]
		if len(m.stack) < n {
			return errShort
		}
		items = append(items, m.stack[len(m.stack)-n:]...)
		m.stack = m.stack[:len(m.stack)-n]
	default:
		if items, err = m.popMark(); err != nil {
			return err
		}
	}
	if len(m.stack) == 0 {
		return errShort
	}
	switch c := m.stack[len(m.stack)-1].(type) {
	case *list:
		if op != 's' && op != 'u' {
			c.items = append(c.items, items...)
			return nil
		}
	case *dict:
		if (op == 's' || op == 'u') && len(items)%2 == 0 {
			for i := 0; i < len(items); i += 2 {
				c.keys, c.values = append(c.keys, items[i]), append(c.values, items[i+1])
			}
			return nil
		}
	}
	return errors.New("the pickle adds items to what is no list or dictionary: " + expected)
}

// remember keeps the value on top, or pushes one that was kept.
func (m *machine) remember(op byte) error {
	at := int64(len(m.memo))
	if op != 0x94 {
		var err error
		if at, err = m.unsigned(map[byte]int{'q': 1, 'h': 1, 'r': 4, 'j': 4}[op]); err != nil {
			return err
		}
	}
	if op == 'h' || op == 'j' {
		v, ok := m.memo[at]
		if !ok {
			return errors.New("the pickle reads what it has not kept: " + expected)
		}
		m.push(v)
		return nil
	}
	if len(m.stack) == 0 {
		return errShort
	}
	m.memo[at] = m.stack[len(m.stack)-1]
	return nil
}

// global pushes a name, which must be known.
func (m *machine) global(op byte) error {
	var parts [2]string
	if op == 'c' {
		for i := range parts {
			from := m.at
			for m.at < len(m.code) && m.code[m.at] != '\n' {
				m.at++
			}
			if _, err := m.bytes(1); err != nil {
				return err
			}
			parts[i] = string(m.code[from : m.at-1])
		}
	} else {
		for i := range parts {
			v, err := m.pop()
			s, ok := v.(string)
			if err != nil || !ok {
				return errors.New("the pickle names a function by what is no text: " + expected)
			}
			parts[1-i] = s
		}
	}
	g := global{parts[0], parts[1]}
	if err := m.known(g); err != nil {
		return err
	}
	m.push(g)
	return nil
}
