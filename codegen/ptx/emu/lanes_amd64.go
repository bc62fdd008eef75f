package emu

import "maps"

// lanes_amd64.s executes the commonest instructions of registers alone for a whole warp, bit for bit as the functions do
// that it stands in for.
func init() {
	if !vectors {
		return
	}
	maps.Copy(fastOne, map[string]func(D, A *lanes){
		"abs.f32": absFloatsAVX2, "neg.f32": negFloatsAVX2, "sqrt.rn.f32": sqrtFloatsAVX2,
	})
	maps.Copy(fastConvert, map[string]func(D, A *lanes){
		"cvt.u32.u64": lowWordsAVX2, "cvt.u64.u32": lowWordsAVX2, "cvt.rn.f32.s32": wordsToFloatsAVX2, "cvt.rzi.s32.f32": floatsToWordsAVX2,
		"cvt.rni.f32.f32": evenFloatsAVX2, "cvt.rmi.f32.f32": floorFloatsAVX2,
	})
	maps.Copy(fastTwo, map[string]func(D, A, B *lanes){
		"add.s32": addWordsAVX2, "add.u32": addWordsAVX2, "add.s64": addLongsAVX2, "add.u64": addLongsAVX2,
		"sub.s32": subWordsAVX2, "sub.u32": subWordsAVX2, "sub.s64": subLongsAVX2, "sub.u64": subLongsAVX2,
		"mul.lo.s32": mulWordsAVX2, "mul.lo.u32": mulWordsAVX2, "mul.lo.s64": mulLongsAVX2, "mul.lo.u64": mulLongsAVX2,
		"mul.wide.u32": mulWideAVX2, "mul.wide.s32": mulSignedAVX2,
		"and.b32": andAVX2, "and.b64": andAVX2, "or.b32": orAVX2, "or.b64": orAVX2, "xor.b32": xorAVX2, "xor.b64": xorAVX2,
		"shl.b32": leftWordsAVX2, "shr.u32": rightWordsAVX2,
		"min.s32": minWordsAVX2, "max.s32": maxWordsAVX2, "min.s64": minLongsAVX2, "max.s64": maxLongsAVX2,
		"add.f32": addFloatsAVX2, "add.rn.f32": addFloatsAVX2, "sub.f32": subFloatsAVX2, "sub.rn.f32": subFloatsAVX2,
		"mul.f32": mulFloatsAVX2, "mul.rn.f32": mulFloatsAVX2, "div.rn.f32": divFloatsAVX2,
	})
	maps.Copy(fastThree, map[string]func(D, A, B, C *lanes){
		"mad.lo.s32": madWordsAVX2, "mad.lo.u32": madWordsAVX2, "mad.lo.s64": madLongsAVX2, "mad.lo.u64": madLongsAVX2,
		"mad.wide.u32": madWideAVX2, "mad.wide.s32": madSignedAVX2,
		"fma.rn.f32": fmaFloatsAVX2, "fma.rn.bf16x2": fmaBrainPairs,
	})
	lessWords, lessLongs, equalLongs, lessFloats, equalFloats = lessWordsAVX2, lessLongsAVX2, equalLongsAVX2, lessFloatsAVX2, equalFloatsAVX2
	chooseLanes, logicLanes, addressLanes = selectAVX2, logicAVX2, addressesAVX2
}

// fmaBrainPairs is fma.rn.bf16x2: the few lanes whose sums float32 does not show are computed one by one.
func fmaBrainPairs(D, A, B, C *lanes) {
	a, b, c := *A, *B, *C // D may be one of them
	right := fmaBrainsAVX2(D, A, B, C)
	eachLane(^right, func(i int) { D[i] = fmaBrainPair(a[i], b[i], c[i]) })
}

//go:noescape
func addressesAVX2(addr, base *lanes, offset uint64, s *addressSpan)

//go:noescape
func absFloatsAVX2(D, A *lanes)

//go:noescape
func negFloatsAVX2(D, A *lanes)

//go:noescape
func sqrtFloatsAVX2(D, A *lanes)

//go:noescape
func evenFloatsAVX2(D, A *lanes)

//go:noescape
func floorFloatsAVX2(D, A *lanes)

//go:noescape
func lowWordsAVX2(D, A *lanes)

//go:noescape
func wordsToFloatsAVX2(D, A *lanes)

//go:noescape
func floatsToWordsAVX2(D, A *lanes)

//go:noescape
func addWordsAVX2(D, A, B *lanes)

//go:noescape
func addLongsAVX2(D, A, B *lanes)

//go:noescape
func subWordsAVX2(D, A, B *lanes)

//go:noescape
func subLongsAVX2(D, A, B *lanes)

//go:noescape
func mulWordsAVX2(D, A, B *lanes)

//go:noescape
func mulLongsAVX2(D, A, B *lanes)

//go:noescape
func mulWideAVX2(D, A, B *lanes)

//go:noescape
func mulSignedAVX2(D, A, B *lanes)

//go:noescape
func andAVX2(D, A, B *lanes)

//go:noescape
func orAVX2(D, A, B *lanes)

//go:noescape
func xorAVX2(D, A, B *lanes)

//go:noescape
func leftWordsAVX2(D, A, B *lanes)

//go:noescape
func rightWordsAVX2(D, A, B *lanes)

//go:noescape
func minWordsAVX2(D, A, B *lanes)

//go:noescape
func maxWordsAVX2(D, A, B *lanes)

//go:noescape
func minLongsAVX2(D, A, B *lanes)

//go:noescape
func maxLongsAVX2(D, A, B *lanes)

//go:noescape
func addFloatsAVX2(D, A, B *lanes)

//go:noescape
func subFloatsAVX2(D, A, B *lanes)

//go:noescape
func mulFloatsAVX2(D, A, B *lanes)

//go:noescape
func divFloatsAVX2(D, A, B *lanes)

//go:noescape
func madWordsAVX2(D, A, B, C *lanes)

//go:noescape
func madLongsAVX2(D, A, B, C *lanes)

//go:noescape
func madWideAVX2(D, A, B, C *lanes)

//go:noescape
func madSignedAVX2(D, A, B, C *lanes)

//go:noescape
func fmaFloatsAVX2(D, A, B, C *lanes)

// fmaBrainsAVX2 returns the lanes in which D is right.
//
//go:noescape
func fmaBrainsAVX2(D, A, B, C *lanes) (right uint32)

//go:noescape
func logicAVX2(D, A, B, C *lanes, table *logicTable)

//go:noescape
func selectAVX2(D, A, B *lanes, yes uint32)

//go:noescape
func lessWordsAVX2(A, B *lanes) uint32

//go:noescape
func lessLongsAVX2(A, B *lanes) uint32

//go:noescape
func equalLongsAVX2(A, B *lanes) uint32

//go:noescape
func lessFloatsAVX2(A, B *lanes) uint32

//go:noescape
func equalFloatsAVX2(A, B *lanes) uint32
