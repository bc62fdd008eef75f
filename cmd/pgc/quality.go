package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"pgc/cmd/internal/quality"
	"pgc/internal/build"
)

// measuring compares an executable with its checkpoint, for --calibrate and --report.
type measuring struct {
	reference *quality.Reference // nil if neither is asked for
	samples   []quality.Sample   // of the report; nil without one
}

// quality prepares a compilation: it reads the images and adds the results of calibration to the options.
func (c *compileCmd) quality(ctx context.Context, o *build.Options) (m measuring, err error) {
	if c.Pictures != "" && !c.Report {
		return m, usage{errors.New("--pictures is given without --report, expected both")}
	}
	if c.Calibrate == "" && !c.Report {
		return m, nil
	}
	if c.Calibrate != "" && !slices.ContainsFunc(c.storage().Types(), build.Fitted) {
		return m, usage{fmt.Errorf("--calibrate is given with --weights %s, expected int4, which it rounds", c.Weights)}
	}
	var calibration []quality.Sample
	if c.Calibrate != "" {
		if calibration, err = quality.Read(ctx, c.Calibrate); err != nil {
			return m, err
		}
	}
	if c.Report {
		switch {
		case c.Pictures != "":
			if m.samples, err = quality.Read(ctx, c.Pictures); err != nil {
				return m, err
			}
		case c.Calibrate != "":
			m.samples = calibration
		default:
			m.samples = quality.Drawn()
		}
	}
	if m.reference, err = quality.Open(ctx, c.Checkpoint, filepath.Dir(c.Output), *o, steps()); err != nil {
		return m, err
	}
	if c.Calibrate != "" {
		if o.Inputs, err = m.reference.Calibrate(ctx, calibration); err != nil {
			m.close()
			return m, err
		}
	}
	return m, nil
}

// report compares the executable with the checkpoint, if asked to.
func (m measuring) report(ctx context.Context, path string) (*quality.Report, error) {
	if m.samples == nil {
		return nil, nil
	}
	return m.reference.Report(ctx, path, m.samples)
}

func (m measuring) close() {
	if m.reference != nil {
		m.reference.Close()
	}
}
