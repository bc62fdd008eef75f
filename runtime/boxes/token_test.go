package boxes

import "testing"

// TestTokens: tokens are read as they are written, and every beginning of one is known as such.
func TestTokens(t *testing.T) {
	for i := range Locations {
		for _, text := range []string{Location(i), Code(i % Codes)} {
			n, isSeg, number := token(text + " cat")
			if want := map[bool]int{false: i, true: i % Codes}[isSeg]; n != len(text) || number != want || !IsToken(text) {
				t.Fatalf("%s is read as token %d of %d bytes", text, number, n)
			}
			for end := range len(text) {
				if !Begins(text[:end]) || IsToken(text[:end]) {
					t.Errorf("%q is a token, or not the beginning of %s", text[:end], text)
				}
			}
		}
	}
	for _, text := range []string{"<loc0000>", "<loc000a", "<seg0000", "<lock", "loc", "<seg1>", "<loc00000", " <loc"} {
		if Begins(text) {
			t.Errorf("%q begins a token", text)
		}
	}
	for _, text := range []string{"", "<loc0000> ", "x<loc0000>", "<loc000>", "<seg0000>", "<seg00x>"} {
		if IsToken(text) {
			t.Errorf("%q is a token", text)
		}
	}
	if Location(7) != "<loc0007>" || Code(127) != "<seg127>" {
		t.Errorf("tokens are %s and %s", Location(7), Code(127))
	}
}
