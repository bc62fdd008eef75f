package pgc

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"pgc/runtime/rgb"
)

// Warning is a sign that an answer is not the one that was meant, although it is what the model says.
type Warning struct {
	Kind WarningKind
	Text string // a sentence with the next step
}

// WarningKind tells warnings apart.
type WarningKind string

// The kinds of warnings.
const (
	TypedToken  WarningKind = "typed-token"  // the prompt holds the text of a special token, which transformers reads as the token
	TypedEscape WarningKind = "typed-escape" // the prompt ends in a backslash and an n
	ManyImages  WarningKind = "many-images"  // several images and a caption prompt, for a model of single images
	OtherTask   WarningKind = "other-task"   // the model's folder says that it was fine-tuned for another task
	NoMasks     WarningKind = "no-masks"     // masks are asked of an executable without a decoder
	Samples     WarningKind = "samples"      // the samples of an image use a sliver of their range
	Incomplete  WarningKind = "incomplete"   // a part of the answer should locate an object and does not
	CutOff      WarningKind = "cut-off"      // the answer ended at its limit
	JointPrompt WarningKind = "joint-prompt" // a prompt of several classes found nothing of one
)

// maxDoubted bounds the bytes of a prompt in which special tokens are searched.
const maxDoubted = 64 << 10

// requestWarnings returns what is doubtful about a request whose images are decoded.
func (m *Model) requestWarnings(r Request, images []*rgb.Image) (list []Warning) {
	warn := func(kind WarningKind, format string, args ...any) {
		list = append(list, Warning{kind, fmt.Sprintf(format, args...)})
	}
	if token := m.typedToken(r); token != "" {
		warn(TypedToken, "the prompt holds %s, which is read as text: leave it out, because images and <bos> come by themselves, or set parse_specials (--parse-specials)", token)
	}
	if strings.HasSuffix(r.Prompt, `\n`) {
		warn(TypedEscape, `the prompt ends in the two characters \n, which are read as text: leave them out, because a newline follows by itself`)
	}
	task := m.taskOf(r.Prompt)
	if len(r.Images) > 1 && task == "caption" && !m.model.Several {
		warn(ManyImages, "a caption of %d pictures together is asked of a model of single pictures: ask about each alone (--each)", len(r.Images))
	}
	return append(list, m.taskWarnings(task, r.Adapter, images)...)
}

// taskWarnings returns what is doubtful about a task, "" where it is not known, of an adapter, "" for none, and images.
func (m *Model) taskWarnings(task, adapter string, images []*rgb.Image) (list []Warning) {
	trained, who := m.model.Trained, m.model.Name
	if m.model.Merged != "" {
		who = "the adapter " + m.model.Merged
	}
	if n, err := m.model.AdapterNumber(adapter); err == nil && n > 0 {
		trained, who = m.model.Adapters[n-1].Trained, "the adapter "+adapter
	}
	if task != "" && trained.Task != "" && task != trained.Task {
		list = append(list, Warning{OtherTask, fmt.Sprintf("the prompt asks for %q, but by %s %s was trained for %q", task, trained.By, who, trained.Task)})
	}
	for i, p := range images {
		if p.Doubt != "" {
			return append(list, Warning{Samples, fmt.Sprintf("picture %d: %s", i+1, p.Doubt)})
		}
	}
	return list
}

// jointWarning doubts that there is nothing of a class that a prompt of several did not find: models that were only trained
// on prompts of what is there answer less well where something is not. Whoever chose such a prompt knows.
func (p *plan) jointWarning(d *Detection) []Warning {
	missing := d.Missing()
	if len(p.asked) > 1 || len(p.classes) < 2 || p.r.PerClass != nil || len(missing) == 0 || d.FinishReason == Length {
		return nil
	}
	return []Warning{{JointPrompt, fmt.Sprintf("the answer to one prompt of %d classes has no %.40s: a prompt for each may find it (per_class, --per-class)", len(p.classes), missing[0])}}
}

// typedToken returns the first special token whose text the prompt holds, unless the request has it read as one.
func (m *Model) typedToken(r Request) string {
	if r.ParseSpecials || len(r.Prompt) > maxDoubted || !utf8.ValidString(r.Prompt) {
		return ""
	}
	if m.mapped.take() != nil {
		return "" // whatever comes next says so
	}
	defer m.mapped.give()
	t, err := m.exe.tokenizer()
	if err != nil {
		return ""
	}
	literal, parsed := t.Encode(r.Prompt, false), t.Encode(r.Prompt, true)
	for i, id := range parsed {
		if i >= len(literal) || literal[i] != id {
			return t.Token(id)
		}
	}
	return ""
}

// answerWarnings returns what is doubtful about an answer.
func (m *Model) answerWarnings(a *Answer, ignoreEOS bool) (list []Warning) {
	if len(a.Malformed) > 0 {
		bad := a.Malformed[0]
		list = append(list, Warning{Incomplete, fmt.Sprintf("the answer names something that is no object, %.80q: %s", bad.Text, bad.Reason)})
	}
	n, count := len(a.Tokens), "1 token"
	if n != 1 {
		count = fmt.Sprintf("%d tokens", n)
	}
	switch {
	case a.FinishReason != Length || n == 0 || ignoreEOS:
	case a.PromptTokens+n > m.model.MaxTokens:
		list = append(list, Warning{CutOff, fmt.Sprintf("the answer was cut at %s, where the KV cache is full: compile with a larger --max-tokens", count)})
	default:
		list = append(list, Warning{CutOff, fmt.Sprintf("the answer was cut at %s: a larger max_new_tokens (--max-new-tokens) lets it end", count)})
	}
	return list
}
