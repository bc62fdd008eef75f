//go:build !least

package app

// generatingMore are further commands of a model that generates text.
type generatingMore struct {
	Segment segmentCmd `cmd:"" help:"Find objects of some classes in pictures, and their masks: IMAGE… CLASSES."`
	Mask    maskCmd    `cmd:"" help:"Show who attends to whom among the tokens of a prompt."`
	Attend  attendCmd  `cmd:"" help:"Show where an answer looked: the attention of one of its tokens over the pictures."`
	Forward forwardCmd `cmd:"" help:"Run the forward pass and write its tensors to a safetensors file."`
}

// commonMore are further commands of every executable.
type commonMore struct {
	Serve    serveCmd    `cmd:"" help:"Answer over HTTP: OpenAI's and ollama's APIs, metrics, a page."`
	Merge    mergeCmd    `cmd:"" help:"Join the shards of a batch."`
	Tokenize tokenizeCmd `cmd:"" help:"Print the token ids of a text."`
}

// missing are the commands that it leaves out: none.
var missing []string
