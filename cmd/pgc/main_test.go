package main

import (
	"slices"
	"testing"
)

func TestSeparate(t *testing.T) {
	got := separate([]string{"opt", "-d=check", "-p=cse,dce", "-d", "time", "--eval=x", "-o=y", "-x=1", "--", "-d=z"})
	want := []string{"opt", "-d", "check", "-p", "cse,dce", "-d", "time", "--eval=x", "-o", "y", "-x=1", "--", "-d=z"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
