package codegen

import (
	"fmt"
	"sort"

	"pgc/codegen/backend"
	"pgc/codegen/kernels"
	"pgc/runtime/program"
)

// deviceAlign is what weights begin at multiples of in a device's memory, in bytes.
const deviceAlign = 256

// placed is a weight that a program reads: in the file, and in the memory of a device.
type placed struct {
	program.Weight
	to, bytes int64
}

// loads gives the weights that the functions read places in the device's memory, in the order of the file, and moves
// the arguments of launches, which count from the beginning of the weights section, there.
func (c *compiler) loads() error {
	p := c.r.Program
	all := c.r.weights.Weights()
	used := make([]bool, len(all))
	eachWeight(p.Funcs, func(a *program.Arg) { used[weightAt(all, a.Offset)] = true })
	known := map[string]*repacked{}
	places := make([]placed, len(all))
	for i, w := range all {
		if !used[i] {
			continue
		}
		at := placed{w, (p.DeviceBytes + deviceAlign - 1) / deviceAlign * deviceAlign, w.Bytes}
		load := program.Load{Offset: w.Offset, Bytes: w.Bytes, To: at.to}
		k, err := c.repack(known, w)
		if err != nil {
			return fmt.Errorf("weight %s: %w", w.Name, err)
		}
		if k != nil {
			at.bytes, load.Launches = k.Bytes, c.repacking(k, at.to)
		}
		load.DeviceBytes = at.bytes
		places[i], p.DeviceBytes, p.Loads = at, at.to+at.bytes, append(p.Loads, load)
	}
	eachWeight(p.Funcs, func(a *program.Arg) {
		at := places[weightAt(all, a.Offset)]
		a.Offset = at.moved(a.Offset)
		if at.bytes != at.Bytes {
			for i := range a.Terms { // of panels, whose number stays
				a.Terms[i].Stride = at.bytes / (at.Bytes / a.Terms[i].Stride)
			}
		}
	})
	return nil
}

// eachWeight calls do with every argument that is an address among the weights.
func eachWeight(funcs []program.Func, do func(*program.Arg)) {
	for i := range funcs {
		for j := range funcs[i].Launches {
			args := funcs[i].Launches[j].Args
			for k := range args {
				if args[k].Space == program.SpaceWeights {
					do(&args[k])
				}
			}
		}
	}
}

// weightAt returns the number of the weight that lies at an offset of the section. Weights do not overlap.
func weightAt(all []program.Weight, offset int64) int {
	return sort.Search(len(all), func(i int) bool { return all[i].Offset > offset }) - 1
}

// moved is where an address among the weights of the file lies on the device: behind as many selections if the weight
// is packed otherwise there.
func (p placed) moved(offset int64) int64 {
	in := offset - p.Offset
	if p.bytes != p.Bytes {
		in = in / (p.Bytes / p.Layout.Split) * (p.bytes / p.Layout.Split)
	}
	return p.to + in
}

// repacked is how a weight is made what it is on the device; the kernels are numbered from first on.
type repacked struct {
	*backend.Device
	first int
}

// repack returns how the backend repacks a weight, or nil where it is copied. Weights of equal type, shape and layout
// share kernels.
func (c *compiler) repack(known map[string]*repacked, w program.Weight) (*repacked, error) {
	if c.backend.Device == nil {
		return nil, nil
	}
	key := fmt.Sprint(w.DType, w.Shape, w.Layout)
	if k, ok := known[key]; ok {
		return k, nil
	}
	first := len(c.r.Program.Kernels)
	d, err := c.backend.Device(fmt.Sprintf("load_%d", first), w)
	if err != nil || d == nil {
		known[key] = nil
		return nil, err
	}
	k := &repacked{d, first}
	c.add(d.Kernels)
	known[key] = k
	return k, nil
}

// repacking is the launches that write a weight to its place in the device's memory.
func (c *compiler) repacking(r *repacked, to int64) (out []program.Launch) {
	for i, k := range r.Kernels {
		tasks, _ := sizes{compiler: c}.tasks(k) // a device's kernels have no grains
		l := program.Launch{Kernel: r.first + i, Tasks: tasks}
		for _, a := range k.Args {
			arg := program.Arg{Space: program.SpaceStaging}
			if a.Kind == kernels.ArgOut {
				arg = program.Arg{Space: program.SpaceWeights, Offset: to}
			}
			l.Args = append(l.Args, arg)
		}
		out = append(out, l)
	}
	return out
}
