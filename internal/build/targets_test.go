package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc"
	"pgc/codegen/backend"
	"pgc/golden"
	"pgc/ir"
	"pgc/ir/target"
	"pgc/models"
	"pgc/runtime/entry"
	"pgc/runtime/manifest"
	"pgc/runtime/program"
)

// TestTargets compiles a float32 checkpoint for both kinds of machines: the graph for GPUs keeps keys and values in
// bfloat16, that for CPUs is as ever, and both can be lowered again from the file.
func TestTargets(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "exe")
	r, err := Compile(t.Context(), filepath.Join(golden.Dir(), "pg1-odd"), exe, []byte("\x7fELF"), Options{Target: "cpu,cuda", CPU: "x86-64-v3", MaxTokens: 311})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "f32") {
		t.Errorf("notes %q, expected one about float32", r.Notes)
	}
	image, err := program.OpenFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	if len(image.Programs) != 2 {
		t.Fatalf("programs for %v, expected two", image.Variants())
	}
	want := []struct {
		kind     program.TargetKind
		kv       string
		products bool
	}{{program.CPU, "f32", false}, {program.PTX, "bf16", false}}
	for i, p := range image.Programs {
		m, err := manifest.Decode(p.Model)
		if err != nil {
			t.Fatal(err)
		}
		if w := want[i]; p.Target.Kind != w.kind || m.KV != w.kv || m.BF16Products != w.products || m.Weights != "bf16" {
			t.Errorf("%v: KV in %s, weights in %s, products of bfloat16 %v, expected %+v", p.Target.Kind, m.KV, m.Weights, m.BF16Products, w)
		}
		image.Program = p
		if _, again, err := Relower(exe, image); err != nil {
			t.Errorf("%v: %v", p.Target.Kind, err)
		} else if !slices.EqualFunc(again.Program.Loads, p.Loads, func(a, b program.Load) bool { return a.Offset == b.Offset && a.To == b.To }) {
			t.Errorf("%v: other loads when lowered again", p.Target.Kind)
		}
	}
	// Weights are stored once: beside code and descriptions, the file is as large as one for CPUs alone.
	sizes := map[string]int64{"cpu,cuda": fileSize(t, exe)}
	for _, target := range []string{"cpu", "cuda"} {
		other := exe + "-" + target
		if _, err := Compile(t.Context(), filepath.Join(golden.Dir(), "pg1-odd"), other, []byte("\x7fELF"), Options{Target: target, CPU: "x86-64-v3", MaxTokens: 311,
			Storage: Storage{Weights: "bf16"}}); err != nil {
			t.Fatal(err)
		}
		sizes[target] = fileSize(t, other)
	}
	// Sections begin at multiples of 64 KiB.
	if most := sizes["cpu"] + sizes["cuda"] - image.Program.WeightBytes + 4<<16; sizes["cpu,cuda"] > most || image.Program.WeightBytes < 4<<16 {
		t.Errorf("sizes %v, expected %d at most for both, with %d of weights", sizes, most, image.Program.WeightBytes)
	}
	e, err := pgc.OpenExecutable(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if g := e.Info().GPU; g == nil || g.TotalBytes <= image.Programs[1].DeviceBytes || g.BatchBytes <= g.TotalBytes || g.Device != "" {
		t.Errorf("what a GPU needs is %+v, expected more than %d of weights", g, image.Programs[1].DeviceBytes)
	}
	if n := 2 * image.Programs[1].SlotBytes(); n != image.Programs[0].SlotBytes() {
		t.Errorf("caches of %d and %d bytes, expected half as many on a GPU", image.Programs[0].SlotBytes(), n/2)
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestExactOnGPU: among integers the patch convolution and the position table keep a checkpoint's values in a file for GPUs,
// unless the options say otherwise; other matrices of floats become bfloat16.
func TestExactOnGPU(t *testing.T) {
	const convolution, table, other = "vision_tower.embeddings.patch_embedding.weight", "vision_tower.embeddings.position_embedding.weight",
		"vision_tower.encoder.layers.0.mlp.fc1.weight"
	for _, c := range []struct {
		checkpoint, weights, keep string
		table, other              ir.DType
		halves                    bool
	}{
		{"pg1-odd", "int8", "", ir.F32, ir.I8G128, true},
		{"pg1-odd", "auto", "", ir.BF16, ir.BF16, false},
		{"pg1-odd", "bf16", "", ir.BF16, ir.BF16, false},
		{"pg1-odd", "int8", convolution + "=bf16", ir.F32, ir.I8G128, false},
		{"pg2-mha", "int4", "", ir.F16, ir.I8G128, true},
		{"pg1-bf16", "int8", "", ir.BF16, ir.I8G128, false},
	} {
		o := Options{Target: "cuda", Storage: Storage{Weights: c.weights}}
		if c.keep != "" {
			o.Keep = []string{c.keep}
		}
		checkpoint, err := o.Open(filepath.Join(golden.Dir(), c.checkpoint))
		if err != nil {
			t.Fatal(err)
		}
		r, err := o.first().resolve(checkpoint.Model, checkpoint)
		if err != nil {
			t.Fatal(err)
		}
		if r.dtype(convolution) != ir.BF16 || r.dtype(models.Rest(convolution)) != ir.BF16 || r.dtype(table) != c.table || r.dtype(other) != c.other {
			t.Errorf("%s as %s: %v, %v and %v, expected bf16, %v and %v", c.checkpoint, c.weights, r.dtype(convolution), r.dtype(table), r.dtype(other), c.table, c.other)
		}
		if got := r.halves(convolution); got != c.halves {
			t.Errorf("%s as %s: the convolution is two matrices: %v", c.checkpoint, c.weights, got)
		}
	}
}

// TestKinds: every kind of machine that --target names has a row, and all backends of a kind ask the same of the passes.
func TestKinds(t *testing.T) {
	named := map[program.TargetKind]bool{}
	for _, list := range targetKinds {
		for _, kind := range list {
			named[kind] = true
		}
	}
	for kind := range named {
		k, ok := kinds[kind]
		if !ok {
			t.Fatalf("kind %v has no row", kind)
		}
		all, err := k.backends(Options{CPU: target.Default}, true, true)
		if err != nil || len(all) == 0 {
			t.Fatalf("kind %v: %d backends, %v", kind, len(all), err)
		}
		for _, b := range all {
			if one := k.one(); !slices.Equal(b.Without, one.Without) || !slices.Equal(b.With, one.With) || b.Target.Kind != kind || one.Target.Kind != kind {
				t.Errorf("kind %v: %s of kind %v asks for passes %q and not %q, %s of kind %v for %q and not %q", kind, b.Target.CPU, b.Target.Kind, b.With, b.Without,
					one.Target.CPU, one.Target.Kind, one.With, one.Without)
			}
		}
	}
	if len(kinds) != len(named) {
		t.Errorf("%d rows of kinds, of which %d can be asked for", len(kinds), len(named))
	}
}

// TestPassesOfKind: passes that a kind of machine has no kernels for are left out, whatever the kind.
func TestPassesOfKind(t *testing.T) {
	row := kinds[program.CPU]
	defer func() { kinds[program.CPU] = row }()
	lacking := row
	lacking.one = func() *backend.Backend {
		b := *row.one()
		b.Without = []string{"fuse-argmax"}
		return &b
	}
	kinds[program.CPU] = lacking
	o := Options{CPU: "x86-64-v3"}.first()
	m, err := Plain(filepath.Join(golden.Dir(), "pg1-odd"), 0, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.optimize(m.Module); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, op := range m.Module.Func(entry.Step).Ops {
		found = found || op.Def == ir.OpArgmax
		if op.Def == ir.OpMatmul && op.Attrs.(ir.MatmulAttrs).Argmax {
			t.Errorf("a product is an argmax: %s", op)
		}
	}
	if !found {
		t.Error("no argmax of its own")
	}
}
