// Package cputest remembers kernels. The tests of a package compile the same models again and again, and most of their
// kernels are equal: with this package a process builds and emits each once. What llc makes of them, package llctest keeps.
package cputest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"weak"

	"pgc/codegen/cpu"
	"pgc/codegen/kernels"
	"pgc/codegen/llvm"
	"pgc/codegen/llvm/llctest"
	"pgc/ir/target"
	"pgc/ir/tile"
)

// Main runs the tests of a package with a memory and with shared objects (llctest.Main), and returns the exit code for TestMain.
func Main(m *testing.M) int {
	remember()
	return llctest.Main(m)
}

// remember puts a memory in front of how package cpu makes kernels.
func remember() {
	m := &memory{}
	cpu.Build, cpu.Emit = m.build, m.emit
}

// Alone makes a test build its kernels and run llc itself, for what it asserts about compiling twice.
func Alone(t testing.TB) {
	build, emit := cpu.Build, cpu.Emit
	cpu.Build, cpu.Emit = kernels.Build, llvm.EmitFunction
	t.Cleanup(func() { cpu.Build, cpu.Emit = build, emit })
	llctest.Alone(t)
}

// memory has the kernels by the keys of their specs and targets, and by their bodies.
type memory struct{ made, bodies sync.Map }

// kernel is what was made of a spec. Its body takes much memory, so it is built again where nobody holds it any more.
type kernel struct {
	sync.Mutex
	target   string
	built    kernels.Kernel
	tile     tile.Kernel // without its body
	body     weak.Pointer[tile.Block]
	function *llvm.Function
}

// build is kernels.Build.
func (m *memory) build(name string, s kernels.Spec, t target.Target) (*kernels.Kernel, error) {
	on := text(t)
	found, _ := m.made.LoadOrStore(on+kernels.Key(s), &kernel{target: on})
	k := found.(*kernel)
	k.Lock()
	defer k.Unlock()
	body := k.body.Value()
	if body == nil {
		b, err := kernels.Build(name, s, t)
		if err != nil {
			return nil, err
		}
		body = b.Tile.Body
		k.built, k.tile, k.body = *b, *b.Tile, weak.Make(body)
		k.built.Tile, k.tile.Body = nil, nil
		m.bodies.Store(k.body, k)
	}
	again, of := k.built, k.tile
	of.Name, of.Body = name, body
	again.Tile = &of
	// A backend may change the arguments.
	again.Args, again.Tasks, again.Grains = slices.Clone(again.Args), slices.Clone(again.Tasks), slices.Clone(again.Grains)
	return &again, nil
}

// emit is llvm.EmitFunction. What it makes does not depend on the kernel's name.
func (m *memory) emit(t target.Target, of *tile.Kernel) (llvm.Function, error) {
	found, ok := m.bodies.Load(weak.Make(of.Body))
	if !ok || found.(*kernel).target != text(t) {
		return llvm.EmitFunction(t, of)
	}
	k := found.(*kernel)
	k.Lock()
	defer k.Unlock()
	if k.function == nil {
		f, err := llvm.EmitFunction(t, of)
		if err != nil {
			return f, err
		}
		k.function = &f
	}
	return *k.function, nil
}

// text has every field of a target.
func text(t target.Target) string { return fmt.Sprintf("%+v\n", t) }
