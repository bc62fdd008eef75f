package pgc

import (
	"context"
	"strings"

	"pgc/runtime/boxes"
)

// separator stands between the answers to the prompts of a detection.
const separator = " ; "

// Piece is what WatchDetect tells while an answer comes.
type Piece struct {
	Text    string   // all of them together are the detection's text
	Objects []Object // that are whole now, as the model wrote them, without scores and masks: the detection may leave some out
}

// WatchDetect is Detect that calls watch with the text as it comes and with every object as soon as it is whole, before the
// weights have been checked. Of several prompts the text comes in the order of the classes and objects in that of time. A slow
// watch holds up no other request.
func (m *Model) WatchDetect(ctx context.Context, r DetectRequest, watch func(Piece)) (*Detection, error) {
	p, err := r.plan(m)
	if err != nil {
		return nil, err
	}
	list := newTokens()
	p.came = list.push
	finish, err := p.start(ctx, m, false)
	if err != nil {
		return nil, err
	}
	var got Result
	go func() {
		got, err = finish()
		p.told.Wait()
		list.end()
	}()
	w := watching{plan: p, texts: make([]coming, len(p.prompts))}
	for {
		t, more := list.pop()
		if !more {
			return got.Detection, err
		}
		if piece := w.add(t); piece.Text != "" || len(piece.Objects) > 0 {
			watch(piece)
		}
	}
}

// coming is the answer to a prompt, as far as it has come.
type coming struct {
	text  string // that no piece had yet, while answers to earlier prompts are incomplete
	rest  string // behind the last object that is whole
	begun bool   // whether a piece had some of it
	ended bool
}

// watching makes pieces of the tokens of a detection's answers.
type watching struct {
	plan  *plan
	texts []coming // by prompt
	at    int      // the first prompt whose answer is not complete
	begun bool     // whether there was a text
}

// add returns what a token adds.
func (w *watching) add(t token) (p Piece) {
	c := &w.texts[t.of]
	c.text, c.rest, c.ended = c.text+t.Text, c.rest+t.Text, c.ended || t.last
	for {
		object, rest, more := strings.Cut(c.rest, ";")
		if !more && !c.ended {
			break
		}
		found, _ := boxes.Parse(object, w.plan.width, w.plan.height)
		for _, b := range found {
			p.Objects = append(p.Objects, w.plan.object(t.of, b))
		}
		if c.rest = rest; !more {
			break
		}
	}
	p.Text = w.text()
	return p
}

// text returns what may follow the text so far: of the first answer that is incomplete, and of those before it that were still to come.
func (w *watching) text() (text string) {
	for ; w.at < len(w.texts); w.at++ {
		c := &w.texts[w.at]
		if c.text != "" {
			if w.begun && !c.begun {
				text += separator
			}
			text += c.text
			c.text, c.begun, w.begun = "", true, true
		}
		if !c.ended {
			break
		}
	}
	return text
}
