package kernels

import (
	"testing"

	"pgc/ir/target"
)

// products are the types of x and of weights that matmuls have.
var products = [][2]DType{{F32, F32}, {F32, BF16}, {F32, F16}, {F32, Int8}, {F32, Int4}, {BF16, BF16}, {Int8, Int8}, {Int8, Int4}}

// TestForms expects for every CPU a form of every product whose row of the table is whole and holds together.
func TestForms(t *testing.T) {
	taken := map[*mma]bool{}
	for _, name := range target.Names() {
		tgt, err := target.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, types := range products {
			for _, rows := range []int64{1, 2, fewRows, 300} {
				f := form(tgt, types[0], types[1], rows)
				taken[f] = true
				s, ok := f.schedules[tgt.Lanes]
				if !ok || s.mr < 1 || s.vecs < 1 || s.side < 1 || s.chains < 1 || s.mb < int64(s.mr) {
					t.Errorf("%s on %s: schedule %+v of %d lanes", f.name, name, s, tgt.Lanes)
				}
				if s.kc%128 != 0 && f.unit == 1 || s.mr%f.rows != 0 || s.nb%PanelPad != 0 {
					t.Errorf("%s on %s: kc %d, mr %d, nb %d: expected whole groups, sums and panels", f.name, name, s.kc, s.mr, s.nb)
				}
				if s.side%s.chains != 0 && s.side > 1 || f.step%int64(s.chains) != 0 && f.grouped() {
					t.Errorf("%s on %s: %d chains", f.name, name, s.chains)
				}
			}
		}
	}
	for _, f := range forms {
		if !taken[f] {
			t.Errorf("%s: no CPU takes it", f.name)
		}
		if f.body%f.step != 0 || f.step%f.loader.units != 0 && f.loader.units%f.step != 0 || f.rows < 1 || f.halves < 1 || f.do == nil || f.total == nil {
			t.Errorf("%s: %+v does not hold together", f.name, *f)
		}
	}
}

// TestFormOfTarget says which form some CPUs take.
func TestFormOfTarget(t *testing.T) {
	for _, c := range []struct {
		cpu  string
		x, w DType
		want string
	}{
		{"haswell", F32, BF16, "MMA_1xNx1_F32_CASTF32"},
		{"haswell", BF16, BF16, "MMA_1xNx2_F32_CASTBF16"},
		{"znver4", BF16, BF16, "MMA_X86_AVX512BF16_1x16x2_F32_BF16"},
		{"haswell", Int8, Int8, "MMA_X86_1xNx2_I32_CASTI16"},
		{"skylake-avx512", Int8, Int4, "MMA_X86_1xNx8_I32_UI4_I8"},
		{"alderlake", Int8, Int8, "MMA_X86_VNNI_1xNx4_I32_UI8_I8"},
		{"cascadelake", Int8, Int4, "MMA_X86_VNNI_1xNx4_I32_UI4_I8"},
		{"armv8-a", Int8, Int8, "MMA_ARM_1x4x4_I32_I8_I8"},
		{"neoverse-n1", Int8, Int4, "MMA_ARM_1x4x4_I32_I8_UI4"},
	} {
		tgt, err := target.Find(c.cpu)
		if err != nil {
			t.Fatal(err)
		}
		if f := form(tgt, c.x, c.w, 1); f.name != c.want {
			t.Errorf("%s: %s, expected %s", c.cpu, f.name, c.want)
		}
	}
}
