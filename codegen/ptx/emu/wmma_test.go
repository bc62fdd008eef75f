package emu

import (
	"encoding/binary"
	"testing"
)

// The older interface of tensor cores: a product of small whole numbers, loaded by rows and by columns.
func TestWMMA(t *testing.T) {
	const text = `.version 7.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 x, .param .u64 y) .reqntid 32 {
.reg .b64 %d<4>; .reg .b32 %a<8>; .reg .b32 %b<8>; .reg .f32 %c<8>; .reg .f32 %z;
ld.param.u64 %d0, [x]; ld.param.u64 %d1, [y]; add.s64 %d2, %d0, 512; mov.f32 %z, 0f40000000;
wmma.load.a.sync.aligned.row.m16n16k16.global.f16 {%a0, %a1, %a2, %a3, %a4, %a5, %a6, %a7}, [%d0];
wmma.load.b.sync.aligned.col.m16n16k16.global.f16 {%b0, %b1, %b2, %b3, %b4, %b5, %b6, %b7}, [%d2], 16;
wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32 {%c0, %c1, %c2, %c3, %c4, %c5, %c6, %c7}, {%a0, %a1, %a2, %a3, %a4, %a5, %a6, %a7},
  {%b0, %b1, %b2, %b3, %b4, %b5, %b6, %b7}, {%z, %z, %z, %z, %z, %z, %z, %z};
wmma.store.d.sync.aligned.row.m16n16k16.global.f32 [%d1], {%c0, %c1, %c2, %c3, %c4, %c5, %c6, %c7}, 16;
ret; }`
	m, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	number := func(i, k int) int { return (i*5+k*3)%9 - 4 }
	x, y := &Memory{Data: make([]byte, 1024)}, Unwritten("y", 1024)
	for i := range 32 { // 16 rows of A, then 16 columns of B
		for k := range 16 {
			binary.LittleEndian.PutUint16(x.Data[(i*16+k)*2:], uint16(half(float64(number(i, k)), nearest)))
		}
	}
	if _, err := m.Run(Launch{Entry: "k", Args: []any{Pointer{x, 0}, Pointer{y, 0}}}); err != nil {
		t.Fatal(err)
	}
	for i := range 16 {
		for j := range 16 {
			want := 2
			for k := range 16 {
				want += number(i, k) * number(16+j, k)
			}
			if got := f32of(read(y.Data[(i*16+j)*4:][:4])); got != float32(want) {
				t.Fatalf("row %d, column %d is %g, want %d", i, j, got, want)
			}
		}
	}
}
