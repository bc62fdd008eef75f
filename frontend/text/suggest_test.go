package text

import "testing"

func TestSuggestion(t *testing.T) {
	for name, want := range map[string]string{"gelu": ", perhaps gelu_tanh", "mull": ", perhaps mul", "resahpe": ", perhaps reshape", "transpos": ", perhaps transpose",
		"x": "", "completely_else": "", "reduce_man": ", perhaps reduce_mean"} {
		if got := suggestion(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
