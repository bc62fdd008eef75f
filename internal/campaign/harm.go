package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// harms are what a case has to stand. Those that come more than once are likelier.
var harms = []func(m *maker){damage, damage, damage, damage, odd, odd, signals, signals, limit, limit, failures, failures, failures, stream, stream,
	environment, reach, place, place, user, memory, argument, argument, argument, target, target}

// damage changes the bytes of an input.
func damage(m *maker) {
	if len(m.c.Files) == 0 {
		return
	}
	f := &m.c.Files[m.IntN(len(m.c.Files))]
	for range 1 + m.IntN(2) {
		f.Damage = append(f.Damage, Damage{one(m.random, slices.Sorted(maps.Keys(damages))), m.Uint64() >> 32})
	}
}

// odd makes an input something else than a file, or unreadable.
func odd(m *maker) {
	if len(m.c.Files) == 0 {
		return
	}
	f := &m.c.Files[m.IntN(len(m.c.Files))]
	m.odd(f)
}

func (m *maker) odd(f *File) {
	if string(f.Name) == m.c.Stdin || m.c.Program == "file:"+string(f.Name) {
		return
	}
	switch f.Kind = one(m.random, []string{"folder", "fifo", "socket", "link", "link", "sparse", "missing", "mode"}); f.Kind {
	case "fifo":
		m.blocked = true
	case "link":
		f.To = text(one(m.random, []string{"none", string(f.Name[strings.LastIndexByte(string(f.Name), '/')+1:]), "/dev/null", "/dev/zero", "/dev/full", ".", "/proc/self/mem", "/proc/self/fd/0", "/dev/stdin"}))
	case "mode":
		f.Kind, f.Mode = "", 0o200
		m.c.User = true
	}
}

// target puts something where the output goes.
func target(m *maker) {
	if !slices.Contains(m.c.Args, "out/o") || strings.Contains(fmt.Sprint(m.c.Files), "out/o") {
		return
	}
	f := File{Name: "out/o", Text: "what was here before\n"}
	if m.chance(0.7) {
		m.odd(&f)
	}
	if f.Kind == "sparse" {
		f.Kind = ""
	}
	m.c.Files = append(m.c.Files, f)
}

// signals come at any time.
func signals(m *maker) {
	for range 1 + m.IntN(2) {
		m.c.Signals = append(m.c.Signals, Signal{one(m.random, []string{"SIGINT", "SIGTERM", "SIGINT", "SIGTERM", "SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE", "SIGWINCH", "SIGCONT", "SIGURG"}), m.IntN(1 << (5 + m.IntN(16)))})
	}
}

// limit lowers a resource.
func limit(m *maker) {
	name := one(m.random, slices.Sorted(maps.Keys(limits)))
	m.c.Limits = map[string]uint64{name: map[string]func() uint64{
		"as":      func() uint64 { return uint64(500+m.IntN(2500)) << 20 },
		"data":    func() uint64 { return uint64(m.IntN(1000)) << 20 },
		"nofile":  func() uint64 { return uint64(m.IntN(40)) },
		"nproc":   func() uint64 { return uint64(1 + m.IntN(60)) },
		"fsize":   func() uint64 { return uint64(m.IntN(1 << (1 + m.IntN(22)))) },
		"stack":   func() uint64 { return uint64(64+m.IntN(2000)) << 10 },
		"memlock": func() uint64 { return 0 },
		"core":    func() uint64 { return 0 },
	}[name]()}
	if name == "nproc" {
		m.c.User = true // it counts the other processes of a user
	}
}

// failures of system calls.
func failures(m *maker) {
	m.c.Seed, m.c.Rate = m.Uint64()>>16, one(m.random, []float64{0.003, 0.01, 0.01, 0.01, 0.05})
}

// stream closes or fills standard files.
func stream(m *maker) {
	switch m.IntN(3) {
	case 0:
		if m.c.Stdin == "" {
			m.c.Stdin = one(m.random, []string{"closed", "open", "empty"})
			m.blocked = m.blocked || m.c.Stdin == "open"
		}
	case 1:
		m.c.Stdout = one(m.random, []string{"closed", "full", "broken", "null", "stuck"})
		m.blocked = m.blocked || m.c.Stdout == "stuck"
	case 2:
		m.c.Stderr = one(m.random, []string{"closed", "full", "broken", "stuck"})
	}
}

// environment changes variables.
func environment(m *maker) {
	for range 1 + m.IntN(2) {
		m.c.Env = append(m.c.Env, one(m.random, []text{"HOME", "HOME=", "HOME=/proc/none", "HOME=home/../..", "TMPDIR=/nonexistent", "TMPDIR=in/none", "TMPDIR=/dev/null", "TMPDIR=\xff",
			"PATH", "PATH=", "PATH=/nonexistent", "LANG=xx_YY.latin1", "LC_ALL=tr_TR.UTF-8", "TZ=Nowhere/Else", "TZ=/dev/zero", "COLUMNS=0", "COLUMNS=-1", "TERM=\x1b[31m",
			"GOMAXPROCS=1", "GOMAXPROCS=1000", "GOGC=1", "GOGC=off", "GOMEMLIMIT=1", "XDG_CACHE_HOME=relative", "XDG_CACHE_HOME=/dev/null/x", "http_proxy=http://127.0.0.1:1", "http_proxy=:\x01", "NO_COLOR=1",
			"A=" + text(strings.Repeat("x", 100000))}))
	}
}

// reach starts the program by another path.
func reach(m *maker) {
	if !strings.HasPrefix(m.c.Program, "file:") {
		m.c.Via = one(m.random, []string{"symlink", "odd", "fd", "deleted", "replaced", "noname"})
	}
	if m.c.Program == "pgc" && m.c.Via != "fd" && m.c.Via != "noname" {
		m.c.Via = "" // its runtime lies beside it
	}
	if m.c.Via == "" && m.chance(0.2) {
		m.c.Gone = true
	}
}

// place makes the disk full or read-only.
func place(m *maker) {
	m.c.Place = one(m.random, []string{"full", "readonly"})
}

// user runs the case as nobody.
func user(m *maker) { m.c.User = true }

// memory limits what an executable may keep resident, with its files.
func memory(m *maker) {
	if m.c.Program == "answers" || m.c.Program == "embeds" {
		m.c.Memory = uint64(24+m.IntN(100)) << 20
	}
}

// oddArguments are what few users write.
var oddArguments = []text{"", "-", "--", "-1", "0", "1e999", "NaN", "9223372036854775808", "-9223372036854775809", "0x10", "1_000", "\xff\xfe", "a\nb", "\x1b]0;x\a", "\u202e", "--unknown", "-x", "--image", "--prompt=",
	"--output", "--help", "--json=maybe", "--threads=99999", "--threads=-1", "--isa=none", "--cpu=native", "--cpu=,", "--cpu=none", "-d=help", "-d=nonsense", "-d=check", "-d=time", "--sym=a=b", "--max-tokens=-5", "--max-tokens=1e9",
	"--temperature=-1", "--top-p=2", "--seed=-1", "--stop=", "--max-new-tokens=0", "--keep=[=x", "--keep==", "--weights=int4", "--group=7", "--dtype=f64", "--emit=all", "/dev/null", "/dev/zero", "/", ".", "in", "out", "in/none", "out/none/o",
	"data:,", "data:image/png;base64,!!", "http://127.0.0.1:1/x", "http://", "https://[::1", "file:///etc", "${HOME}", "$(x)", "%s%n", "in/p0/", "@in/p0", text("long" + strings.Repeat("x", 100000)), "out/o", "in/p0", "in/p1", "in/requests", "in/graph", "in/checkpoint/model.safetensors", "in/pair", "in/exe"}

// argument changes the command line.
func argument(m *maker) {
	if len(m.c.Args) == 0 {
		return
	}
	at := m.IntN(len(m.c.Args))
	switch m.IntN(4) {
	case 0:
		m.c.Args[at] = one(m.random, oddArguments)
	case 1:
		m.c.Args = slices.Insert(m.c.Args, at, one(m.random, oddArguments))
	case 2:
		m.c.Args = slices.Delete(m.c.Args, at, at+1)
	case 3:
		m.c.Args = append(m.c.Args, one(m.random, oddArguments))
	}
	// What waits for standard input gets its end; what another output would be is not looked for.
	m.c.Args = slices.DeleteFunc(m.c.Args, func(a text) bool { return a == "/dev/zero" && m.chance(0.5) })
}
