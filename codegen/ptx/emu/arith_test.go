package emu

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/x448/float16"
)

// Single instructions on values with edges: the operands are constants, the result is in %r1.
func TestInstructions(t *testing.T) {
	for text, want := range map[string]uint32{
		// Integers.
		"mul.hi.s32 %r1, -5, 2000000000;":                                          0xfffffffd,
		"mul.hi.u32 %r1, 4000000000, 4000000000;":                                  3725290298,
		"mad.hi.s32 %r1, 1000000, 1000000, 7;":                                     239,
		"mul24.lo.s32 %r1, 0xffffff, 3;":                                           0xfffffffd,
		"sub.sat.s32 %r1, -2147483648, 1;":                                         0x80000000,
		"add.sat.s32 %r1, 2147483647, 1;":                                          0x7fffffff,
		"sad.u32 %r1, 3, 10, 100;":                                                 107,
		"div.s32 %r1, -7, 2;":                                                      0xfffffffd,
		"rem.s32 %r1, -7, 2;":                                                      0xffffffff,
		"shl.b32 %r1, 1, 32;":                                                      0,
		"shr.s32 %r1, -8, 99;":                                                     0xffffffff,
		"shr.u32 %r1, -8, 28;":                                                     15,
		"shf.l.wrap.b32 %r1, 0x80000001, 0x7, 33;":                                 15,
		"shf.l.clamp.b32 %r1, 0x80000001, 0x7, 40;":                                0x80000001,
		"shf.r.clamp.b32 %r1, 0x10, 0xabc, 4;":                                     0xc0000001,
		"bfe.u32 %r1, 0xabcdef, 4, 8;":                                             0xde,
		"bfe.s32 %r1, 0xabcdef, 4, 8;":                                             0xffffffde,
		"bfe.s32 %r1, 0x80000000, 28, 16;":                                         0xfffffff8,
		"bfi.b32 %r1, 0xff, 0x11111111, 8, 4;":                                     0x11111f11,
		"bfind.u32 %r1, 0x00f0;":                                                   7,
		"bfind.s32 %r1, -2;":                                                       0,
		"bfind.u32 %r1, 0;":                                                        0xffffffff,
		"bfind.shiftamt.u32 %r1, 0x00f0;":                                          24,
		"clz.b32 %r1, 0x00f0;":                                                     24,
		"popc.b32 %r1, 0xf0f0;":                                                    8,
		"brev.b32 %r1, 1;":                                                         0x80000000,
		"lop3.b32 %r1, 0xf0f0f0f0, 0xcccccccc, 0xaaaaaaaa, 0x96;":                  0x96969696,
		"prmt.b32 %r1, 0x33221100, 0x77665544, 0x2640;":                            0x22664400,
		"prmt.b32 %r1, 0x80ff7f01, 0, 0xba98;":                                     0xffff0000,
		"prmt.b32.f4e %r1, 0x33221100, 0x77665544, 1;":                             0x44332211,
		"dp4a.s32.u32 %r1, 0xff, 0x80, 5;":                                         0xffffff85,
		"dp2a.hi.s32.s32 %r1, 0x00020003, 0x05070000, 1;":                          32,
		"szext.wrap.s32 %r1, 0xf8, 4;":                                             0xfffffff8,
		"bmsk.clamp.b32 %r1, 4, 8;":                                                0xff0,
		"min.s32 %r1, -1, 1;":                                                      0xffffffff,
		"min.u32 %r1, -1, 1;":                                                      1,
		"add.cc.u32 %r2, 0xffffffff, 1; addc.u32 %r1, 5, 6;":                       12,
		"sub.cc.u32 %r2, 0, 1; subc.u32 %r1, 5, 3;":                                1,
		"mad.lo.cc.u32 %r2, 0xffffffff, 2, 2; madc.hi.u32 %r1, 0xffffffff, 2, 10;": 12,
		"cnot.b32 %r1, 0;":                                                         1,
		"fns.b32 %r1, 0xb2, 2, 2;":                                                 5,
		"vabsdiff4.u32.u32.u32.add %r1, 0x01020304, 0x04030201, 100;":              108,
		// Predicates.
		"setp.lt.and.s32 %p0|%p1, -1, 1, %p8; selp.b32 %r1, 3, 4, %p0;":      3,
		"set.lt.u32.s32 %r1, -1, 1;":                                         0xffffffff,
		"set.gtu.f32.f32 %f0, 0f7fc00000, 0f00000000; mov.b32 %r1, %f0;":     0x3f800000,
		"setp.eq.f32 %p0, 0f80000000, 0f00000000; selp.b32 %r1, 1, 0, %p0;":  1,
		"setp.nan.f32 %p0, 0f7fc00000, 0f00000000; selp.b32 %r1, 1, 0, %p0;": 1,
		"setp.ne.f32 %p0, 0f7fc00000, 0f00000000; selp.b32 %r1, 1, 0, %p0;":  0,
		"slct.s32.f32 %r1, 7, 8, 0f80000000;":                                7,
		// Floats.
		"add.rz.f32 %f0, 0f3f800000, 0f33ffffff; mov.b32 %r1, %f0;":             0x3f800000,
		"add.rp.f32 %f0, 0f3f800000, 0f00000001; mov.b32 %r1, %f0;":             0x3f800001,
		"sub.rm.f32 %f0, 0f3f800000, 0f3f800000; mov.b32 %r1, %f0;":             0x80000000,
		"add.sat.f32 %f0, 0f3f800000, 0f3f800000; mov.b32 %r1, %f0;":            0x3f800000,
		"mul.ftz.f32 %f0, 0f00400000, 0f3f800000; mov.b32 %r1, %f0;":            0,
		"fma.rn.f32 %f0, 0f7f800000, 0f00000000, 0f3f800000; mov.b32 %r1, %f0;": nan32,
		"min.f32 %f0, 0f7fc00000, 0f3f800000; mov.b32 %r1, %f0;":                0x3f800000,
		"min.NaN.f32 %f0, 0f7fc00000, 0f3f800000; mov.b32 %r1, %f0;":            nan32,
		"max.f32 %f0, 0f80000000, 0f00000000; mov.b32 %r1, %f0;":                0,
		"min.f32 %f0, 0f80000000, 0f00000000; mov.b32 %r1, %f0;":                0x80000000,
		"max.xorsign.abs.f32 %f0, 0fc0000000, 0f3f800000; mov.b32 %r1, %f0;":    0xc0000000,
		"rcp.approx.ftz.f32 %f0, 0f80000000; mov.b32 %r1, %f0;":                 0xff800000,
		"ex2.approx.f32 %f0, 0f40400000; mov.b32 %r1, %f0;":                     0x41000000,
		"lg2.approx.f32 %f0, 0f00000000; mov.b32 %r1, %f0;":                     0xff800000,
		"copysign.f32 %f0, 0f80000000, 0f3f800000; mov.b32 %r1, %f0;":           0xbf800000,
		"testp.subnormal.f32 %p0, 0f00000001; selp.b32 %r1, 1, 0, %p0;":         1,
		"div.full.f32 %f0, 0f3f800000, 0f40000000; mov.b32 %r1, %f0;":           0x3f000000,
		// Conversions.
		"cvt.rzi.s32.f32 %r1, 0f4f800000;":                                               0x7fffffff,
		"cvt.rni.s32.f32 %r1, 0f7fc00000;":                                               0,
		"cvt.rni.s32.f32 %r1, 0f40200000;":                                               2,
		"cvt.rpi.u32.f32 %r1, 0fbf800000;":                                               0,
		"cvt.sat.s8.s32 %r1, 300;":                                                       127,
		"cvt.sat.u8.s32 %r1, -300;":                                                      0,
		"cvt.s32.s8 %r1, 0x80;":                                                          0xffffff80,
		"cvt.u16.u32 %h0, 0x12345678; cvt.u32.u16 %r1, %h0;":                             0x5678,
		"cvt.rz.f32.s32 %f0, 16777219; mov.b32 %r1, %f0;":                                0x4b800001,
		"cvt.rn.f32.u64 %f0, 0xffffff8000000001; mov.b32 %r1, %f0;":                      0x5f800000,
		"cvt.rn.f32.u64 %f0, 0xffffff7fffffffff; mov.b32 %r1, %f0;":                      0x5f7fffff,
		"cvt.rn.f16x2.f32 %r1, 0f3f800000, 0fc0000000;":                                  0x3c00c000,
		"cvt.rn.bf16x2.f32 %r1, 0f3f808000, 0f3f818000;":                                 0x3f803f82,
		"cvt.rz.bf16x2.f32 %r1, 0f3f80ffff, 0f7f7fffff;":                                 0x3f807f7f,
		"cvt.rn.relu.f16x2.f32 %r1, 0fbf800000, 0f3f800000;":                             0x00003c00,
		"cvt.rn.f16.f32 %h0, 0f477ff000; cvt.u32.u16 %r1, %h0;":                          0x7c00,
		"cvt.rz.f16.f32 %h0, 0f477ff000; cvt.u32.u16 %r1, %h0;":                          0x7bff,
		"cvt.rna.tf32.f32 %r1, 0f3f801000;":                                              0x3f802000,
		"cvt.rn.satfinite.e4m3x2.f32 %h0, 0f44000000, 0fbf800000; cvt.u32.u16 %r1, %h0;": 0x7eb8,
		"mov.b32 {%h0, %h1}, 0x38b8; cvt.rn.f16x2.e4m3x2 %r1, %h0;":                      0x3c00bc00,
		"cvt.pack.sat.u8.s32.b32 %r1, 300, -5, 0x1234;":                                  0x1234ff00,
		"cvt.rni.f32.f32 %f0, 0f40200000; mov.b32 %r1, %f0;":                             0x40000000,
		// 16-bit floats.
		"mov.b32 {%h0, %h1}, 0x3c004000; fma.rn.f16 %h2, %h0, %h1, %h1; cvt.u32.u16 %r1, %h2;": 0x4200,
		"fma.rn.bf16x2 %r1, 0x3f804000, 0x40003f80, 0x3f803f80;":                               0x40404040,
		"add.f16x2 %r1, 0x7bff3c00, 0x7bff3c00;":                                               0x7c004000,
		"max.NaN.bf16x2 %r1, 0x7fc03f80, 0x3f804000;":                                          0x7fff4000,
		"neg.bf16x2 %r1, 0x3f80bf80;":                                                          0xbf803f80,
		"set.gt.f16x2.f16x2 %r1, 0x40003c00, 0x3c004000;":                                      0x3c000000,
		"tanh.approx.f16x2 %r1, 0x00007c00;":                                                   0x00003c00,
		// Addresses and parameters.
		"mov.u64 %d2, s; cvta.shared.u64 %d2, %d2; isspacep.shared %p0, %d2; selp.b32 %r1, 1, 0, %p0;":        1,
		"isspacep.global %p0, %d0; selp.b32 %r1, 1, 0, %p0;":                                                  1,
		"{ .local .align 8 .b8 l[16]; st.local.u16 [l+6], 77; ld.local.u16 %r1, [l+6]; }":                     77,
		"st.shared.b32 [s+16], 9; bar.sync 0; mov.u64 %d2, s; cvta.shared.u64 %d2, %d2; ld.u8 %r1, [%d2+16];": 9,
		"{ .reg .b32 %r<3>; mov.b32 %r1, 5; { .reg .b32 %r<2>; mov.b32 %r1, 6; } } mov.b32 %r1, 4;":           4,
	} {
		each(t, "setp.eq.s32 %p8, 0, 0; "+text, func(int) uint32 { return want })
	}
}

// Directed roundings, held to exact arithmetic.
func TestRoundings(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	modes := map[string]big.RoundingMode{"rn": big.ToNearestEven, "rz": big.ToZero, "rm": big.ToNegativeInf, "rp": big.ToPositiveInf}
	number := func() float32 { return float32(math.Ldexp(rng.NormFloat64(), rng.IntN(24)-12)) }
	exact := func(v float64) *big.Float { return new(big.Float).SetPrec(2000).SetFloat64(v) }
	for range 60 {
		x, y, z := number(), number(), number()
		for mode, m := range modes {
			for op, f := range map[string]func() *big.Float{
				"add": func() *big.Float { return exact(float64(x)).Add(exact(float64(x)), exact(float64(y))) },
				"mul": func() *big.Float { return exact(0).Mul(exact(float64(x)), exact(float64(y))) },
				"div": func() *big.Float { return exact(0).Quo(exact(float64(x)), exact(float64(y))) },
				"fma": func() *big.Float {
					v := exact(0).Mul(exact(float64(x)), exact(float64(y)))
					return v.Add(v, exact(float64(z)))
				},
			} {
				v := f()
				want, _ := new(big.Float).SetPrec(24).SetMode(m).Set(v).Float32()
				want64, _ := new(big.Float).SetPrec(53).SetMode(m).Set(v).Float64()
				third, third64 := "", ""
				if op == "fma" {
					third, third64 = fmt.Sprintf(", 0f%08x", math.Float32bits(z)), fmt.Sprintf(", 0d%016x", math.Float64bits(float64(z)))
				}
				each(t, fmt.Sprintf("%s.%s.f32 %%f0, 0f%08x, 0f%08x%s; mov.b32 %%r1, %%f0;", op, mode, math.Float32bits(x), math.Float32bits(y), third),
					func(int) uint32 { return math.Float32bits(want) })
				for half := range 2 {
					each(t, fmt.Sprintf("%s.%s.f64 %%fd0, 0d%016x, 0d%016x%s; mov.b64 %%d2, %%fd0; shr.u64 %%d2, %%d2, %d; cvt.u32.u64 %%r1, %%d2;", op, mode,
						math.Float64bits(float64(x)), math.Float64bits(float64(y)), third64, 32*half), func(int) uint32 { return uint32(math.Float64bits(want64) >> (32 * half)) })
				}
			}
		}
	}
}

// The formats of 16 bits: reading and rounding undo each other, and two ways of rounding agree.
func TestHalfFormats(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for b := range uint64(1 << 16) {
		if v := halfOf(b); v == v && half(v, nearest) != b {
			t.Fatalf("float16 %#x is %g, which is %#x", b, v, half(v, nearest))
		}
		if v := brainOf(b); v == v && (brain(v, nearest) != b || narrow(v, 7, -126, 127, nearest, 0x7f80) != b) {
			t.Fatalf("bfloat16 %#x is %g, which is %#x", b, v, brain(v, nearest))
		}
	}
	for range 100000 {
		f := float32(math.Ldexp(rng.NormFloat64(), rng.IntN(50)-30))
		if got, want := narrow(float64(f), 10, -14, 15, nearest, 0x7c00), uint64(float16.Fromfloat32(f).Bits()); got != want {
			t.Fatalf("%g in float16 is %#x, want %#x", f, got, want)
		}
		if got, want := narrow(float64(f), 7, -126, 127, nearest, 0x7f80), brain(float64(f), nearest); got != want {
			t.Fatalf("%g in bfloat16 is %#x, want %#x", f, got, want)
		}
	}
}
