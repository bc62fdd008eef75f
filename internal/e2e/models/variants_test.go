package models

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/cpufeature"
	"pgc/runtime/program"
)

// TestSets compiles a checkpoint for several instruction sets into one file: each of those that this machine has gives
// transformers' results, the best is the one that runs, and one that is missing is an error. Products in f32 have no
// use for VNNI, BF16 and AMX, so that these sets are left out.
func TestSets(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "captioner")
	o := build.Options{CPU: "x86-64-v3,cascadelake,znver4,sapphirerapids,x86-64-v4", MaxTokens: 311}
	checkpoint := filepath.Join(golden.Dir(), "pg2-odd")
	r := e2e.Build(t, exe, checkpoint, e2e.Runtime(t), o)
	var info struct {
		CPU       string
		CodeBytes int `json:"code_bytes"`
		Sets      []struct {
			CPU, Lacks string
			Runs       bool
		}
	}
	if err := json.Unmarshal(e2e.MustRun(t, exe, "info", "--json"), &info); err != nil {
		t.Fatal(err)
	}
	if len(info.Sets) != len(r.Sets) || len(r.Sets) != 2 || info.CodeBytes != r.CodeBytes {
		t.Errorf("info says %+v, the compiler %+v", info, r)
	}
	ran := 0
	for i, s := range r.Sets {
		has := cpufeature.Check(s.Features) == nil
		if info.Sets[i].CPU != s.CPU || (info.Sets[i].Lacks == "") != has || info.Sets[i].Runs != (has && ran == 0) || info.Sets[i].Runs && info.CPU != s.CPU {
			t.Errorf("info says %+v of %+v", info.Sets[i], s)
		}
		if !has {
			if out, err := exec.Command(exe, "--isa", s.CPU, "x.png", "x").CombinedOutput(); err == nil ||
				!strings.Contains(string(out), "this CPU lacks") || strings.Contains(string(out), "its code for x86-64-v3 runs") != (cpufeature.Check(r.Sets[1].Features) == nil) {
				t.Errorf("%s: %s", s.CPU, out)
			}
			t.Logf("%s not run: %s", s.CPU, info.Sets[i].Lacks)
			continue
		}
		ran++
		for _, c := range golden.Cases() {
			if c.Checkpoint == checkpoint {
				t.Run(s.CPU+"/"+c.Name, func(t *testing.T) { e2e.CompareCase(t, exe, c.Path, "--isa", s.CPU) })
			}
		}
	}
	if out, err := exec.Command(exe, "--isa", "z80", "info").CombinedOutput(); err == nil || !strings.Contains(string(out), "expected x86-64-v4 or x86-64-v3") {
		t.Errorf("--isa z80: %v: %s", err, out)
	}
}

// TestNoSetFits runs an executable that asks for what no CPU has, and runs its code when told to assume so.
func TestNoSetFits(t *testing.T) {
	f, err := os.Open(e2e.Compiled(t, "pg1-odd"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := program.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, p := range m.Programs {
		p.Target.Features = append(p.Target.Features, "mill")
	}
	var sections []program.Section
	for _, s := range m.Sections {
		if s.Name != program.SectionRuntime && s.Name != program.SectionProgram && s.Name != program.SectionSums {
			b := slices.Clone(m.Section(s.Name))
			if s.Name == program.SectionCode {
				if b, err = m.Code(m.Program); err != nil {
					t.Fatal(err)
				}
			}
			sections = append(sections, program.Bytes(s.Name, b))
		}
	}
	exe := filepath.Join(t.TempDir(), "captioner")
	if err := program.Write(t.Context(), exe, e2e.Runtime(t), m.Programs, sections...); err != nil {
		t.Fatal(err)
	}
	picture := filepath.Join(golden.Dir(), "pictures", "noise.png")
	out, err := exec.Command(exe, picture, "caption en").CombinedOutput()
	want := "its code for x86-64-v3 does not run here: this CPU lacks mill: compile with --cpu for this machine"
	if err == nil || !strings.Contains(string(out), want) || strings.Count(string(out), "\n") != 1 {
		t.Errorf("got %q, expected %q", out, want)
	}
	// What --isa asks for cannot run whatever the picture is.
	if out, err := exec.Command(exe, "--isa", "x86-64-v3", "x.png", "caption en").CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
		t.Errorf("--isa: got %q, expected %q", out, want)
	}
	if out, err := exec.Command(exe, "info").CombinedOutput(); err != nil || !strings.Contains(string(out), "lacks mill") {
		t.Errorf("info: %v: %s", err, out)
	}
	assumed := []string{"--isa", "x86-64-v3", "--assume-isa"}
	got := e2e.MustRun(t, exe, append(assumed, picture, "caption en")...)
	if ordinary := e2e.MustRun(t, e2e.Compiled(t, "pg1-odd"), picture, "caption en"); !slices.Equal(got, ordinary) {
		t.Errorf("--assume-isa: got %q, expected %q", got, ordinary)
	}
	if out := string(e2e.MustRun(t, exe, append(assumed, "info")...)); !strings.Contains(out, "runs here") || strings.Contains(out, "lacks") {
		t.Errorf("info --assume-isa: %s", out)
	}
	cmd := exec.Command(exe, "--assume-isa", picture, "caption en")
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "--assume-isa is given without --isa") {
		t.Errorf("--assume-isa alone: %v: %s", err, out)
	}
}
