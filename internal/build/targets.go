package build

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"pgc/checkpoint/hf"
	"pgc/codegen"
	"pgc/codegen/backend"
	"pgc/codegen/cpu"
	"pgc/codegen/ptx"
	"pgc/ir"
	"pgc/ir/quant"
	"pgc/ir/target"
	"pgc/passes"
	"pgc/runtime/manifest"
	"pgc/runtime/program"
)

// targetKinds are the values of Options.Target: the kinds of machines that a file has programs for, the first one's runtime
// in front.
var targetKinds = map[string][]program.TargetKind{"": {program.CPU}, "cpu": {program.CPU}, "cuda": {program.PTX},
	"cpu,cuda": {program.CPU, program.PTX}, "cuda,cpu": {program.CPU, program.PTX}}

// machine is what the compiler knows of a kind of machine beside its backends' records.
type machine struct {
	// backends are those of the options, the best first, for a module whose products are of bfloat16 on both sides or of
	// integers.
	backends func(o Options, bf16, integers bool) ([]*backend.Backend, error)
	one      func() *backend.Backend // of them all: what they ask of the passes is the same
	of       func(t program.Target) (*backend.Backend, error)
	graph    string // the section with the plain graph
	runtime  string // how the names of its runtimes' files begin
}

var kinds = map[program.TargetKind]machine{
	program.CPU: {backends: processors, one: anyProcessor, of: processor, graph: manifest.SectionGraph, runtime: "pgcrt-"},
	program.PTX: {backends: gpus, one: ptx.Backend, of: gpu, graph: manifest.SectionGraphPTX, runtime: "pgcrt-cuda-"},
}

func processors(o Options, bf16, integers bool) ([]*backend.Backend, error) {
	targets, err := Targets(o.CPU)
	if err != nil {
		return nil, err
	}
	return cpu.Variants(targets, bf16, integers), nil
}

func anyProcessor() *backend.Backend {
	all, err := target.FindAll(target.Default)
	if err != nil {
		panic(err) // the default is in the table
	}
	return cpu.Backend(all[0])
}

func processor(t program.Target) (*backend.Backend, error) {
	found, err := target.Find(t.CPU)
	if err != nil {
		return nil, err
	}
	return cpu.Backend(found), nil
}

func gpu(program.Target) (*backend.Backend, error) { return ptx.Backend(), nil }

// backendOf returns the backend for a target that a program names.
func backendOf(t program.Target) (*backend.Backend, error) {
	kind, ok := kinds[t.Kind]
	if !ok {
		return nil, fmt.Errorf("a target of unknown %v", t.Kind)
	}
	return kind.of(t)
}

func gpus(Options, bool, bool) ([]*backend.Backend, error) {
	return []*backend.Backend{ptx.Backend()}, nil
}

// onGPU reports whether the file has a program for GPUs.
func (o Options) onGPU() bool { return slices.Contains(targetKinds[o.Target], program.PTX) }

// onCPU reports whether it has one for processors.
func (o Options) onCPU() bool { return slices.Contains(targetKinds[o.Target], program.CPU) }

// checkTarget says what a program for GPUs cannot have.
func (o Options) checkTarget() error {
	if _, ok := targetKinds[o.Target]; !ok {
		return optionError("Target", "%s is not known: expected cpu, cuda or cpu,cuda", o.Target)
	}
	if !o.onGPU() {
		return nil
	}
	alone := len(targetKinds[o.Target]) == 1
	if o.Compute == "f32" || alone && o.Compute != "" && o.Compute != "bf16" {
		return optionError("Compute", "%s is not possible for %s: products on a GPU are of bfloat16, expected bf16 or none", o.Compute, o.Target)
	}
	stored := func(name string) bool { return slices.Contains(gpuTypes, name) }
	if o.Weights != "" && o.Weights != "auto" && !stored(o.Weights) {
		return optionError("Weights", "%s is not possible for %s: expected auto, %s", o.Weights, o.Target, strings.Join(gpuTypes, ", "))
	}
	for _, text := range o.Keep {
		if _, name, ok := rule(text); ok && !stored(name) {
			return optionError("Keep", "%s is not possible for %s: expected PATTERN=TYPE with %s", text, o.Target, strings.Join(gpuTypes, ", "))
		}
	}
	return nil
}

// gpuTypes are the storage types of matrices that products on a GPU read.
var gpuTypes = []string{"bf16", quant.Int8.String(), quant.Int4.String()}

// on returns the options of the program for a kind of machine. On a GPU, the KV cache is bfloat16 unless the options say
// otherwise.
func (o Options) on(kind program.TargetKind) Options {
	o.kind, o.half, o.noIntegers = kind, o.onGPU(), kind == program.PTX
	if o.KV == "" && kind == program.PTX {
		o.KV = "bf16"
	}
	if o.KV == "" {
		o.KV = "f32"
	}
	return o
}

// first returns the options of the program for the first kind of machine.
func (o Options) first() Options {
	kinds := targetKinds[o.Target]
	if len(kinds) == 0 { // an error of the options
		return o
	}
	return o.on(kinds[0])
}

// rounded returns the note about a checkpoint whose matrices a file for GPUs stores with fewer bits than it has itself,
// or "".
func (o Options) rounded(c *hf.Checkpoint) string {
	if !o.onGPU() || o.Weights != "" && o.Weights != "auto" {
		return ""
	}
	r, err := o.first().resolve(c.Model, c)
	if err != nil {
		return ""
	}
	for _, w := range c.Weights {
		if d := c.DType(w.Name); r.dtype(w.Name) != d && !r.halves(w.Name) {
			return fmt.Sprintf("the checkpoint's matrices are %s, those of --target %s are bf16", d, o.Target)
		}
	}
	return ""
}

// part is what a file has for a kind of machine.
type part struct {
	Options
	m        *ir.Module
	graph    []byte // before the passes, compressed
	backends []*backend.Backend
}

// partsOf builds the graphs of a checkpoint for every kind of machine.
func (o Options) partsOf(c *hf.Checkpoint) (all []*part, err error) {
	for _, kind := range targetKinds[o.Target] {
		p := &part{Options: o.on(kind)}
		if p.m, err = plain(c, p.Options, false); err != nil {
			return nil, err
		}
		p.graph = EncodeGraph(p.m)
		all = append(all, p)
	}
	return all, nil
}

// optimized runs the passes and finds the backends.
func (p *part) optimized() error {
	if err := p.optimize(p.m); err != nil {
		return err
	}
	var err error
	p.backends, err = p.machines(p.m)
	return err
}

// machines returns the backends of the options' kind, the best first; m is the module that they compile.
func (o Options) machines(m *ir.Module) ([]*backend.Backend, error) {
	bf16, integers := codegen.Multiplies(m)
	return kinds[o.kind].backends(o, bf16, integers)
}

// FirstBackend returns the backend of the first program of a file with the options, and how its passes are run; m is the
// module before any pass.
func (o Options) FirstBackend(m *ir.Module) (*backend.Backend, passes.Options, error) {
	o, m = o.first(), m.Clone()
	if err := o.optimize(m); err != nil {
		return nil, passes.Options{}, err
	}
	all, err := o.machines(m)
	if err != nil {
		return nil, passes.Options{}, err
	}
	return all[0], passesFor(all[0], o.Passes), nil
}

// optimize runs the passes, without those whose results the kind of machine has no kernels for.
func (o Options) optimize(m *ir.Module) error {
	return passes.Optimize(m, passesFor(kinds[o.kind].one(), o.Passes))
}

// passesFor completes options of the passes by what a backend lacks and asks for.
func passesFor(b *backend.Backend, o passes.Options) passes.Options {
	off := map[string]bool{}
	maps.Copy(off, o.Off)
	for _, name := range b.Without {
		off[name] = true
	}
	o.Off, o.With = off, slices.Concat(o.With, b.With)
	return o
}

// named puts a word that tells kinds of machines apart into the name of a file, if there are several.
func (p *part) named(file string, several bool) string {
	if !several {
		return file
	}
	ext := path.Ext(file)
	return strings.TrimSuffix(file, ext) + "-" + p.kind.String() + ext
}

// OnGPU optimizes a graph that Plain made for GPUs, for which it returns the backend.
func OnGPU(m *ir.Module, o Options) (codegen.Variant, error) {
	p := part{Options: o.on(program.PTX), m: m}
	if err := p.optimized(); err != nil {
		return codegen.Variant{}, err
	}
	return codegen.Variant{Module: m, Backend: p.backends[0]}, nil
}
