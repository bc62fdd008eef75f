package gpu

import (
	"path/filepath"
	"strings"
	"testing"

	"pgc"
	"pgc/codegen/ptx/emu"
	"pgc/codegen/ptx/emulated"
	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/gpu"
)

// failing is a driver whose device is lost after so many waits.
type failing struct {
	gpu.Driver
	waits int
}

func (f failing) Open(ordinal int) (gpu.Device, error) {
	d, err := f.Driver.Open(ordinal)
	return &failingDevice{d, f.waits}, err
}

type failingDevice struct {
	gpu.Device
	waits int
}

func (d *failingDevice) wait() error {
	if d.waits--; d.waits < 0 {
		return &gpu.Error{Call: "cuEventSynchronize", Code: 719, Text: "unspecified launch failure"}
	}
	return nil
}

func (d *failingDevice) EventSynchronize(e gpu.Event) error {
	if err := d.wait(); err != nil {
		return err
	}
	return d.Device.EventSynchronize(e)
}

func (d *failingDevice) StreamSynchronize(s gpu.Stream) error {
	if err := d.wait(); err != nil {
		return err
	}
	return d.Device.StreamSynchronize(s)
}

// TestGPUErrors: a GPU with too little memory is refused before any work, with the numbers; one that is lost while it
// loads, encodes, or decodes is one sentence, then and for every later request, whatever it was doing.
func TestGPUErrors(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "model")
	e2e.Build(t, exe, filepath.Join(golden.Dir(), "pg1-odd"), []byte("\x7fELF"), build.Options{Target: "cuda", MaxTokens: 311})
	device, err := pgc.ParseDevice("cuda")
	if err != nil {
		t.Fatal(err)
	}
	open := func(d gpu.Driver) (*pgc.Model, error) {
		return pgc.Open(exe, pgc.WithDevice(device, gpu.Of(d)), pgc.WithoutVerification())
	}
	ran := 0
	small := &emulated.Driver{Memory: 1 << 20, Launched: func(string, int64, emu.Stats) { ran++ }}
	if _, err := open(small); err == nil || !strings.Contains(err.Error(), "the model needs 1.7 MiB on an emulated GPU, which has 1.0 MiB free of 1.0 MiB") || ran > 0 {
		t.Errorf("%v", err)
	}
	request := pgc.Request{Images: []pgc.Image{pgc.File(golden.Picture("noise.png"))}, Prompt: "caption en", Settings: pgc.Settings{IgnoreEOS: true, MaxNewTokens: new(8)}}
	says := func(err error) bool {
		return err != nil && !strings.Contains(err.Error(), "\n") && strings.Contains(err.Error(), "was lost or a kernel failed on it: start again; dmesg may tell more")
	}
	loading, answering, driver := 0, 0, &emulated.Driver{}
	for waits := 0; ; waits += 3 {
		m, err := open(failing{driver, waits})
		if err != nil {
			if loading++; !says(err) {
				t.Errorf("lost while it loads: %v", err)
			}
			continue
		}
		_, err = m.Generate(t.Context(), request)
		if err == nil {
			m.Close()
			break
		}
		answering++
		_, again := m.Generate(t.Context(), request)
		if !says(err) || !says(again) {
			t.Errorf("lost while it answers: %v, then %v", err, again)
		}
		if err := m.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	}
	if loading == 0 || answering < 3 {
		t.Errorf("lost %d times while it loads and %d times while it answers", loading, answering)
	}
}
