package passes

import "fmt"

// constraint is a pair of passes whose order in the pipeline matters, and why.
type constraint struct{ before, after, reason string }

// constraints are the pairs that the order of the pipeline keeps. Passes that no chain of pairs joins could change
// places.
var constraints = []constraint{
	{"lower-convolutions", "canonicalize", "views and products of convolutions are brought to the one form, too"},
	{"fold-constants", "canonicalize", "identities show once their constants are computed"},
	{"canonicalize", "cse", "equal computations are equal operations in one form only"},
	{"canonicalize", "fuse-attention", "it knows one form of every view and product"},
	{"cse", "fuse-attention", "a softmax reads one exponential twice, not two equal ones"},
	{"cse", "sink-gather", "rows are picked from a value all of whose users pick the same ones"},
	{"fuse-attention", "sink-gather", "attention mixes rows and ends the sinking; its plain form would let a gather in halfway"},
	{"fuse-attention", "fuse-row", "a row would take the softmax out of the middle"},
	{"sink-gather", "fuse-rotary", "a gather sinks below plain operations, not below fused ones"},
	{"sink-gather", "cse-again", "sinking copies the gather to every operand"},
	{"fuse-rotary", "cse-again", "queries and keys each bring their angles into one shape"},
	{"fuse-rotary", "fuse-matmul", "the halves of a rotary embedding are no products of their own"},
	{"cse-again", "fuse-matmul", "an epilogue takes values that have one user"},
	{"dce", "fuse-matmul", "a user that nothing needs is none"},
	{"fuse-matmul", "join-products", "the sum of two products is in the epilogue of one"},
	{"fuse-rotary", "join-products", "the sum of two rotary embeddings is that of their projections"},
	{"join-products", "merge-matmul", "it joins products of one result"},
	{"fuse-matmul", "merge-matmul", "products of one operand differ by their epilogues"},
	{"fuse-matmul", "fuse-row", "an epilogue saves a pass over memory, so products choose first"},
	{"fuse-row", "store-results", "a norm stores its result in 16 bits once it is one operation"},
	{"merge-matmul", "fuse-prologue", "two products of one norm would compute it twice"},
	{"merge-matmul", "store-results", "it merges products whose results are f32"},
	{"store-results", "fuse-prologue", "a prologue takes the norm in the format it is stored in"},
	{"store-results", "fuse-rows-prologue", "a prologue takes the norm in the format it is stored in"},
	{"merge-matmul", "fuse-rows-prologue", "two products of one norm would compute it twice"},
	{"fuse-rows-prologue", "fuse-argmax", "a product whose prologue has a result of its own cannot be an argmax"},
	{"fuse-prologue", "fuse-argmax", "a product whose prologue has a result of its own cannot be an argmax"},
	{"fuse-row", "fuse-map", "a map would take the end of a norm"},
	{"store-results", "scatter-results", "rows of 16 bits are scattered as they are stored"},
	{"fuse-prologue", "scatter-results", "other passes over products know none that scatter"},
	{"fuse-rows-prologue", "scatter-results", "other passes over products know none that scatter"},
	{"fuse-argmax", "scatter-results", "other passes over products know none that scatter"},
	{"scatter-results", "fuse-map", "a map scatters what no product can"},
	{"store-results", "fuse-map", "a map stores what no other operation can"},
	{"fuse-argmax", "legalize", "an argmax whose logits a copy reads is one of values in memory"},
	{"fuse-map", "legalize", "what is left becomes an operation of its own"},
	{"legalize", "final-dce", "legalizing leaves what it replaced"},
}

func init() {
	if err := checkConstraints(Pipeline, constraints); err != nil {
		panic(err)
	}
}

// checkConstraints returns an error if a list of passes breaks a constraint, or if a constraint names a pass that is
// not there.
func checkConstraints(list []Pass, constraints []constraint) error {
	at := map[string]int{}
	for i, p := range list {
		if _, twice := at[p.Name]; twice {
			return fmt.Errorf("passes: %s occurs twice", p.Name)
		}
		at[p.Name] = i
	}
	for _, c := range constraints {
		i, ok := at[c.before]
		j, ok2 := at[c.after]
		switch {
		case !ok || !ok2:
			return fmt.Errorf("passes: the constraint of %s before %s names a pass that is not there", c.before, c.after)
		case i >= j:
			return fmt.Errorf("passes: %s must run before %s: %s", c.before, c.after, c.reason)
		}
	}
	return nil
}
