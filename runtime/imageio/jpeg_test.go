package imageio

import (
	"bytes"
	"context"
	"os"
	"slices"
	"testing"
	"time"
)

// TestJPEGKinds alters a good file in one place and reads the error.
func TestJPEGKinds(t *testing.T) {
	good, err := os.ReadFile("testdata/q90-420.jpg")
	if err != nil {
		t.Fatal(err)
	}
	sof, sos, dht := bytes.Index(good, []byte("\xff\xc0")), bytes.Index(good, []byte("\xff\xda")), bytes.Index(good, []byte("\xff\xc4"))
	with := func(at int, b ...byte) []byte {
		data := bytes.Clone(good)
		copy(data[at:], b)
		return data
	}
	cut := func(from, to int, more ...byte) []byte {
		return append(append(bytes.Clone(good[:from]), more...), good[to:]...)
	}
	for name, c := range map[string]struct {
		data  []byte
		words string
	}{
		"arithmetic":         {with(sof+1, 0xc9), "arithmetic coding"},
		"arithmetic, progr.": {with(sof+1, 0xca), "arithmetic coding"},
		"lossless":           {with(sof+1, 0xc3), "SOF3"},
		"12 bits":            {with(sof+4, 12), "precision of 12 bits"},
		"two components":     {cut(sof+2, sof+19, 0, 14, 8, 0, 9, 0, 9, 2, 1, 0x11, 0, 2, 0x11, 0), "number of components 2"},
		"factor 0":           {with(sof+11, 0x02), "sampling factor"},
		"factors 3 and 2":    {with(sof+11, 0x31, 0, 2, 0x21), "whole ratios"},
		"no height":          {with(sof+5, 0, 0), "at least one pixel"},
		"table 7":            {with(sof+12, 7), "table out of range"},
		"table 3":            {with(sof+12, 3), "quantization table is missing"},
		"two frames":         {cut(sof, sof, good[sof:sof+19]...), "two frame headers"},
		"no Huffman table":   {with(sos+6, 0x33), "Huffman table is missing"},
		"too many codes":     {with(dht+5, 9), "Huffman table"},
		"unknown component":  {with(sos+5, 9), "bad component 9"},
		"component twice":    {with(sos+5, 1, 0, 1, 0), "component 1 twice"},
		"no frame":           {cut(sof, sof+19), "frame header is missing"},
		"one scan of three":  {cut(sos+2, sos+14, 0, 8, 1, 1, 0, 0, 63, 0), ""},
		"short":              {append(bytes.Clone(good[:sos+60]), 0xff, 0xd9), "ends early"},
		"a marker within":    {with(sos+60, 0xff, 0xc4), ""},
	} {
		_, err := Decode(context.Background(), "x", c.data, DefaultLimits)
		sentence(t, "x", err, c.words)
		t.Logf("%-18s %v", name, err)
	}
	if p, err := Decode(context.Background(), "x", cut(dht, sos), DefaultLimits); err != nil || !bytes.Equal(p.Pix, golden(t, "testdata/q90-420.jpg").Pix) {
		t.Errorf("a file without Huffman tables, as of Motion JPEG, gave %v", err)
	}
	if p, err := Decode(context.Background(), "x", cut(sos, sos, 1, 2, 3, 0xff, 0x00, 0xff, 0xff), DefaultLimits); err != nil || !bytes.Equal(p.Pix, golden(t, "testdata/q90-420.jpg").Pix) {
		t.Errorf("garbage between segments gave %v", err)
	}
}

// TestJPEGScans repeats the first scan of a progressive file until it is too much.
func TestJPEGScans(t *testing.T) {
	data, err := os.ReadFile("testdata/q90-444-progressive.jpg")
	if err != nil {
		t.Fatal(err)
	}
	from := bytes.Index(data, []byte("\xff\xda"))
	to := from + 2 + bytes.Index(data[from+2:], []byte("\xff\xc4"))
	const maxScans = 100 // of package jpeg
	for _, times := range []int{2, maxScans} {
		_, err = Decode(context.Background(), "x", slices.Concat(data[:to], bytes.Repeat(data[from:to], times), data[to:]), DefaultLimits)
		t.Log(err)
		if times == maxScans {
			sentence(t, "x", err, "more than 100 scans")
		} else if err != nil {
			t.Error(err)
		}
	}
}

// TestJPEGBlocks repeats the scan of a large file, each scan of which takes a few bytes: what the scans code in all is
// bounded, and so is the time.
func TestJPEGBlocks(t *testing.T) {
	data := bigJPEG(8000, 4000, true) // two million blocks, in four components
	from := bytes.Index(data, []byte("\xff\xda"))
	scan := data[from : len(data)-2]
	start := time.Now()
	_, err := Decode(context.Background(), "x", slices.Concat(data[:from], bytes.Repeat(scan, 50), []byte("\xff\xd9")), DefaultLimits)
	sentence(t, "x", err, "its scans code over 67500000 blocks of coefficients, expected at most that")
	t.Logf("%v after %v", err, time.Since(start))
}
