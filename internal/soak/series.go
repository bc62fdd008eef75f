package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// sample is what a process holds.
type sample struct {
	memory                 int64 // resident bytes
	files, threads, mapped int   // open files, threads, mappings
}

// series are samples over time.
type series struct {
	list []sample
	left string // what is left at the end
}

// here takes a sample of this process.
func here() (s sample, err error) {
	var size, pages int64
	statm, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		_, err = fmt.Sscan(string(statm), &size, &pages)
	}
	maps, err2 := os.ReadFile("/proc/self/maps")
	files, err3 := os.ReadDir("/proc/self/fd")
	threads, err4 := os.ReadDir("/proc/self/task")
	return sample{pages * int64(os.Getpagesize()), len(files), len(threads), bytes.Count(maps, []byte("\n"))}, errors.Join(err, err2, err3, err4)
}

// tenths returns the mean memory of each tenth of the time behind the first fifth.
func (s *series) tenths() []float64 {
	var means []float64
	for t := 2; t < 10; t++ {
		part, sum := s.list[t*len(s.list)/10:(t+1)*len(s.list)/10], 0.0
		for _, p := range part {
			sum += float64(p.memory)
		}
		means = append(means, sum/float64(len(part)))
	}
	return means
}

// growth is the share by which the mean of the last four tenths is over that of the four before: Go's collector makes
// single samples go up and down.
func (s *series) growth() float64 {
	var half [2]float64
	for i, m := range s.tenths() {
		half[i/4] += m
	}
	return half[1]/half[0] - 1
}

// String tells the memory of the tenths and what else there is at 20 % and at the end.
func (s *series) String() string {
	text := "resident MiB by tenth from 20 % on"
	for _, m := range s.tenths() {
		text += fmt.Sprintf(" %.2f", m/(1<<20))
	}
	a, b := s.list[len(s.list)/5], s.list[len(s.list)-1]
	return text + fmt.Sprintf(" (%+.2f %%); open files %d, %d at the end, threads %d, %d, mappings %d, %d", 100*s.growth(), a.files, b.files, a.threads, b.threads, a.mapped, b.mapped)
}

// check says what has grown: memory by more than a share, open files, threads by more than so many that Go may have
// started late, each with a few mappings.
func (s *series) check(share float64, late int) error {
	a, b := s.list[len(s.list)/5], s.list[len(s.list)-1]
	switch {
	case s.left != "":
		return errors.New(s.left)
	case s.growth() > share:
		return fmt.Errorf("memory grew by %.2f %%, expected at most %g %%", 100*s.growth(), 100*share)
	case b.files > a.files || b.threads > a.threads+late || b.mapped > a.mapped+4*late:
		return fmt.Errorf("open files, threads and mappings went from %d, %d, %d to %d, %d, %d, expected no more", a.files, a.threads, a.mapped, b.files, b.threads, b.mapped)
	}
	return nil
}
