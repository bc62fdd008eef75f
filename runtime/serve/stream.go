package serve

import (
	"context"
	"net/http"
	"time"

	"pgc/runtime/boxes"
	"pgc/runtime/serve/openai"
)

// pieces makes the pieces of a streamed answer, in the form of an API.
type pieces interface {
	lines() bool                                                   // whether they are lines of JSON rather than events
	first(index int) any                                           // before the first text of a choice; nil for none
	text(index int, text string, p *openai.Logprobs, upTo int) any // of the text so far, upTo bytes; p is nil without log-probabilities
	found(index int, objects any) any                              // that are whole
	last(index int, ch *choice, extra *openai.Extra) any           // with extra, unless nil
	usage(u *openai.Usage) any                                     // at the end, if asked for
}

// pingTime is how often a client that waits is told that the answer is still to come.
var pingTime = 15 * time.Second

// streamed is a choice that is being streamed.
type streamed struct {
	begun    bool
	sent     int    // bytes of the text
	held     string // text that may be a part of a token's
	logprobs *openai.Logprobs
	done     *choice
}

// stream answers with events. Until the first token the request can still fail with a status of its own; later errors
// are events, too.
func (j *job) stream(p pieces) error {
	ctx, cancel := context.WithCancel(j.c.r.Context())
	defer cancel()
	out := &eventWriter{c: j.c, lines: p.lines()}
	list := make([]streamed, max(1, len(j.prompts)))
	for i := range list {
		if j.r.Settings.Logprobs {
			list[i].logprobs = &openai.Logprobs{Text: j.c.model.TokenText}
		}
	}
	events, ping := j.run(ctx), time.NewTicker(pingTime)
	defer ping.Stop()
	var done []*choice
	for {
		select {
		case e, more := <-events:
			if !more {
				return j.endStream(out, p, list, done)
			}
			if e.err == nil {
				e.err = j.streamEvent(out, p, &list[e.index], e, &done, len(list))
			}
			if e.err != nil {
				return out.fail(j, e.err)
			}
			ping.Reset(pingTime)
		case <-ping.C:
			if err := out.comment("ping"); err != nil {
				return out.fail(j, err)
			}
		}
	}
}

// streamEvent writes what an event of a choice adds.
func (j *job) streamEvent(out *eventWriter, p pieces, s *streamed, e event, done *[]*choice, of int) error {
	if !s.begun {
		s.begun = true
		if v := p.first(e.index); v != nil {
			if err := out.data(v); err != nil {
				return err
			}
		}
	}
	if e.done == nil {
		if s.logprobs != nil {
			if err := s.logprobs.Add(e.token); err != nil {
				return err
			}
		}
		text := s.held + e.token.Text
		var send string
		send, s.held = whole(text)
		if err := j.streamText(out, p, s, e.index, send); err != nil || e.found == nil {
			return err
		}
		return out.data(p.found(e.index, e.found))
	}
	s.done = e.done
	*done = append(*done, e.done)
	if err := j.streamText(out, p, s, e.index, e.done.text[s.sent:]); err != nil {
		return err
	}
	var extra *openai.Extra
	if len(*done) == of {
		extra = j.extra(*done)
	}
	return out.data(p.last(e.index, e.done, extra))
}

// streamText writes text of a choice, if there is some.
func (j *job) streamText(out *eventWriter, p pieces, s *streamed, index int, text string) error {
	if text == "" {
		return nil
	}
	s.sent += len(text)
	return out.data(p.text(index, text, s.logprobs, s.sent))
}

// endStream writes what stands behind the last choice.
func (j *job) endStream(out *eventWriter, p pieces, list []streamed, done []*choice) error {
	if len(done) < len(list) { // the context has ended
		return out.fail(j, context.Cause(j.c.r.Context()))
	}
	if j.r.IncludeUsage {
		byIndex := make([]*choice, len(list))
		for i := range list {
			byIndex[i] = list[i].done
		}
		if err := out.data(p.usage(j.usage(byIndex))); err != nil {
			return nil // the client has left
		}
	}
	if !out.lines {
		out.raw("data: [DONE]\n\n")
	}
	return nil
}

// whole splits a text before a token such as <loc0123> that has not come whole.
func whole(text string) (send, held string) {
	longest := len(boxes.Location(0)) - 1
	for i := len(text) - 1; i >= 0 && len(text)-i <= longest; i-- {
		if text[i] != '<' {
			continue
		}
		if boxes.Begins(text[i:]) {
			return text[:i], text[i:]
		}
		break
	}
	return text, ""
}

// eventWriter writes server-sent events, or lines.
type eventWriter struct {
	c       *call
	lines   bool
	started bool
}

// start sends the header, once.
func (o *eventWriter) start() {
	if o.started {
		return
	}
	o.started = true
	h := o.c.w.Header()
	h.Set("Content-Type", "text/event-stream")
	if o.lines {
		h.Set("Content-Type", "application/x-ndjson")
	}
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no")
	o.c.w.WriteHeader(http.StatusOK)
}

// raw writes text and has it sent. The client has a time to read it.
func (o *eventWriter) raw(text string) error {
	o.start()
	if err := write(o.c.w, []byte(text)); err != nil {
		return err
	}
	return http.NewResponseController(o.c.w).Flush()
}

// data writes an event with JSON.
func (o *eventWriter) data(v any) error {
	text, err := openai.Marshal(v)
	if err != nil {
		return err
	}
	if o.lines {
		return o.raw(string(text) + "\n")
	}
	return o.raw("data: " + string(text) + "\n\n")
}

// comment writes what clients skip. Lines have nothing such.
func (o *eventWriter) comment(text string) error {
	if o.lines {
		return nil
	}
	return o.raw(": " + text + "\n\n")
}

// fail ends the stream with an error, which is the caller's as long as nothing was written.
func (o *eventWriter) fail(j *job, err error) error {
	if !o.started {
		return err
	}
	if cause := context.Cause(j.c.r.Context()); cause != nil {
		err = cause
	}
	e := j.s.explain(err)
	j.c.note("code", e.Code)
	if o.lines {
		o.data(map[string]string{"error": e.Message})
	} else {
		o.data(e)
	}
	return nil
}
