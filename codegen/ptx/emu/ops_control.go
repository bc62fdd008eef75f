package emu

import (
	"math/bits"
	"strings"
)

// controlOps is branches, ends and barriers of the block.
var controlOps = map[string]func(l *lowering, m *mods){
	"bra": func(l *lowering, m *mods) {
		m.drop("uni")
		l.out.flow = branch
	},
	"brx": func(l *lowering, m *mods) {
		m.need("idx")
		m.drop("uni")
		l.out.flow = multiway
		l.out.index = l.src(&l.now.args[0], u32)
		for _, a := range l.now.args[1:] {
			l.out.targets = append(l.out.targets, int32(l.labels[a.label]))
		}
	},
	"ret": func(l *lowering, m *mods) {
		m.drop("uni")
		l.count(0, 0)
		l.out.flow = branch
	},
	"exit": func(l *lowering, m *mods) {
		l.count(0, 0)
		l.out.flow = exit
	},
	"trap":    stops,
	"brkpt":   stops,
	"bar":     barrier,
	"barrier": barrier,
	"pmevent": func(l *lowering, m *mods) { m.drop("mask"); l.count(1, 1) },
	"nanosleep": func(l *lowering, m *mods) {
		m.typ()
		l.count(1, 1)
		l.src(&l.now.args[0], u32)
		l.out.run = func(w *warp, _ uint32) { w.yieldGroup() }
	},
	"setmaxnreg": func(l *lowering, m *mods) {
		m.need("inc", "dec")
		m.drop("sync", "aligned")
		m.typ()
		l.count(1, 1)
	},
	"griddepcontrol": func(l *lowering, m *mods) { m.need("launch_dependents", "wait"); l.count(0, 0) },
}

func stops(l *lowering, m *mods) {
	l.count(0, 0)
	l.out.run = func(w *warp, m uint32) { w.fail(Trap, bits.TrailingZeros32(m), "the kernel executes %s", w.name()) }
}

// barrier is bar.sync, bar.arrive, bar.red, bar.warp.sync and barrier.
func barrier(l *lowering, m *mods) {
	args := l.now.args
	if m.flag("warp") {
		m.need("sync")
		l.count(1, 1)
		l.out.member = l.src(&args[0], b32)
		l.out.run = func(w *warp, _ uint32) { w.vc[w.index]++ }
		return
	}
	m.drop("cta")
	aligned := m.flag("aligned") || strings.HasPrefix(l.out.name, "bar.")
	if m.flag("cluster") { // of one block
		m.need("arrive", "wait")
		m.drop("release", "relaxed", "acquire")
		return
	}
	s := barrierSpec{count: none, result: none, value: none, aligned: aligned}
	l.out.flow = barrierFlow
	switch m.need("sync", "arrive", "red") {
	case "sync":
		n := l.count(1, 2)
		s.id = l.src(&args[0], u32)
		if n == 2 {
			s.count = l.src(&args[1], u32)
		}
	case "arrive":
		s.mode = barrierArrive
		l.count(2, 2)
		s.id, s.count = l.src(&args[0], u32), l.src(&args[1], u32)
	default:
		n := l.count(3, 4)
		switch m.need("popc", "and", "or") {
		case "popc":
			s.mode = barrierPopc
			s.result = l.dst(&args[0], m.among(u32))
		case "and":
			s.mode = barrierAnd
			s.result = l.dst(&args[0], m.among(pred))
		default:
			s.mode = barrierOr
			s.result = l.dst(&args[0], m.among(pred))
		}
		s.id = l.src(&args[1], u32)
		if n == 4 {
			s.count = l.src(&args[2], u32)
		}
		s.value, s.not = l.predicate(&args[n-1])
	}
	l.out.bar = s
	l.out.run = func(w *warp, m uint32) { w.arrive(s, m) }
}
