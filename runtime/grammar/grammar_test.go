package grammar

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgc/runtime/tokenizer"
)

// Tokenizers in which a separator is two tokens, and three of which the first may be part of a label.
var tokenizers = map[string]string{"two": "../../golden/pg1-odd", "three": "../../models/paligemma/demo/paligemma-demo"}

const eos = 1

func vocabulary(t *testing.T, name string) *Vocabulary {
	t.Helper()
	src, err := os.ReadFile(filepath.Join(tokenizers[name], "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	compact, err := tokenizer.ParsePaliGemma(src)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load(compact)
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVocabulary(tok, tok.VocabSize(), []int{eos}, []int32{0, 2}, AllCodes)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

var object = regexp.MustCompile(`^<loc(\d{4})><loc(\d{4})><loc(\d{4})><loc(\d{4})>((?:<seg\d{3}>){16})?( ?[^<>;\p{Cc}]*)$`)

// legal says whether a text is an answer of a task, as its definition reads.
func legal(text string, task Task) bool {
	if text == "" {
		return true
	}
	seen := map[string]bool{}
	parts := strings.Split(text, " ; ")
	for _, part := range parts {
		f := object.FindStringSubmatch(part)
		if f == nil || f[3] <= f[1] || f[4] <= f[2] || f[5] != "" && !task.Segment {
			return false
		}
		label := strings.TrimSpace(f[6])
		if !task.FreeLabels && label != "" && f[6] != " "+label { // free labels need no space
			return false
		}
		if task.FreeLabels && label == "" && !task.EmptyLabel ||
			!task.FreeLabels && !slices.Contains(task.Classes, label) && !(label == "" && task.EmptyLabel) {
			return false
		}
		key := strings.Join(f[1:5], "") + label
		if seen[key] {
			return false
		}
		seen[key] = true
	}
	return len(parts) <= task.MaxBoxes
}

// answers are tokens of answers that begin with some, each part completed in a few ways: an answer exists if one of
// these does.
func answers(v *Vocabulary, task Task, ids []int32, yield func([]int32) bool) {
	text := ""
	for _, id := range ids {
		token := strings.ReplaceAll(v.t.Token(id), "▁", " ")
		if strings.HasPrefix(token, "<0x") { // a byte of a character
			token = "?"
		}
		text += token
	}
	last := text[strings.LastIndex(text, ";")+1:]
	labels := slices.Clone(task.Classes)
	if task.EmptyLabel {
		labels = append(labels, "")
	}
	if task.FreeLabels {
		labels = []string{"a", "b", "c", "d"}
	}
	complete := func(ids []int32, label bool) bool {
		for _, l := range labels {
			all := ids
			if !label && l != "" {
				all = append(slices.Clone(ids), v.t.Encode(" "+l, false)...)
			}
			if !yield(all) {
				return false
			}
		}
		return true
	}
	n := strings.Count(last, "<loc")
	segs := strings.Count(last, "<seg")
	_, label, _ := strings.Cut(last[strings.LastIndex(last, ">")+1:], "")
	var loc func(ids []int32, n int) bool
	loc = func(ids []int32, n int) bool {
		if n == corners {
			return complete(ids, false)
		}
		for _, value := range []int{0, 1, 1022, 1023} {
			if !loc(append(slices.Clone(ids), v.loc[value]), n+1) {
				return false
			}
		}
		return true
	}
	switch {
	case n == 0 && text == "":
		yield(ids)
	case n < corners:
		if n == 0 && last != " " { // within a separator
			whole := v.t.Encode(strings.TrimRight(v.written(ids), " ")+" ", false)
			if len(whole) < len(ids) || !slices.Equal(whole[:len(ids)], ids) {
				return
			}
			ids = whole
		}
		loc(ids, n)
	case segs > 0 && segs < maskLen:
		complete(append(slices.Clone(ids), slices.Repeat(v.seg[:1], maskLen-segs)...), false)
	case label == "":
		complete(ids, false)
	default: // a label, or the begin of a separator
		at := len(ids) - 1
		for ; v.value[ids[at]] == 0 && ids[at] != v.loc[0] && ids[at] != v.seg[0]; at-- {
		}
		before := v.written(ids[:at+1])
		for _, l := range labels {
			if l != "" {
				l = " " + l
			}
			for _, whole := range []string{l, l + separator} {
				rest := v.t.Encode(before+whole, false)
				if len(rest) < len(ids) || !slices.Equal(rest[:len(ids)], ids) {
					continue
				}
				if whole == l && !yield(rest) || whole != l && !loc(rest, 0) {
					return
				}
			}
		}
		yield(ids)
	}
}

// TestLegal walks through random grammars at random and compares what may come next, of all tokens, with whether any
// answer begins so. The walks end with answers, whose objects are those of the text.
func TestLegal(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	names := []string{"cat", "dog", "cat food", "red bus", "zx qy", "café"}
	compared := 0
	for round := range 40 {
		v := vocabulary(t, []string{"two", "three"}[round%2])
		task := Task{Segment: rng.IntN(3) == 0, MaxBoxes: 1 + rng.IntN(4), EmptyLabel: rng.IntN(4) == 0}
		if task.FreeLabels = round%5 == 4; !task.FreeLabels {
			rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			task.Classes = slices.Clone(names[:1+rng.IntN(3)])
		}
		g, err := v.Compile(task)
		if err != nil {
			t.Fatal(err)
		}
		m := g.Matcher(g.MaxTokens(), false)
		var ids []int32
		for !m.Done() {
			var next []int32
			for id := range m.Next() {
				if slices.Contains(next, id) {
					t.Fatalf("%+v: token %d comes twice behind %q", task, id, v.written(ids))
				}
				next = append(next, id)
			}
			for range 12 { // tokens of all kinds
				id := int32(rng.IntN(v.size))
				if rng.IntN(3) > 0 && len(next) > 0 {
					id = next[rng.IntN(len(next))]
				}
				if task.FreeLabels && m.part == atFree { // whose many ways the walk checks
					continue
				}
				want := false
				if id == eos {
					want = legal(v.written(ids), task)
				} else if v.t.Token(id) != "<image>" && id > 3 {
					answers(v, task, append(slices.Clone(ids), id), func(all []int32) bool {
						text := v.written(all)
						want = legal(text, task) && (task.FreeLabels || slices.Equal(v.t.Encode(text, false), all))
						return !want
					})
				}
				if got := m.Allows(id); got != want || got != slices.Contains(next, id) {
					t.Fatalf("%+v: behind %q token %d %q is allowed: %v, among the next: %v, expected %v", task, v.written(ids), id, v.t.Token(id), got, slices.Contains(next, id), want)
				}
				compared++
			}
			if only, ok := m.Forced(); ok != (len(next) == 1) || ok && only != next[0] {
				t.Fatalf("forced is %d, %v of %v", only, ok, next)
			}
			// Short labels and edges are likelier, so that objects meet.
			id := next[rng.IntN(len(next))]
			if m.part == atBox && next[0] != eos && rng.IntN(2) == 0 {
				id = next[len(next)-1]
			}
			ids = append(ids, id)
			m.Take(id)
		}
		text := v.written(ids[:len(ids)-1])
		if !legal(text, task) {
			t.Errorf("%+v: %q is no answer", task, text)
		}
		var again []string
		for _, o := range m.Objects() {
			again = append(again, strings.TrimSpace(v.written(ids[o.First:o.End])))
			if f := object.FindStringSubmatch(again[len(again)-1]); f == nil || strings.TrimSpace(f[6]) != o.Label || len(o.Seg) != strings.Count(f[5], "<") {
				t.Errorf("object %+v of %q", o, text)
			}
		}
		if strings.Join(strings.Fields(strings.Join(again, " ; ")), " ") != strings.Join(strings.Fields(text), " ") {
			t.Errorf("objects %q of %q", again, text)
		}
	}
	if compared < 5000 {
		t.Errorf("%d tokens compared", compared)
	}
}

// TestRepeated lets an answer repeat itself: where the far corner leaves one place, the labels run out, and with them
// the ways to it.
func TestRepeated(t *testing.T) {
	v := vocabulary(t, "two")
	g, err := v.Compile(Task{Classes: []string{"cat", "dog"}, MaxBoxes: 9})
	if err != nil {
		t.Fatal(err)
	}
	m := g.Matcher(1000, false)
	take := func(text string) {
		t.Helper()
		for _, id := range v.t.Encode(text, false) {
			if !m.Allows(id) {
				t.Fatalf("%s is not allowed in %q", v.t.Token(id), text)
			}
			m.Take(id)
		}
	}
	take("<loc1022><loc1022><loc1023><loc1023> cat ; <loc1022><loc1022><loc1023><loc1023>")
	if next := slices.Collect(m.Next()); len(next) != 1 || v.t.Token(next[0]) != "▁dog" {
		t.Errorf("the label begins with any of %v, expected dog", next)
	}
	take(" dog ; <loc1022>")
	if m.Allows(v.loc[1022]) || !m.Allows(v.loc[1021]) {
		t.Error("a third object may have the place of two labels")
	}
}

// TestRoom ends answers where no further object has room, in the number of boxes or of tokens, and says so.
func TestRoom(t *testing.T) {
	v := vocabulary(t, "three")
	g, err := v.Compile(Task{Classes: []string{"cat"}, MaxBoxes: 3})
	if err != nil {
		t.Fatal(err)
	}
	if g.MaxTokens() != 3*(4+1+3)+1 {
		t.Errorf("%d tokens at most", g.MaxTokens())
	}
	for tokens, want := range map[int]int{0: 0, 5: 0, 6: 1, 13: 1, 14: 2, 21: 2, 22: 3, 100: 3} {
		m := g.Matcher(tokens, false)
		for n := 0; !m.Done(); n++ {
			id := int32(-1) // the last, which is never the end unless it must be
			for id = range m.Next() {
			}
			if n >= tokens && tokens > 0 {
				t.Fatalf("more than %d tokens", tokens)
			}
			if m.part == atBox && m.corner < 2 && id != eos {
				id = v.loc[n]
			}
			m.Take(id)
		}
		if len(m.Objects()) != want || !m.Cut() {
			t.Errorf("%d tokens: %d objects, expected %d", tokens, len(m.Objects()), want)
		}
	}
	m := g.Matcher(100, false)
	if m.Take(eos); m.Cut() || len(m.Objects()) != 0 {
		t.Error("an empty answer is cut")
	}
}

// TestScores compares scores with sums over the whole distribution.
func TestScores(t *testing.T) {
	v := vocabulary(t, "three")
	rng := rand.New(rand.NewPCG(3, 4))
	for _, free := range []bool{false, true} {
		g, err := v.Compile(Task{Classes: []string{"cat", "red bus"}, FreeLabels: free, MaxBoxes: 3})
		if err != nil {
			t.Fatal(err)
		}
		m := g.Matcher(100, true)
		ids := append(v.t.Encode("<loc0100><loc0010><loc0900><loc1020> red bus ; <loc0000><loc0001><loc0002><loc0003> cat", false), eos)
		var p [][]float64
		for _, id := range ids {
			row, total := make([]float32, v.size), 0.0
			for i := range row {
				row[i] = float32(rng.NormFloat64() * 3)
				total += math.Exp(float64(row[i]))
			}
			if asked := m.Take(id); asked != nil {
				asked.Answer(row)
			}
			probs := make([]float64, len(row))
			for i, x := range row {
				probs[i] = math.Exp(float64(x)) / total
			}
			p = append(p, probs)
		}
		sum := func(p []float64, from, to int) (s float64) {
			for _, x := range p[from:to] {
				s += x
			}
			return s
		}
		first, at := int(v.loc[0]), 0
		labels := []int{len(v.t.Encode(" red bus", false)), 1}
		for i, o := range m.Objects() {
			loc, label := 1.0, 1.0
			for k, value := range o.Loc {
				loc *= sum(p[at+k], first+max(0, value-24), first+min(1023, value+24)+1)
			}
			for k := range labels[i] {
				label *= p[at+4+k][ids[at+4+k]]
			}
			begin := sum(p[0], first, first+1024)
			if i > 0 {
				begin = 1 - p[at-len(v.sep)][eos]
			}
			want := Score{Label: math.Pow(label, 1/float64(labels[i])), Begin: begin, Loc: math.Pow(loc, 0.25)}
			if got := *o.Score; math.Abs(got.Label-want.Label) > 1e-12 || math.Abs(got.Begin-want.Begin) > 1e-12 || math.Abs(got.Loc-want.Loc) > 1e-12 ||
				math.Abs(got.Value-want.Label*want.Begin*want.Loc) > 1e-12 {
				t.Errorf("free %v, object %d: %+v, expected %+v", free, i, got, want)
			}
			at += 4 + labels[i] + len(v.sep)
		}
	}
	for range 100 {
		row, total := make([]float32, 1+rng.IntN(300)), 0.0
		for i := range row {
			row[i] = float32(rng.NormFloat64() * 30)
		}
		d := softmax(row)
		for _, x := range row {
			total += d.weight(x)
		}
		if math.Abs(d.total-total) > 1e-14*total || d.top != float64(slices.Max(row)) {
			t.Errorf("the weights of %v have the sum %v below %v, expected %v", row, d.total, d.top, total)
		}
	}
	for x := float32(0); x > negligible; x -= 0.0137 {
		want := math.Exp(float64(x))
		if got := sumExp([]float32{5 + x}, 5); math.Abs(got-math.Exp(float64(5+x)-5)) > 1e-14*want {
			t.Errorf("exp(%v) is %v, expected %v", x, got, want)
		}
	}
	d := softmax([]float32{float32(math.Inf(1)), 3, float32(math.Inf(-1))})
	if d.sum([]int32{0}) != 1 || d.sum([]int32{1, 2}) != 0 {
		t.Error("an infinite logit does not take all")
	}
}

// TestCodes: masks have the codes that a decoder knows, and no others.
func TestCodes(t *testing.T) {
	whole := vocabulary(t, "two")
	v, err := NewVocabulary(whole.t, whole.size, []int{eos}, nil, 3)
	if err != nil {
		t.Fatal(err)
	}
	g, err := v.Compile(Task{Segment: true, Classes: []string{"cat"}, MaxBoxes: 1})
	if err != nil {
		t.Fatal(err)
	}
	m := g.Matcher(g.MaxTokens(), false)
	for _, i := range []int{1, 2, 3, 4} {
		m.Take(v.loc[i])
	}
	for i, id := range whole.seg {
		if m.Allows(id) != (i < 3) {
			t.Errorf("code %d: allowed %v", i, m.Allows(id))
		}
		if slices.Contains(g.Tokens(), id) != (i < 3) {
			t.Errorf("code %d is kept where it cannot come, or is not", i)
		}
	}
}

// TestErrors says in a sentence what a grammar cannot be.
func TestErrors(t *testing.T) {
	v := vocabulary(t, "two")
	for want, task := range map[string]Task{
		"no classes are given, expected names such as \"cat ; dog\"":                                    {MaxBoxes: 1},
		"a class is empty, expected names such as \"cat ; dog\"":                                        {Classes: []string{"a", " "}, MaxBoxes: 1},
		"the class \"a;b\" holds a separator, < or >, or a control character, which no label has":       {Classes: []string{"a;b"}, MaxBoxes: 1},
		"the class \"<loc0001>\" holds a separator, < or >, or a control character, which no label has": {Classes: []string{"<loc0001>"}, MaxBoxes: 1},
		"0 boxes at most, expected 1 or more":                                                           {Classes: []string{"a"}},
	} {
		if _, err := v.Compile(task); err == nil || err.Error() != want {
			t.Errorf("error %v, expected %s", err, want)
		}
	}
	if _, err := NewVocabulary(v.t, 1443, []int{1}, nil, AllCodes); err == nil || err.Error() != "the model has no token <loc1023>: it cannot locate objects" {
		t.Error(err)
	}
	few, err := NewVocabulary(v.t, 1444, []int{1}, nil, AllCodes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := few.Compile(Task{Segment: true, Classes: []string{"a"}, MaxBoxes: 1}); err == nil || err.Error() != "the model has no token <seg000>: it cannot segment, expected detect" {
		t.Error(err)
	}
	if _, err := NewVocabulary(v.t, 1573, []int{5000}, nil, AllCodes); err == nil {
		t.Error("no end is accepted")
	}
}
