package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/internal/e2e"
)

func TestMain(m *testing.M) { os.Exit(e2e.Main(m)) }

// TestSoak is short, so that noise is allowed.
func TestSoak(t *testing.T) {
	picture, err := filepath.Abs(filepath.Join(golden.Dir(), "pictures", "noise.png"))
	if err != nil {
		t.Fatal(err)
	}
	s := soak{file: e2e.Compiled(t, "pg2-mha"), picture: picture}
	debug.SetGCPercent(100) // collects as often as programs do, from now on, and nothing of the compilation is left
	debug.FreeOSMemory()
	for name, part := range map[string]func() (*series, error){
		"answers":   func() (*series, error) { return s.answers(t.Context(), 2000) },
		"opens":     func() (*series, error) { return s.opens(t.Context(), 100) },
		"processes": func() (*series, error) { return s.processes(t.Context(), 50) },
	} {
		got, err := part()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		t.Logf("%s: %s", name, got)
		if err := got.check(0.1, 4); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCheck finds what grows.
func TestCheck(t *testing.T) {
	flat := func() *series {
		s := &series{}
		for i := range 100 {
			s.list = append(s.list, sample{memory: 1000 + int64(i%7), files: 9, threads: 5, mapped: 70})
		}
		return s
	}
	if err := flat().check(0.01, 0); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(s *series){
		"memory grew": func(s *series) {
			for i := range s.list {
				s.list[i].memory += int64(i)
			}
		},
		"open files":     func(s *series) { s.list[99].files++ },
		"threads":        func(s *series) { s.list[99].threads++ },
		"mappings":       func(s *series) { s.list[99].mapped++ },
		"files are left": func(s *series) { s.left = "files are left" },
	} {
		s := flat()
		change(s)
		if err := s.check(0.01, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %s", err, want)
		}
	}
}
