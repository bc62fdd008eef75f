package llvm

import (
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgc/codegen/internal/link/linktest"
	"pgc/codegen/llvm/amxtest"
	"pgc/ir/tile"
)

// tileKernels do what kernels do with tile registers, on 4 KiB of c, a and b each: shapes of the tiles lie in the first
// 64 bytes of c, and numbers of both kinds in the rest.
func tileKernels(t *testing.T) []*tile.Kernel {
	var ks []*tile.Kernel
	add := func(name string, f func(b *tile.Builder, c, x, y *tile.Value)) {
		ks = append(ks, build(t, name, func(b *tile.Builder) {
			c, x, y := b.Ptr("c", tile.I32), b.Ptr("a", tile.I32), b.Ptr("b", tile.I8)
			b.TileConfig(c, b.Int(0))
			f(b, c, x, y)
			b.TileRelease()
		}))
	}
	for _, op := range []tile.Op{tile.TileDotSS, tile.TileDotSU, tile.TileDotBF16} {
		add(op.String(), func(b *tile.Builder, c, x, y *tile.Value) {
			b.TileLoad(0, c, b.Int(16), b.Int(64))
			b.TileZero(3)
			b.Range(b.Int(0), b.Int(3), b.Int(1), func(k *tile.Value) {
				b.TileLoad(4, x, b.Mul(k, b.Int(16)), b.Int(192))
				b.TileLoad(7, y, b.Mul(k, b.Int(1024)), b.Int(64))
				b.TileDot(op, 0, 4, 7)
				b.TileDot(op, 3, 4, 7)
			})
			b.TileStore(0, c, b.Int(16), b.Int(64))
			b.TileStore(3, c, b.Int(300), b.Int(128))
		})
	}
	// Lanes that are subnormal, before, within and behind the state that flushes them.
	add("flushes", func(b *tile.Builder, c, x, y *tile.Value) {
		c, x = b.PtrCast(c, tile.F32), b.PtrCast(x, tile.F32)
		load := func(at int64) *tile.Value { return b.Load(x, b.Int(at), 8) }
		b.KeepControl()
		each := func(at int64) {
			b.Range(b.Int(0), b.Int(64), b.Int(32), func(k *tile.Value) {
				v, w := b.Load(x, k, 8), b.Load(x, b.Add(k, b.Int(8)), 8)
				for i, r := range []*tile.Value{b.FMA(v, w, load(100)), b.Add(v, w), b.Sub(v, w), b.Mul(v, w)} {
					b.Store(c, b.Add(k, b.Int(at+int64(8*i))), r)
				}
			})
		}
		each(100)
		b.Flush(true)
		each(200)
		b.Flush(false)
		each(300)
	})
	return ks
}

// configuration is a configuration of tiles: of every one the rows and the bytes of a row.
func configuration(rows, bytes [tile.TileRegs]int) []byte {
	c := make([]byte, tile.TileConfigBytes)
	c[0] = 1
	for i := range rows {
		c[16+2*i], c[48+i] = byte(bytes[i]), byte(rows[i])
	}
	return c
}

// tileArgs are random arguments with a configuration.
func tileArgs(rng *rand.Rand, config []byte) []any {
	words := func() []int32 {
		return filled(1024, func() int32 {
			if rng.IntN(8) == 0 { // small floats, and bfloat16 that are subnormal
				return int32(rng.Uint32() & 0x80ff807f)
			}
			return int32(rng.Uint32()&0x8fff8fff | 0x30003000)
		})
	}
	c := words()
	for i := range 16 {
		c[i] = int32(uint32(config[4*i]) | uint32(config[4*i+1])<<8 | uint32(config[4*i+2])<<16 | uint32(config[4*i+3])<<24)
	}
	return []any{c, words(), filled(4096, func() int8 { return int8(rng.Uint32()) })}
}

// emulated compiles kernels and the emulator of AMX with every installed llc.
func emulated(t *testing.T, ks []*tile.Kernel, f func(t *testing.T, code *linktest.Code)) {
	args := map[string]int{}
	for _, k := range ks {
		args[k.Name] = len(k.Params)
	}
	for i, path := range slices.Repeat(llcs(t), len(amxtest.Targets(t))) {
		tgt := amxtest.Targets(t)[i/len(llcs(t))]
		t.Run(filepath.Base(path)+"/"+tgt.Name, func(t *testing.T) {
			var objs [][]byte
			for _, ll := range [][]byte{emitted(t, tgt, ks...), []byte(amxtest.Source(args))} {
				obj, err := runLLC(context.Background(), path, ll, tgt, "obj")
				if err != nil {
					t.Fatal(err)
				}
				objs = append(objs, obj)
			}
			f(t, linktest.Load(t, objs...))
		})
	}
}

// TestTiles compares tile instructions, as the emulator executes what llc made of them, with the interpreter: whole
// tiles, and parts.
func TestTiles(t *testing.T) {
	ks := tileKernels(t)
	rng := rand.New(rand.NewPCG(1, 9))
	emulated(t, ks, func(t *testing.T, code *linktest.Code) {
		for _, config := range [][]byte{
			configuration([8]int{16, 1, 1, 16, 16, 1, 1, 16}, [8]int{64, 4, 4, 64, 64, 4, 4, 64}),
			configuration([8]int{5, 0, 0, 5, 5, 0, 0, 3}, [8]int{64, 0, 0, 64, 12, 0, 0, 64}),
			configuration([8]int{1, 0, 0, 1, 1, 0, 0, 16}, [8]int{20, 0, 0, 20, 64, 0, 0, 20}),
		} {
			for _, k := range ks {
				args := tileArgs(rng, config)
				native, counts := clones(args), make([]int64, 2)
				interpreted := buffers(t, args)
				if err := tile.Run(k, interpreted, 1); err != nil {
					t.Fatal(err)
				}
				code.Run(t, linktest.Call{Symbol: amxtest.Prefix + k.Name, Tasks: 1, Args: append(native, counts), ScratchBytes: k.ScratchBytes, Flush: true})
				if counts[0] != 0 || counts[1] == 0 {
					t.Errorf("%s: %d of %d instructions were wrong", k.Name, counts[0], counts[1])
				}
				for i, b := range buffers(t, native) {
					got, want := b.(tile.Buffer), interpreted[i].(tile.Buffer)
					if k.Name == tile.TileDotBF16.String() && i == 0 { // which of several NaN a sum becomes depends on the order of operands
						oneNaN(got)
						oneNaN(want)
					}
					if !slices.Equal(got, want) {
						t.Errorf("%s: argument %d differs from the interpreter's", k.Name, i)
					}
				}
			}
		}
	})
}

// oneNaN gives every NaN among float32 numbers the same bits.
func oneNaN(b tile.Buffer) {
	for at := 0; at < len(b); at += 4 {
		if v := math.Float32frombits(binary.LittleEndian.Uint32(b[at:])); v != v {
			binary.LittleEndian.PutUint32(b[at:], 0x7fc00000)
		}
	}
}

// TestWrongTiles expects of the interpreter and of the emulator that they refuse what the processor does.
func TestWrongTiles(t *testing.T) {
	whole := configuration([8]int{16, 16, 16, 16, 16, 16, 16, 16}, [8]int{64, 64, 64, 64, 64, 64, 64, 64})
	palette, rows, half := slices.Clone(whole), slices.Clone(whole), slices.Clone(whole)
	palette[0], rows[48+4], half[16] = 0, 17, 0
	thin := slices.Clone(whole)
	thin[48+4] = 7 // rows of A, not of C
	dot := func(b *tile.Builder) { b.TileDot(tile.TileDotSS, 0, 4, 7) }
	for name, c := range map[string]struct {
		config []byte
		f      func(b *tile.Builder)
		want   string
	}{
		"palette":  {palette, dot, "palette 0"},
		"rows":     {rows, dot, "17 rows of 64 bytes"},
		"half":     {half, dot, "16 rows of 0 bytes"},
		"thin":     {thin, dot, "tile_dot_ss of 7×64 bytes by 16×64, giving 16×64"},
		"same":     {whole, func(b *tile.Builder) { b.TileDot(tile.TileDotSS, 0, 4, 0) }, "tile_dot_ss of"},
		"released": {whole, func(b *tile.Builder) { b.TileRelease(); b.TileZero(0) }, "tile_zero of tile 0, which has no shape"},
	} {
		k := build(t, "k", func(b *tile.Builder) {
			p := b.Ptr("c", tile.I32)
			b.Ptr("a", tile.I32)
			b.Ptr("b", tile.I8)
			b.TileConfig(p, b.Int(0))
			c.f(b)
			b.TileRelease()
		})
		args := tileArgs(rand.New(rand.NewPCG(2, 2)), c.config)
		if err := tile.Run(k, buffers(t, args), 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the interpreter gives %v, expected %q", name, err, c.want)
		}
		emulated(t, []*tile.Kernel{k}, func(t *testing.T, code *linktest.Code) {
			counts := make([]int64, 2)
			code.Run(t, linktest.Call{Symbol: amxtest.Prefix + "k", Tasks: 1, Args: append(args, counts)})
			if counts[0] == 0 {
				t.Errorf("%s: the emulator takes it", name)
			}
		})
	}
	for want, f := range map[string]func(b *tile.Builder, p *tile.Value){
		"a task ends with tiles configured":         func(b *tile.Builder, p *tile.Value) { b.TileConfig(p, b.Int(0)) },
		"a task ends with subnormal floats flushed": func(b *tile.Builder, p *tile.Value) { b.KeepControl(); b.Flush(true) },
	} {
		k := build(t, "k", func(b *tile.Builder) { f(b, b.Ptr("c", tile.I8)) })
		if err := tile.Run(k, []any{tile.Buffer(whole)}, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected %q", err, want)
		}
	}
}
