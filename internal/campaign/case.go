package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"unicode/utf8"
)

// Case is one run of a program under harm. Its JSON is a replay file. Names of files are relative to the case's folder,
// which is the program's working folder; the program may write into out.
type Case struct {
	Program string            `json:"program"` // a row of programs
	Via     string            `json:"via,omitempty"`
	Args    []text            `json:"args"`
	Files   []File            `json:"files,omitempty"`
	Stdin   string            `json:"stdin,omitempty"`  // a file, or one of the ways of streams.in; default: /dev/null
	Stdout  string            `json:"stdout,omitempty"` // one of the ways of streams.out; default: a pipe that is read
	Stderr  string            `json:"stderr,omitempty"` // as Stdout
	Env     []text            `json:"env,omitempty"`    // NAME=VALUE, or NAME to unset it
	Place   string            `json:"place,omitempty"`  // what out is: "" a folder, "full", "readonly"
	Gone    bool              `json:"gone,omitempty"`   // the working folder is removed
	User    bool              `json:"user,omitempty"`   // runs as nobody
	Limits  map[string]uint64 `json:"limits,omitempty"` // a row of limits: value
	Memory  uint64            `json:"memory,omitempty"` // bytes of a control group
	Signals []Signal          `json:"signals,omitempty"`
	Calls   []Call            `json:"calls,omitempty"` // system calls that fail
	Rate    float64           `json:"rate,omitempty"`  // share of the system calls that fail besides
	Seed    uint64            `json:"seed,omitempty"`  // which ones
}

// File is a file of a case.
type File struct {
	Name   text     `json:"name"`
	From   string   `json:"from,omitempty"` // a material
	Text   text     `json:"text,omitempty"` // the content where there is no material
	Kind   string   `json:"kind,omitempty"` // a row of kinds; default: a regular file or a folder, as the material is
	To     text     `json:"to,omitempty"`   // of a link
	Mode   uint32   `json:"mode,omitempty"`
	Damage []Damage `json:"damage,omitempty"`
}

// Damage is a change of a file's bytes.
type Damage struct {
	Op   string `json:"op"` // a row of damages
	Seed uint64 `json:"seed"`
}

// Signal is sent to the program.
type Signal struct {
	Name  string `json:"name"`
	After int    `json:"after_us"` // microseconds since the program or the signal before
}

// Call is a system call that fails: the Nth of its name since the program's start, from 1.
type Call struct {
	Name  string `json:"name"`
	Nth   int    `json:"nth"`
	Error string `json:"error"`
}

// text is a string of any bytes. In JSON one that is not UTF-8 is quoted as in Go.
type text string

// MarshalText implements encoding.TextMarshaler.
func (t text) MarshalText() ([]byte, error) {
	if utf8.ValidString(string(t)) && (t == "" || t[0] != '"') {
		return []byte(t), nil
	}
	return []byte(strconv.QuoteToASCII(string(t))), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *text) UnmarshalText(b []byte) error {
	if len(b) == 0 || b[0] != '"' {
		*t = text(b)
		return nil
	}
	s, err := strconv.Unquote(string(b))
	*t = text(s)
	return err
}

// readCase reads a replay file.
func readCase(path string) (*Case, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := new(Case)
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// fails reports whether system calls of the case are made to fail.
func (c *Case) fails() bool { return c.Rate > 0 || len(c.Calls) > 0 }

// clone returns a deep copy.
func (c *Case) clone() *Case {
	out := new(Case)
	data, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(data, out)
	}
	if err != nil {
		panic(err)
	}
	return out
}

// String returns the case on one line.
func (c *Case) String() string {
	data, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// unharmed returns the case without anything that may make it fail, or nil where its input is damaged, so that there is
// no answer to compare with.
func (c *Case) unharmed() *Case {
	u := &Case{Program: c.Program, Args: c.Args, Files: c.Files, Stdin: c.Stdin}
	for _, f := range c.Files {
		if len(f.Damage) > 0 || f.Kind != "" || f.Mode != 0 {
			return nil
		}
	}
	if ways[c.Stdin] {
		return nil
	}
	return u
}
