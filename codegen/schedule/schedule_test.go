package schedule

import (
	"slices"
	"testing"

	"pgc/ir/target"
)

// TestRowsAreOfFamilies expects rows of CPUs that there are, with vectors of their length, and none twice.
func TestRowsAreOfFamilies(t *testing.T) {
	lanes := map[string][]int{}
	for _, name := range target.Names() {
		c, err := target.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		lanes[c.Family] = append(lanes[c.Family], c.Lanes)
		lanes[""] = append(lanes[""], c.Lanes)
	}
	type key struct {
		of     string
		family string
		lanes  int
	}
	seen := map[key]bool{}
	check := func(k key) {
		if seen[k] {
			t.Errorf("%+v has two rows", k)
		}
		seen[k] = true
		if !slices.Contains(lanes[k.family], k.lanes) {
			t.Errorf("%+v is of no CPU", k)
		}
	}
	for _, r := range Default.Products {
		check(key{string(r.Class), r.Family, r.Lanes})
	}
	for _, r := range Default.Attentions {
		check(key{"attention", r.Family, r.Lanes})
	}
}

// TestFamilyComesFirst takes a family's row before that for all CPUs, wherever it stands.
func TestFamilyComesFirst(t *testing.T) {
	of := func(mr int) Product { return Product{Many: Many{MR: mr}} }
	table := &Table{Products: []Row{{U8, "", 8, of(1)}, {U8, "znver3", 8, of(2)}, {U8, "znver3", 16, of(3)}, {I16, "", 8, of(4)}},
		Attentions: []Attention{{"", 8, 1, 2, 8}, {"haswell", 8, 2, 2, 8}}}
	find := func(name string) target.Target {
		c, err := target.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	zen, v3, haswell := find("znver3"), find("x86-64-v3"), find("broadwell")
	for _, c := range []struct {
		cpu  target.Target
		want int
	}{{zen, 2}, {v3, 1}, {haswell, 1}} {
		if got := table.Of(U8, c.cpu).Many.MR; got != c.want {
			t.Errorf("%s: row %d, expected %d", c.cpu.Name, got, c.want)
		}
	}
	if got := table.With(Row{U8, "znver3", 8, of(9)}).Of(U8, zen).Many.MR; got != 9 {
		t.Errorf("a row before the table's is not taken: got %d", got)
	}
	if got := table.Attention(haswell).MR; got != 2 {
		t.Errorf("broadwell has haswell's attention: got row %d", got)
	}
	for _, c := range []struct {
		a, b     target.Target
		integers bool
		want     bool
	}{{zen, v3, false, true}, {zen, v3, true, false}, {haswell, v3, false, false}, {v3, v3, true, true}} {
		all := &Table{append(slices.Clone(Default.Products), table.Products...), append([]Attention{{"haswell", 8, 2, 2, 8}}, Default.Attentions...)}
		if got := all.Same(c.a, c.b, false, c.integers); got != c.want {
			t.Errorf("%s and %s, integers %v: scheduled alike %v, expected %v", c.a.Name, c.b.Name, c.integers, got, c.want)
		}
	}
}

// TestSpacesHoldTheirSteps expects every step to change something of a schedule, and to leave what other steps choose.
func TestSpacesHoldTheirSteps(t *testing.T) {
	for _, name := range []string{"x86-64-v3", "cascadelake", "neoverse-n2"} {
		cpu, err := target.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range Default.Products {
			if r.Lanes != cpu.Lanes || r.Family != "" {
				continue
			}
			for _, s := range []Space[Product]{OfMany(r.Class, cpu), OfOne(r.Class, cpu), OfFew(r.Class, cpu)} {
				tried := 0
				for _, step := range s.Steps {
					for _, p := range step.Next(r.Product) {
						tried++
						if s.Name != "many rows" && p.Many != r.Many || s.Name != "one row" && p.One != r.One || s.Name != "few rows" && p.Few != r.Few {
							t.Errorf("%s, %s, %s: %+v changes more than that", r.Class, s.Name, step.Name, p)
						}
					}
				}
				if tried < 5 {
					t.Errorf("%s, %s: %d schedules", r.Class, s.Name, tried)
				}
			}
		}
	}
}

// TestSpacesOfAttention expects each of the numbers of attention to be searched in one of its spaces, and no other there.
func TestSpacesOfAttention(t *testing.T) {
	for _, name := range []string{"x86-64-v3", "cascadelake", "neoverse-n2"} {
		cpu, err := target.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		now := Default.Attention(cpu)
		for _, s := range []Space[Attention]{OfAttention(cpu), OfStrips(cpu)} {
			blocks, strips := 0, 0
			for _, step := range s.Steps {
				for _, a := range step.Next(now) {
					if a.MR != now.MR || a.Vecs != now.Vecs {
						blocks++
					}
					if a.Strips != now.Strips {
						strips++
					}
				}
			}
			if many := s.Name == OfStrips(cpu).Name; (blocks > 2) == many || (strips > 2) != many {
				t.Errorf("%s, %s: %d other microkernels and %d other numbers of strips", name, s.Name, blocks, strips)
			}
		}
	}
}
