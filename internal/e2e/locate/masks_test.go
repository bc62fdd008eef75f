package locate

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgc"
	"pgc/golden"
	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/safetensors"
)

// TestMasks decodes masks on the processor and on an emulated GPU as torch does.
func TestMasks(t *testing.T) {
	dir := t.TempDir()
	exe := filepath.Join(dir, "both")
	o := build.Options{Target: "cpu,cuda", CPU: "x86-64-v3", MaxTokens: 311, Masks: golden.MasksFile(), GPURuntime: []byte("\x7fELF")}
	e2e.Build(t, exe, filepath.Join(golden.Dir(), "pg1-bf16"), e2e.Runtime(t), o)
	cpu, err := pgc.Open(exe, pgc.WithoutVerification())
	if err != nil {
		t.Fatal(err)
	}
	defer cpu.Close()
	if i := cpu.Info(); i.Masks == nil || *i.Masks != (pgc.Masks{Codes: 100, Side: 64}) {
		t.Errorf("info says %+v, expected 100 codes and a side of 64", i.Masks)
	}
	for name, m := range map[string]*pgc.Model{"cpu": cpu, "cuda": e2e.OnGPU(t, exe)} {
		t.Run(name, func(t *testing.T) { compareMasks(t, m) })
	}
	if out := string(e2e.MustRun(t, exe, "info")); !strings.Contains(out, "masks        of 100 codes, 64 × 64") || !strings.Contains(out, "mask decoder") {
		t.Errorf("info does not tell of the masks:\n%s", out)
	}
}

func compareMasks(t *testing.T, m *pgc.Model) {
	ref, err := safetensors.Open(filepath.Join(golden.Masks(), "reference.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer ref.Close()
	tensor, _ := ref.Tensor("codes")
	codes, err := tensor.Int32s()
	if err != nil {
		t.Fatal(err)
	}
	tensor, _ = ref.Tensor("masks")
	want, err := tensor.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(codes) / 16 {
		var seg []int
		for _, c := range codes[16*i:][:16] {
			seg = append(seg, int(c))
		}
		got, side, err := m.DecodeMask(t.Context(), seg)
		if err != nil {
			t.Fatal(err)
		}
		worst := 0.0
		for j, v := range got {
			worst = max(worst, math.Abs(float64(v-want[i*side*side+j])))
		}
		if side != 64 || !(worst <= 1e-5) {
			t.Errorf("mask %d of side %d is off by %g, expected 1e-5 at most", i, side, worst)
		}
	}
	for _, bad := range [][]int{nil, make([]int, 15), append(make([]int, 15), 100), append(make([]int, 15), -1)} {
		if _, _, err := m.DecodeMask(t.Context(), bad); err == nil {
			t.Errorf("codes %v are decoded", bad)
		}
	}
	for _, c := range []struct{ w, h, scale int }{{40, 30, 0}, {40, 30, -1024}, {0, 30, pgc.BinsScale}, {40, -1, pgc.BinsScale}, {1 << 30, 1 << 30, pgc.BinsScale}, {1 << 40, 1 << 40, pgc.BinsScale}, {1 << 32, 1, pgc.BinsScale}} {
		if _, err := m.Mask(t.Context(), pgc.Box{Loc: [4]int{100, 200, 500, 900}, Seg: make([]int, 16)}, c.w, c.h, c.scale); err == nil {
			t.Errorf("a mask of %d × %d pixels by %d", c.w, c.h, c.scale)
		}
	}
	none, most := 0.0, 2
	d, err := m.Detect(t.Context(), pgc.DetectRequest{Image: pgc.File(golden.Picture("noise.png")), Classes: []string{"cat"}, Segment: true,
		DetectSettings: pgc.DetectSettings{MinScore: &none, MaxBoxes: &most}})
	if err != nil || len(d.Malformed) > 0 || !slices.ContainsFunc(d.Objects, func(o pgc.Object) bool { return o.Mask != nil }) {
		t.Errorf("objects of a codebook of 100 codes: %+v, %v", d, err)
	}
	mask, err := m.Mask(t.Context(), pgc.Box{Loc: [4]int{100, 200, 500, 900}, Seg: make([]int, 16)}, 40, 30, pgc.BinsScale)
	if err != nil || mask.Rect != image.Rect(8, 3, 35, 15) {
		t.Errorf("mask %v, %v", mask, err)
	}
}

// TestWithoutMasks says that there is no decoder, and finds one beside the checkpoint.
func TestWithoutMasks(t *testing.T) {
	m, err := pgc.Open(e2e.Compiled(t, "pg1-odd"), pgc.WithoutVerification())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, _, err := m.DecodeMask(t.Context(), make([]int, 16)); !errors.Is(err, pgc.ErrNoMasks) {
		t.Errorf("%v, expected ErrNoMasks", err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(golden.Dir(), "pg1-odd"))); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(golden.MasksFile())
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "vae-oid.npz"), data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := build.Options{}.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Masks == nil || c.Masks.Entries != 100 {
		t.Errorf("the decoder beside the checkpoint is %+v, expected 100 codes", c.Masks)
	}
}

// TestBadMasks expects one sentence that names the file and the tensor.
func TestBadMasks(t *testing.T) {
	dir := t.TempDir()
	// The shapes of the tensors of a file, a line each; the last of a name counts.
	const good = `_vq_vae._embedding 128 6; decoder.0.weight 5 6 1 1; decoder.0.bias 5;
		decoder.2.net.0.weight 4 5 3 3; decoder.2.net.0.bias 4; decoder.2.net.2.weight 3 4 3 3; decoder.2.net.2.bias 3; decoder.2.net.4.weight 5 3 1 1; decoder.2.net.4.bias 5;
		decoder.3.net.0.weight 4 5 3 3; decoder.3.net.0.bias 4; decoder.3.net.2.weight 3 4 3 3; decoder.3.net.2.bias 3; decoder.3.net.4.weight 5 3 1 1; decoder.3.net.4.bias 5;
		decoder.4.weight 5 5 4 4; decoder.4.bias 5; decoder.6.weight 5 4 4 4; decoder.6.bias 4; decoder.8.weight 4 3 4 4; decoder.8.bias 3;
		decoder.10.weight 3 2 4 4; decoder.10.bias 2; decoder.12.weight 1 2 1 1; decoder.12.bias 1`
	for change, want := range map[string]string{
		"decoder.6.weight":                  "tensor decoder.6.weight is missing, expected shape [5 N 4 4]",
		"decoder.6.weight 4 5 4 4":          "tensor decoder.6.weight has shape [4 5 4 4], expected [5 N 4 4]",
		"decoder.6.bias 5":                  "tensor decoder.6.bias has shape [5], expected [4]",
		"decoder.2.net.4.weight 6 3 1 1":    "tensor decoder.2.net.4.weight has shape [6 3 1 1], expected [5 3 1 1]",
		"decoder.12.weight 2 2 1 1":         "tensor decoder.12.weight has shape [2 2 1 1], expected [1 2 1 1]",
		"decoder.0.weight 5 6 3 3":          "tensor decoder.0.weight has shape [5 6 3 3], expected [N 6 1 1]",
		"decoder.0.weight 5 6":              "tensor decoder.0.weight has shape [5 6], expected [N 6 1 1]",
		"_vq_vae._embedding 0 6":            "tensor _vq_vae._embedding has shape [0 6], expected [N N]",
		"_vq_vae._embedding 129 6":          "tensor _vq_vae._embedding has shape [129 6], a row for each of 129 codes, but the model has 128 tokens <seg000>, <seg001>, …: expected at most as many rows",
		"decoder.8.bias of integers 3":      "tensor decoder.8.bias is I32, expected floats",
		"decoder.10.weight 3 5000 4 4":      "tensor decoder.10.weight has shape [3 5000 4 4], expected [3 N 4 4]",
		"decoder.4.bias of strings 5":       "its array decoder.4.bias holds elements of type <U1, expected floats, integers or booleans",
		"decoder.4.bias of big 5":           "its array decoder.4.bias holds big-endian numbers (>f4), expected little-endian",
		"decoder.4.bias of NaNs 5":          "tensor masks.decoder.4.bias has a value that is infinite or NaN in row 0, expected finite values: the training that wrote it diverged, or the file is damaged",
		"_vq_vae._embedding of objects 4 4": "its array _vq_vae._embedding holds pickled objects, which are programs: refused, expected numbers",
	} {
		file := filepath.Join(dir, "masks.npz")
		if err := os.WriteFile(file, archive(t, good+";"+change), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := build.Compile(t.Context(), filepath.Join(golden.Dir(), "pg1-odd"), filepath.Join(dir, "exe"), nil, build.Options{CPU: "x86-64-v3", MaxTokens: 311, Masks: file})
		if err == nil || !strings.HasSuffix(err.Error(), file+": "+want) {
			t.Errorf("%s: %v, expected %s", change, err, want)
		}
	}
	file := filepath.Join(dir, "good.npz")
	if err := os.WriteFile(file, archive(t, good+"; names of strings 3; decoder.4.mean of objects 2; step of big 1; encoder.0.weight of objects 16 1 4 4"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := (build.Options{Masks: file}).Open(filepath.Join(golden.Dir(), "pg1-odd")); err != nil {
		t.Errorf("a good file: %v", err)
	} else {
		c.Close()
	}
	if _, err := (build.Options{Masks: filepath.Join(dir, "none.npz")}).Open(filepath.Join(golden.Dir(), "pg1-odd")); err == nil || !strings.Contains(err.Error(), "none.npz") {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := (build.Options{Masks: golden.MasksFile()}).Open(filepath.Join(golden.Dir(), "colpali-odd")); err == nil || !strings.Contains(err.Error(), "makes embeddings") {
		t.Errorf("a model of embeddings: %v", err)
	}
}

// archive is an .npz file of zeros: NAME [of KIND] SIZE…; …. The last entry of a name counts, and one without sizes removes it.
func archive(t *testing.T, spec string) []byte {
	t.Helper()
	members := map[string][]byte{}
	for entry := range strings.SplitSeq(spec, ";") {
		fields := strings.Fields(entry)
		if len(fields) == 0 {
			continue
		}
		name, dtype := fields[0], "<f4"
		nans := false
		if fields = fields[1:]; len(fields) > 1 && fields[0] == "of" {
			nans = fields[1] == "NaNs"
			dtype = map[string]string{"integers": "<i4", "objects": "|O", "strings": "<U1", "big": ">f4", "NaNs": "<f4"}[fields[1]]
			fields = fields[2:]
		}
		if delete(members, name); len(fields) == 0 {
			continue
		}
		n := 4
		for _, f := range fields {
			size, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			n *= size
		}
		head := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s,), }\n", dtype, strings.Join(fields, ", "))
		member := binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(head)))
		values := make([]byte, n)
		if nans {
			values = bytes.Repeat([]byte{0xff}, n)
		}
		members[name] = append(append(member, head...), values...)
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		w, err := z.Create(name + ".npy")
		if err == nil {
			_, err = w.Write(members[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
