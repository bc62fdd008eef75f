package main

import (
	"fmt"
	"strings"
)

// commands are what cases run. Words in braces are rows of blanks.
var commands = []struct {
	weight        int
	program, line string
}{
	{12, "answers", "generate --image {picture} --prompt {prompt} --max-new-tokens {n} {generate}"},
	{4, "answers", "{picture} {prompt}"},
	{3, "answers", "generate --image {picture} --image {picture} --prompt {prompt} --prompt {prompt} --max-new-tokens 2 --each"},
	{4, "answers", "generate --image {picture} --prompt {prompt} --max-new-tokens 4 --draw {out}"},
	{10, "answers", "forward --image {picture} --prompt {prompt} {suffix} -o {out}"},
	{14, "answers", "batch --input {requests} --output {answers}"},
	{3, "answers", "batch --input {requests} --output -"},
	{3, "answers", "tokenize {prompt}"},
	{4, "answers", "tokenize --input {text}"},
	{4, "answers", "info {info}"},
	{1, "answers", "--help"},
	{5, "embeds", "embed {picture} {picture} -o {out}"},
	{4, "embeds", "embed --query {prompt} -o {out}"},
	{6, "embeds", "rank --query {prompt} {picture} {picture} {json}"},
	{2, "embeds", "info {info}"},
	{5, "file:in/exe", "generate --image {picture} --prompt {prompt} --max-new-tokens 2 {own}"},
	{2, "file:in/exe", "info --json {own}"},
	{14, "pgc", "opt {graph} {passes}"},
	{4, "pgc", "opt {graph} -p {pass} --plan"},
	{4, "pgc", "opt {add} --eval {pair} -o {out}"},
	{3, "pgc", "opt {model} -p all"},
	{5, "pgc", "size {model} {json}"},
	{3, "pgc", "random {config} -o {out} --dtype f16"},
	{2, "pgc", "compile {checkpoint} -o {out} {compile}"},
	{1, "pgc", "run {checkpoint} info"},
	{1, "pgc", "check {checkpoint} --cpu x86-64-v3"},
	{1, "pgc", "check {executable}"},
	{1, "pgc", "version"},
	{1, "pgc", "{help}"},
}

// maker makes cases.
type maker struct {
	random
	w       *workshop
	c       *Case
	blocked bool // the case waits for what never comes
}

// passes are lists for opt -p.
var passes = []string{"all", "all", "canonicalize,cse", "fuse-map,fuse-row,legalize", "legalize", "fuse-matmul,legalize"}

// blanks fill the words in braces of commands.
var blanks = map[string]func(m *maker) []string{
	"{picture}": func(m *maker) []string {
		name := m.file("in/p", "picture")
		if m.c.Stdin == "" && m.chance(0.1) {
			m.c.Stdin = name
			return []string{"-"}
		}
		return []string{name}
	},
	"{prompt}": func(m *maker) []string {
		return []string{one(m.random, []string{"caption en", "", "detect cat ; dog", "<loc0001> é\n", "answer en what is this?"})}
	},
	"{suffix}": func(m *maker) []string { return one(m.random, [][]string{nil, {"--suffix", "a cat"}, {"--suffix="}}) },
	"{n}":      func(m *maker) []string { return []string{one(m.random, []string{"1", "3", "20"})} },
	"{json}":   func(m *maker) []string { return one(m.random, [][]string{nil, {"--json"}}) },
	"{info}": func(m *maker) []string {
		return one(m.random, [][]string{nil, {"--json"}, {"--verify"}, {"--json", "--verify"}, {"--license"}})
	},
	"{generate}": func(m *maker) (args []string) {
		for range m.IntN(3) {
			args = append(args, one(m.random, []string{"--json", "--logprobs", "--temperature=1", "--seed=7", "--top-k=3", "--top-p=0.5", "--stop=<", "--threads=1",
				"--ignore-eos", "--parse-specials", "--repetition-penalty=1.3", "--stream"}))
		}
		return args
	},
	"{out}": func(m *maker) []string { return []string{"out/o"} },
	"{requests}": func(m *maker) []string {
		m.file("in/p", "picture")
		m.file("in/p", "picture")
		name := m.file("in/requests", "requests")
		if m.c.Stdin == "" && m.chance(0.15) {
			m.c.Stdin = name
			return []string{"-"}
		}
		return []string{name}
	},
	"{answers}": func(m *maker) []string {
		if m.chance(0.3) {
			m.c.Files = append(m.c.Files, File{Name: "out/o", From: one(m.random, m.w.kinds["answers"])})
		}
		return []string{"out/o"}
	},
	"{text}": func(m *maker) []string { return []string{m.file("in/text", "text")} },
	"{own}": func(m *maker) []string {
		m.c.Files = append(m.c.Files, File{Name: "in/exe", From: "executable/answers"})
		return nil
	},
	"{executable}": func(m *maker) []string { return []string{m.file("in/exe", "executable")} },
	"{graph}":      func(m *maker) []string { return []string{m.file("in/graph", "graph")} },
	"{pass}":       func(m *maker) []string { return []string{one(m.random, passes)} },
	"{passes}": func(m *maker) []string {
		if m.chance(0.4) {
			return nil
		}
		return []string{"-p", one(m.random, passes)}
	},
	"{add}": func(m *maker) []string {
		m.c.Files = append(m.c.Files, File{Name: "in/add.pgir", Text: "func @f(%x: input f32[2]) {\n  %0 = add %x, %x : f32[2]\n  return y = %0 : f32[2]\n}\n"})
		return []string{"in/add.pgir"}
	},
	"{pair}": func(m *maker) []string {
		header := `{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  `
		m.c.Files = append(m.c.Files, File{Name: "in/pair", Text: text(fmt.Sprintf("%c\x00\x00\x00\x00\x00\x00\x00%s\x00\x00\x80\x3f\x00\x00\x00\x40", len(header), header))})
		return []string{"in/pair"}
	},
	"{config}": func(m *maker) []string { return []string{m.file("in/config.json", "config")} },
	"{model}": func(m *maker) []string {
		return []string{one(m.random, []func() string{
			func() string { return m.file("in/config.json", "config") }, func() string { return m.file("in/checkpoint", "checkpoint") },
			func() string { return m.file("in/exe", "executable") }, func() string { return "paligemma-3b-224" },
		})()}
	},
	"{checkpoint}": func(m *maker) []string { return []string{m.file("in/checkpoint", "checkpoint")} },
	"{compile}": func(m *maker) []string {
		return append([]string{"--cpu", "x86-64-v3"}, one(m.random, [][]string{nil, nil, {"--json"}, {"--weights", "int8", "--group", "32"}, {"--emit", "graph", "--emit-dir", "out/emit"}, {"--kv", "bf16"}})...)
	},
	"{help}": func(m *maker) []string {
		return one(m.random, [][]string{{"--help"}, {"compile", "--help"}, {"opt", "-d", "help", "x"}, {"help"}, {"opt", "--help"}})
	},
}

// file adds a file of a kind and returns its name.
func (m *maker) file(name, kind string) string {
	if kind == "picture" {
		name += fmt.Sprint(strings.Count(fmt.Sprint(m.c.Files), "in/p"))
	}
	m.c.Files = append(m.c.Files, File{Name: text(name), From: one(m.random, m.w.kinds[kind])})
	return name
}

// make makes the case of a seed.
func (w *workshop) make(seed uint64) *Case {
	m := &maker{random: newRandom(seed), w: w, c: &Case{}}
	total := 0
	for _, c := range commands {
		total += c.weight
	}
	at := m.IntN(total)
	for _, c := range commands {
		if at -= c.weight; at < 0 {
			m.c.Program = c.program
			for _, word := range strings.Fields(c.line) {
				args := []string{word}
				if fill, ok := blanks[word]; ok {
					args = fill(m)
				}
				for _, a := range args {
					m.c.Args = append(m.c.Args, text(a))
				}
			}
			break
		}
	}
	for range one(m.random, []int{0, 1, 1, 1, 1, 2, 2, 3}) {
		one(m.random, harms)(m)
	}
	m.c.Gone = m.c.Gone && m.c.Place == "" && !strings.HasPrefix(m.c.Program, "file:") // neither a mount nor the program can be removed
	if m.blocked {
		m.c.Signals = append(m.c.Signals, Signal{one(m.random, []string{"SIGINT", "SIGTERM"}), 300_000 + m.IntN(300_000)})
	}
	return m.c
}
