// Package shard divides the requests of a batch among processes, and joins their answers.
//
// A request belongs to the shard that the hash of its id names, so processes that read the same input need not know of
// each other. Every line of a shard has the row of its request in the whole input, and the last line a Record. So
// whoever joins shards sees what is missing, double, or of another input, and has the order of the input.
package shard

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Part is one of several shards. The zero Part is the whole.
type Part struct {
	Index int // from 0
	Of    int
}

// most bounds the number of shards: five digits are in the names of files.
const most = 99999

// Parse reads I/N, or auto, or auto/N: then I, and without N that, too, come from the variables that Slurm sets for the
// tasks of an array, or I from the one that Kubernetes sets for the pods of an Indexed Job. lookup is os.LookupEnv.
func Parse(text string, lookup func(string) (string, bool)) (Part, error) {
	index, of, both := strings.Cut(text, "/")
	if index == "auto" {
		return fromEnvironment(of, both, lookup)
	}
	if !both {
		return Part{}, fmt.Errorf("%.40q is no shard, expected I/N with I from 0, such as 3/16, or auto, or auto/N", text)
	}
	return part(index, of)
}

// part reads the two numbers of a shard.
func part(index, of string) (p Part, err error) {
	if p.Of, err = strconv.Atoi(of); err != nil || p.Of < 1 || p.Of > most {
		return Part{}, fmt.Errorf("%.20q is no number of shards, expected 1 to %d", of, most)
	}
	if p.Index, err = strconv.Atoi(index); err != nil || p.Index < 0 || p.Index >= p.Of {
		return Part{}, fmt.Errorf("%.20q is none of %d shards, expected 0 to %d", index, p.Of, p.Of-1)
	}
	return p, nil
}

// fromEnvironment finds the shard of a task of a Slurm array or of a pod of an Indexed Job.
func fromEnvironment(of string, given bool, lookup func(string) (string, bool)) (Part, error) {
	if task, slurm := lookup("SLURM_ARRAY_TASK_ID"); slurm {
		index, err := slurmIndex(task, lookup)
		if err != nil {
			return Part{}, err
		}
		if !given {
			if of, given = lookup("SLURM_ARRAY_TASK_COUNT"); !given {
				return Part{}, errors.New("SLURM_ARRAY_TASK_COUNT is not set, expected auto/N")
			}
		}
		p, err := part(strconv.Itoa(index), of)
		if err != nil {
			return Part{}, fmt.Errorf("task %s of this Slurm array: %w: write I/N where the array has gaps, or has only tasks to do again", task, err)
		}
		return p, nil
	}
	index, kubernetes := lookup("JOB_COMPLETION_INDEX")
	switch {
	case !kubernetes:
		return Part{}, errors.New("auto takes the shard from SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX, and neither is set, expected I/N")
	case !given:
		return Part{}, errors.New("the number of shards is missing, since Kubernetes does not tell it: expected auto/N with N the Job's completions")
	}
	return part(index, of)
}

// slurmIndex returns the place of a task in a Slurm array.
func slurmIndex(task string, lookup func(string) (string, bool)) (int, error) {
	value := func(name string, def int) (int, error) {
		text, set := lookup(name)
		if !set {
			return def, nil
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return 0, fmt.Errorf("%s is %.20q, expected a number", name, text)
		}
		return n, nil
	}
	id, err := value("SLURM_ARRAY_TASK_ID", 0)
	if err != nil {
		return 0, err
	}
	first, err := value("SLURM_ARRAY_TASK_MIN", 0)
	if err != nil {
		return 0, err
	}
	step, err := value("SLURM_ARRAY_TASK_STEP", 1)
	if err != nil {
		return 0, err
	}
	if step < 1 || id < first || (id-first)%step != 0 {
		return 0, fmt.Errorf("task %s is none of the Slurm array that begins at %d in steps of %d, expected I/N", task, first, step)
	}
	return (id - first) / step, nil
}

// Whole reports whether p is all there is.
func (p Part) Whole() bool { return p.Of == 0 }

// String is I/N.
func (p Part) String() string { return fmt.Sprintf("%d/%d", p.Index, p.Of) }

// Has reports whether a request belongs to the shard, by its id, a JSON string or number: the first eight bytes of the
// SHA-256 of the string, or of the number as it is written, as a big-endian integer, modulo N.
func (p Part) Has(id []byte) bool {
	if p.Whole() {
		return true
	}
	var text string
	if json.Unmarshal(id, &text) != nil {
		text = string(id)
	}
	sum := sha256.Sum256([]byte(text))
	return binary.BigEndian.Uint64(sum[:])%uint64(p.Of) == uint64(p.Index)
}

// Name returns the file of the shard of a result called out: OUT-00003-of-00016.jsonl of OUT.jsonl.
func (p Part) Name(out string) string {
	if p.Whole() || out == "-" {
		return out
	}
	ending := filepath.Ext(out)
	stem := strings.TrimSuffix(out, ending)
	if ending == "" || stem == "" || strings.HasSuffix(stem, "/") {
		stem, ending = out, ".jsonl"
	}
	return fmt.Sprintf("%s-%05d-of-%05d%s", stem, p.Index, p.Of, ending)
}

// Record says in the last line of a shard what it is a shard of.
type Record struct {
	Index int    `json:"index"`
	Of    int    `json:"of"`
	Rows  int    `json:"rows"`  // requests of the whole input
	Input string `json:"input"` // hash of their ids
}

// Line is what lines of shards have beside an answer. Lines of other outputs have neither.
type Line struct {
	Row   *int    `json:"row,omitempty"`   // of the request in the whole input, from 0
	Shard *Record `json:"shard,omitempty"` // of the last line
}
