package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// workshop is the folder of the programs and of the materials that cases are made of.
type workshop struct {
	dir       string
	root      string              // of the module
	programs  map[string]string   // paths by name
	materials map[string]string   // paths by name: KIND/NAME
	kinds     map[string][]string // names of the materials of a kind, sorted
	answers   map[string]*result  // of unharmed cases
	runtime   int                 // length of an executable's runtime
	groups    error               // why no control group can be made
	filters   error               // why no system calls can be made to fail
	ungroup   func()              // removes the control group
}

// checkpoints are the golden checkpoints that become programs.
var checkpoints = map[string]string{"answers": "pg2-mha", "embeds": "colpali-odd"}

// newWorkshop builds both programs from this module and compiles executables with them, and lays materials out.
func newWorkshop(ctx context.Context, dir, root string) (*workshop, error) {
	w := &workshop{dir: dir, root: root, programs: map[string]string{}, materials: map[string]string{}, kinds: map[string][]string{}, answers: map[string]*result{}}
	bin := filepath.Join(dir, "bin")
	for name, pkg := range map[string]string{"pgc": "pgc/cmd/pgc", "pgcrt-amd64": "pgc/cmd/pgcrt"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(bin, name), pkg)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go build %s: %w: %s", pkg, err, out)
		}
	}
	w.programs["pgc"] = filepath.Join(bin, "pgc")
	info, err := os.Stat(filepath.Join(bin, "pgcrt-amd64"))
	if err != nil {
		return nil, err
	}
	w.runtime = int(info.Size())
	for name, checkpoint := range checkpoints {
		w.programs[name] = filepath.Join(bin, name)
		cmd := exec.CommandContext(ctx, w.programs["pgc"], "compile", filepath.Join(root, "golden", checkpoint), "-o", w.programs[name], "--cpu", "x86-64-v3", "--max-tokens", "311")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("pgc compile: %w: %s", err, out)
		}
		w.add("executable/"+name, w.programs[name])
	}
	for _, m := range []struct{ kind, pattern string }{
		{"picture", "golden/pictures/*.png"}, {"picture", "runtime/imageio/testdata/*.*"},
		{"checkpoint", "golden/pg*"}, {"checkpoint", "golden/colpali-odd"}, {"config", "golden/*/config.json"},
		{"graph", "frontend/text/testdata/*.pgir"}, {"graph", "passes/testdata/*/*.pgir"},
		{"tensors", "golden/pg2-mha/*.safetensors"}, {"requests", "internal/campaign/testdata/requests/*.jsonl"},
		{"answers", "internal/campaign/testdata/answers/*.jsonl"}, {"text", "internal/campaign/testdata/text/*"},
	} {
		paths, err := filepath.Glob(filepath.Join(root, m.pattern))
		if err != nil || len(paths) == 0 {
			return nil, fmt.Errorf("no file of this module is called %s (%v)", m.pattern, err)
		}
		for _, path := range paths {
			if ext := filepath.Ext(path); ext == ".py" || ext == ".json" && m.kind == "picture" || strings.HasSuffix(path, ".md") {
				continue
			}
			name := filepath.Base(path)
			if m.kind == "config" || m.kind == "graph" {
				name = filepath.Base(filepath.Dir(path)) + "-" + name
			}
			w.add(m.kind+"/"+name, path)
		}
	}
	for _, names := range w.kinds {
		slices.Sort(names)
	}
	return w, nil
}

func (w *workshop) add(name, path string) {
	kind, _, _ := strings.Cut(name, "/")
	w.materials[name] = path
	w.kinds[kind] = append(w.kinds[kind], name)
}

// lay puts a file of a case into the folder dir.
func (w *workshop) lay(dir string, f *File) error {
	path := filepath.Join(dir, string(f.Name))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	if make, ok := kinds[f.Kind]; ok {
		return make(path, string(f.To))
	}
	if f.From == "" {
		return write(path, []byte(f.Text), f)
	}
	from, ok := w.materials[f.From]
	if !ok {
		return fmt.Errorf("no material is called %s", f.From)
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return w.copy(path, from, f)
	}
	// Damage of a folder hits one of its files, which its seed tells.
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), "reference") })
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	for i, e := range entries {
		one := &File{From: f.From}
		for _, d := range f.Damage {
			if d.Seed%uint64(len(entries)) == uint64(i) {
				one.Damage = append(one.Damage, d)
			}
		}
		if err := w.copy(filepath.Join(path, e.Name()), filepath.Join(from, e.Name()), one); err != nil {
			return err
		}
	}
	return nil
}

func (w *workshop) copy(path, from string, f *File) error {
	if len(f.Damage) == 0 && f.Mode == 0 && strings.HasPrefix(f.From, "executable/") {
		return os.Link(from, path)
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	sound := 0 // bytes that stay: what a damaged runtime does is nobody's promise
	if strings.HasPrefix(f.From, "executable/") {
		sound = w.runtime
	}
	for _, d := range f.Damage {
		data = slices.Concat(data[:sound], damages[d.Op](data[sound:], newRandom(d.Seed)))
	}
	return write(path, data, f)
}

func write(path string, data []byte, f *File) error {
	mode := fs.FileMode(0o644)
	if strings.HasPrefix(f.From, "executable/") {
		mode = 0o755
	}
	if f.Mode != 0 {
		mode = fs.FileMode(f.Mode)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}
