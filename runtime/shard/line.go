package shard

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// fields is what is read of a line.
type fields struct {
	Row   *int
	Shard *Record
	Error string
}

// parse reads the fields of a line, which ends in a newline.
func parse(line []byte) (f fields, err error) {
	if !bytes.HasSuffix(line, []byte("}\n")) {
		return f, errors.New("is cut off")
	}
	if json.Unmarshal(line, &f) != nil || f.Row == nil {
		return f, errors.New("has no row, expected one that batch --shard wrote")
	}
	return f, nil
}

// Row returns the row of a line, -1 where it has none.
func Row(line []byte) int {
	f, err := parse(line)
	if err != nil {
		return -1
	}
	return *f.Row
}

// plain returns a line without what shards add to it: as batch writes it without them.
func plain(line []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	out := append(make([]byte, 0, len(line)), '{')
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	for d.More() {
		begin := d.InputOffset()
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		if key == "row" || key == "shard" {
			continue
		}
		field := bytes.TrimPrefix(line[begin:d.InputOffset()], []byte(","))
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, field...)
	}
	return append(out, "}\n"...), nil
}

// Complete copies the lines of a shard to out in the order of their rows, and gives the last one the record.
func Complete(out io.Writer, in *io.SectionReader, r Record) error {
	type place struct {
		row    int
		offset int64
		bytes  int
	}
	var places []place
	at := int64(0)
	for line, err := range lines(in) {
		if err != nil {
			return err
		}
		f, err := parse(line)
		if err != nil {
			return fmt.Errorf("line %d %w", len(places)+1, err)
		}
		places = append(places, place{*f.Row, at, len(line)})
		at += int64(len(line))
	}
	slices.SortStableFunc(places, func(x, y place) int { return cmp.Compare(x.row, y.row) })
	for i, p := range places {
		line := make([]byte, p.bytes)
		if _, err := in.ReadAt(line, p.offset); err != nil {
			return err
		}
		line, err := recorded(line, i == len(places)-1, r)
		if err != nil {
			return err
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// recorded returns a line with the record where it is the last one, and else without.
func recorded(line []byte, last bool, r Record) ([]byte, error) {
	f, err := parse(line)
	if err != nil {
		return nil, err
	}
	if f.Shard != nil { // of an earlier run
		row := *f.Row
		if line, err = plain(line); err != nil {
			return nil, err
		}
		line = fmt.Appendf(line[:len(line)-len("}\n")], ",\"row\":%d}\n", row)
	}
	if last {
		text, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		line = fmt.Appendf(line[:len(line)-len("}\n")], ",\"shard\":%s}\n", text)
	}
	return line, nil
}
