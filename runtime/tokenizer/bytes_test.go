package tokenizer

import "testing"

// TestBytes: the bytes of tokens, joined, are the text that they decode to, wherever that is UTF-8; special tokens are
// those that it leaves out.
func TestBytes(t *testing.T) {
	parts := 0
	for _, name := range fixtures {
		tok, _ := open(t, name)
		for _, text := range []string{"a cat", "grün 🦊 貓", " <eos> <loc0012><seg003>", "\x01\n\t", "x y  z"} {
			ids := tok.Encode(text, true)
			var joined []byte
			for _, id := range ids {
				if !tok.Special(id) {
					joined = append(joined, tok.Bytes(id)...)
				}
				if b := tok.Bytes(id); len(b) == 1 && b[0] >= 0x80 {
					parts++
				}
			}
			if want := tok.Decode(ids, true); string(joined) != want {
				t.Errorf("%s: %q is %q in bytes, decoded %q", name, text, joined, want)
			}
		}
		if len(tok.Bytes(-1)) > 0 || !tok.Special(-1) || !tok.Special(1<<30) {
			t.Errorf("%s: an id without a token has one", name)
		}
	}
	if parts == 0 {
		t.Error("no token is a part of a letter")
	}
}
