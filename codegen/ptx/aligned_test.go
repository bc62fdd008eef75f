package ptx

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgc/codegen"
	"pgc/ir"
	"pgc/models/paligemma"
	"pgc/passes"
	"pgc/runtime/program"
)

// vectorBytes is how many bytes a thread accesses at a time at most.
const vectorBytes = 16

var (
	declaredAs  = regexp.MustCompile(`\.param \.u64 (param_\w+)`)
	parameterOf = regexp.MustCompile(`ld\.param\.u64 (%\w+), \[(param_\w+)\]`)
	long64      = regexp.MustCompile(`%d\d+`)
	addressOf   = regexp.MustCompile(`\[[^\]]*\]`)
	vectorOf    = regexp.MustCompile(`\b(ld|st)\.global\S*\.(v4\.[bfu]32|v2\.b64)\b|\bcp\.async\.c[ag]\.shared\.global \[[^\]]*\], \[[^\]]*\], 16\b`)
	globalOf    = regexp.MustCompile(`\bglobal\S* [^;]*`)
)

// vectors are the numbers of a kernel's parameters that addresses of accesses of 16 bytes to global memory are computed
// from: pointers, as their text says.
func vectors(k *Kernel) []int {
	number := map[string]int{}
	for i, n := range declaredAs.FindAllStringSubmatch(k.Text, -1) {
		number[n[1]] = i
	}
	from := map[string]map[int]bool{} // parameters that registers depend on
	pointer := map[int]bool{}
	for _, n := range parameterOf.FindAllStringSubmatch(k.Text, -1) {
		from[n[1]] = map[int]bool{number[n[2]]: true}
	}
	lines := strings.Split(k.Text, "\n")
	var moves [][]string // registers of 64 bits: one, and those that it is computed from
	for _, line := range lines {
		if strings.Contains(line, "ld.") || !strings.Contains(line, "%d") {
			continue
		}
		if regs := long64.FindAllString(line, -1); len(regs) > 1 {
			moves = append(moves, regs)
			if strings.Contains(line, "cvta.to.global") {
				for p := range from[regs[1]] {
					pointer[p] = true
				}
			}
		}
	}
	for range 4 { // as many rounds as loops are nested
		for _, regs := range moves {
			for _, r := range regs[1:] {
				for p := range from[r] {
					if from[regs[0]] == nil {
						from[regs[0]] = map[int]bool{}
					}
					from[regs[0]][p] = true
				}
			}
		}
	}
	found := map[int]bool{}
	for _, line := range lines {
		if !vectorOf.MatchString(line) {
			continue
		}
		for _, address := range addressOf.FindAllString(globalOf.FindString(line), -1) {
			for _, r := range long64.FindAllString(address, -1) {
				for p := range from[r] {
					if pointer[p] {
						found[p] = true
					}
				}
			}
		}
	}
	var list []int
	for p := range found {
		list = append(list, p)
	}
	slices.Sort(list)
	return list
}

// aligned looks through all launches of a program: it counts the arguments, by space, that kernels access in pieces of 16
// bytes, and lists those that do not begin at multiples of 16 bytes whatever the symbols are. All memory does.
// of are the parameters by kernel.
func aligned(p *program.Program, ks []*Kernel, of [][]int) (count map[program.Space]int, wrong []string) {
	count = map[program.Space]int{}
	look := func(where string, launches []program.Launch) {
		for _, l := range launches {
			for _, i := range of[l.Kernel] {
				if i >= len(l.Args) {
					wrong = append(wrong, fmt.Sprintf("%s: %s accesses parameter %d, the number of tasks", where, ks[l.Kernel].Name, i))
					continue
				}
				a := l.Args[i]
				count[a.Space]++
				off := a.Offset%vectorBytes != 0
				for _, t := range a.Terms {
					off = off || t.Stride%vectorBytes != 0
				}
				if off || a.Space == program.SpaceSymbol {
					wrong = append(wrong, fmt.Sprintf("%s: parameter %d of %s begins at %v", where, i, ks[l.Kernel].Name, a))
				}
			}
		}
	}
	for _, f := range p.Funcs {
		look("@"+f.Name, f.Launches)
	}
	for i, l := range p.Loads {
		look(fmt.Sprintf("load %d", i), l.Launches)
	}
	return count, wrong
}

// TestVectorsAreAligned: what kernels of whole models, of even and odd sizes and in all storages, access in pieces of 16
// bytes begins at multiples of 16 bytes in the arena, in weights, in caches, in their batch slots, in inputs and outputs;
// and the test finds an offset that does not.
func TestVectorsAreAligned(t *testing.T) {
	even := paligemma.Config{
		Vision: paligemma.Vision{HiddenSize: 64, IntermediateSize: 128, NumHiddenLayers: 1, NumAttentionHeads: 2, ImageSize: 28, PatchSize: 14, LayerNormEps: 1e-6},
		Text: paligemma.Text{VocabSize: 1600, HiddenSize: 128, IntermediateSize: 256, NumHiddenLayers: 1, NumAttentionHeads: 4,
			NumKeyValueHeads: 1, HeadDim: 64, RMSNormEps: 1e-6, RopeTheta: 1e4, QueryPreAttnScalar: 64, TieWordEmbeddings: true}}
	odd := even
	odd.Vision.HiddenSize, odd.Vision.IntermediateSize, odd.Vision.NumAttentionHeads = 39, 53, 3
	odd.Text.VocabSize, odd.Text.HiddenSize, odd.Text.IntermediateSize, odd.Text.NumAttentionHeads, odd.Text.HeadDim = 1301, 43, 71, 5, 10
	all := map[program.Space]int{}
	for i, stored := range []string{"bf16", "i8g32", "i4g32"} {
		for j, cfg := range []paligemma.Config{even, odd} {
			for _, kv := range []ir.DType{ir.BF16, ir.F32}[(i+j)%2:][:1] {
				d, _ := ir.ParseDType(stored)
				m, err := paligemma.Graph(cfg, paligemma.Options{MaxTokens: 31, KV: kv, FreshKeys: true, Likeliest: true, Verify: true, DType: func(key string) ir.DType {
					if strings.HasPrefix(key, "language_model") && (strings.Contains(key, "proj") || strings.Contains(key, "embed")) {
						return d
					}
					return ir.BF16
				}})
				if err != nil {
					t.Fatal(err)
				}
				if err := passes.Optimize(m, passes.Options{Off: passesOff()}); err != nil {
					t.Fatal(err)
				}
				r, err := codegen.Compile(t.Context(), m, Backend())
				if err != nil {
					t.Fatal(err)
				}
				var of [][]int
				for _, k := range r.Kernels {
					of = append(of, vectors(k))
				}
				count, wrong := aligned(r.Program, r.Kernels, of)
				for _, w := range wrong {
					t.Errorf("%d columns, %s, %s: %s", cfg.Text.HiddenSize, stored, kv, w)
				}
				for space, n := range count {
					all[space] += n
					skewed(t, r.Program, r.Kernels, of, space)
				}
			}
		}
	}
	t.Logf("arguments that are accessed in pieces of 16 bytes, by space: %v", all)
	for _, space := range []program.Space{program.SpaceWeights, program.SpaceArena, program.SpaceState, program.SpaceOutput} {
		if all[space] == 0 {
			t.Errorf("no argument in %v is accessed so", space)
		}
	}
}

// skewed moves an argument of a space that is accessed in pieces of 16 bytes, or lets it move with a symbol, and expects
// that it is found.
func skewed(t *testing.T, p *program.Program, ks []*Kernel, of [][]int, space program.Space) {
	t.Helper()
	for fi, f := range p.Funcs {
		for li, l := range f.Launches {
			for _, i := range of[l.Kernel] {
				if l.Args[i].Space != space {
					continue
				}
				a := &p.Funcs[fi].Launches[li].Args[i]
				before := *a
				for _, change := range []func(){func() { a.Offset += 8 }, func() { a.Terms = append(slices.Clip(a.Terms), program.Term{Stride: 4}) }} {
					change()
					if _, wrong := aligned(p, ks, of); len(wrong) != 1 {
						t.Errorf("%v that begins at %v is told of by %v", space, *a, wrong)
					}
					*a = before
				}
				return
			}
		}
	}
}
