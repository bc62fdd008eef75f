package generate

import (
	"slices"
	"testing"
	"time"

	"pgc/runtime/engine"
	"pgc/runtime/manifest"
	"pgc/runtime/program"
)

func TestLookup(t *testing.T) {
	for _, c := range []struct {
		h    []int32
		text int
		want []int32
	}{
		{nil, 0, nil},
		{[]int32{1}, 0, nil},
		{[]int32{1, 2, 3}, 0, nil},
		{[]int32{1, 2, 3, 2}, 0, nil},                                         // one token is too few
		{[]int32{1, 2, 3, 1, 2}, 0, []int32{3, 1, 2, 3, 1}},                   // it repeats itself
		{[]int32{7, 7, 7}, 0, []int32{7, 7, 7, 7, 7}},                         // so does one token
		{[]int32{1, 2, 3, 1, 2}, 1, nil},                                      // the place is no text
		{[]int32{1, 2, 3, 4, 1, 2, 5, 6, 1, 2}, 0, []int32{5, 6, 1, 2, 5}},    // the latest place
		{[]int32{9, 1, 2, 3, 8, 1, 2, 5, 9, 1, 2}, 0, []int32{3, 8, 1, 2, 5}}, // one that more tokens agree with
	} {
		if got, _ := lookup(c.h, c.text, 5); !slices.Equal(got, c.want) {
			t.Errorf("%v from %d on: %v, expected %v", c.h, c.text, got, c.want)
		}
	}
}

// TestFollowed learns of a guess that is followed from the tokens behind it, and nothing where some came unseen.
func TestFollowed(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []int // how many tokens had come
		learn float64
	}{{"all", []int{10, 11, 12}, 3}, {"the second came in a batch", []int{10, 12}, 0}, {"the first did", []int{11, 12}, 0}} {
		p := &speculation{followed: []int32{5, 6, 7}, behind: 10, match: 2}
		for _, n := range c.steps {
			p.follow(int32(n-10+5), n)
		}
		if want := hopeWeight * c.learn; p.hopes[2] != want || p.followed != nil {
			t.Errorf("%s: hope %g, expected %g; %v is followed", c.name, p.hopes[2], want, p.followed)
		}
	}
}

// TestMayLose takes texts in which guesses are never, seldom, at first and always right, with steps of a millisecond and
// verified ones of three: no text takes over 2 % longer than step by step, and the last one much less.
func TestMayLose(t *testing.T) {
	const step, verify, tokens = 1e-3, 3e-3, 3000
	unknown := int32(1000)
	text := func(repeats func(i int) bool) (all []int32) {
		for i := 0; len(all) < tokens+10; i++ {
			all = append(all, 4, 5)
			for range 8 {
				if unknown++; repeats(i) {
					all = append(all, all[len(all)-10])
				} else {
					all = append(all, unknown)
				}
			}
		}
		return all
	}
	for _, c := range []struct {
		name string
		text []int32
		most float64 // of the time of single steps
	}{
		{"never", text(func(int) bool { return false }), 1 + mayLose},
		{"seldom", text(func(i int) bool { return i%7 == 6 }), 1 + mayLose},
		{"at first", text(func(i int) bool { return 0 < i && i < 20 }), 1 + mayLose},
		{"always", text(func(i int) bool { return i > 0 }), 0.5},
	} {
		s := &Session{Model: &manifest.Model{MaxTokens: 10_000, Image: -1}, Engine: &engine.Engine{Program: &program.Program{MinBatch: 2}}}
		s.costs = costs{step, verify}
		q := &sequence{s: s, r: Request{MaxNewTokens: 9000}, a: &Answer{Prefill: 20 * time.Millisecond}, seen: slices.Clone(c.text[:1]), waiting: c.text[1:2]}
		q.speculation = s.newSpeculation(nil)
		p, seconds := q.speculation, 0.0
		for len(q.seen) < tokens {
			q.began = time.Now().Add(-time.Duration(seconds * float64(time.Second)))
			guess, match := s.draft(q)
			at, taken := len(q.seen)+1, 1
			if guess == nil {
				p.follow(c.text[at], at)
				seconds += step
			} else {
				for taken <= len(guess) && guess[taken-1] == c.text[at+taken-1] {
					taken++
				}
				p.learn(match, taken-1)
				p.lost += verify - float64(taken)*step
				seconds += verify
			}
			q.seen, q.waiting = append(q.seen, c.text[at-1:at+taken-1]...), c.text[at+taken-1:at+taken]
		}
		share := seconds / (float64(len(q.seen)) * step)
		t.Logf("%s: %.1f %% of the time of single steps", c.name, 100*share)
		if share > c.most+0.001 {
			t.Errorf("%s: %.1f %%, expected at most %.1f", c.name, 100*share, 100*c.most)
		}
	}
}
