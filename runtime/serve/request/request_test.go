package request

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgc/runtime/serve/openai"
)

// picture is the address of a picture, which is not read here.
const picture = "data:image/png;base64,AAAA"

// withPicture is a chat with a picture, the prompt "caption en" and further fields.
func withPicture(fields string) string {
	if fields != "" {
		fields = "," + fields
	}
	return `{"messages":[{"role":"user","content":[{"type":"text","text":"caption en"},{"type":"image_url","image_url":{"url":"` + picture + `"}}]}]` + fields + `}`
}

// TestMessages: the prompt is what the user said last, about the nearest pictures.
func TestMessages(t *testing.T) {
	image := func(n int) string {
		return fmt.Sprintf(`{"type":"image_url","image_url":{"url":"data:%d","detail":"auto"}}`, n)
	}
	text := func(s string) string { return fmt.Sprintf(`{"type":"text","text":%q}`, s) }
	user := func(parts ...string) string {
		return `{"role":"user","content":[` + strings.Join(parts, ",") + `]}`
	}
	say := func(role, s string) string { return fmt.Sprintf(`{"role":%q,"content":%q}`, role, s) }
	for _, c := range []struct {
		messages       string
		prompt, images string
		ignored        string
	}{
		{user(text("caption en"), image(1)), "caption en", "data:1", ""},
		{user(image(1), text("caption en")), "caption en", "data:1", ""},
		{user(text("a"), image(1), text("b"), image(2)), "a b", "data:1 data:2", ""},
		{user(`{"type":"image_url","image_url":"data:7"}`, text("x")), "x", "data:7", ""}, // LangChain
		{user(`{"type":"input_image","image_url":"data:7"}`, `{"type":"input_text","text":"x"}`), "x", "data:7", ""},
		{user(`"x"`, image(1)), "x", "data:1", ""},
		{user(image(1)), "", "data:1", ""},
		{say("user", "hello"), "hello", "", ""},
		{say("system", "be nice") + "," + user(text("x"), image(1)), "x", "data:1", "messages.system"},
		{user(text("x"), image(1)) + "," + say("assistant", "y") + "," + say("user", "z"), "z", "data:1", "messages.assistant messages.user.earlier"},
		{user(image(1)) + "," + user(text("y"), image(2)) + "," + say("user", "z"), "z", "data:2", "messages.user.earlier"},
		{user(text("x"), image(1)) + "," + user(text("y"), image(2)), "y", "data:2", "messages.user.earlier"},
		{`{"role":"user","content":"x","images":["AAAA","BBBB"]}`, "x", "AAAA BBBB", ""}, // ollama
		{`{"role":"assistant","content":null,"tool_calls":[{}]},` + user(text("x"), image(1)), "x", "data:1", "messages.assistant"},
	} {
		r, err := ParseChat([]byte(`{"messages":[` + c.messages + `]}`))
		if err != nil {
			t.Errorf("%s: %v", c.messages, err)
			continue
		}
		if r.Prompts[0] != c.prompt || strings.Join(r.Images, " ") != c.images || strings.Join(r.Ignored, " ") != c.ignored {
			t.Errorf("%s: %q about %v, ignored %v", c.messages, r.Prompts, r.Images, r.Ignored)
		}
	}
}

// TestFields: what is honored, what is ignored.
func TestFields(t *testing.T) {
	r, err := ParseChat([]byte(withPicture(`"model":"any","max_tokens":5,"max_completion_tokens":9,"temperature":0.5,"top_p":0.9,"top_k":3,"seed":-1,"n":2,
		"stop":["a","","b"],"stream":true,"stream_options":{"include_usage":true},"logprobs":true,"top_logprobs":4,"repetition_penalty":1.1,"ignore_eos":true,
		"user":"me","metadata":{"a":"b"},"store":false,"parallel_tool_calls":true,"presence_penalty":0,"frequency_penalty":0.0,"response_format":{"type":"text"},
		"tools":[ ],"grammar":"","logit_bias":{"5":0},"brand_new":7,"nothing":null,"bad name\r\n":1`)))
	if err != nil {
		t.Fatal(err)
	}
	s := r.Settings
	if *s.MaxNewTokens != 9 || *s.Temperature != 0.5 || *s.TopP != 0.9 || *s.TopK != 3 || s.Seed != 1<<64-1 || !r.Seeded || r.N != 2 || !slices.Equal(s.Stop, []string{"a", "b"}) ||
		!r.Stream || !r.IncludeUsage || !s.Logprobs || r.Top != 4 || *s.RepetitionPenalty != 1.1 || !s.IgnoreEOS || r.Model != "any" {
		t.Errorf("%+v", r)
	}
	want := "brand_new frequency_penalty grammar logit_bias metadata parallel_tool_calls presence_penalty response_format store tools user"
	if got := strings.Join(r.Ignored, " "); got != want {
		t.Errorf("ignored %s", got)
	}
	if r, err := ParseChat([]byte(withPicture(`"max_tokens":16.0,"seed":-2.0,"n":2e0`))); err != nil || *r.Settings.MaxNewTokens != 16 || r.Settings.Seed != 1<<64-2 || r.N != 2 {
		t.Errorf("%+v, %v", r, err) // as Python writes a float
	}
	if r, err := ParseChat([]byte(withPicture(`"max_tokens":9223372036854775807,"top_k":-1`))); err != nil || *r.Settings.MaxNewTokens > 1<<20 || *r.Settings.TopK != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestTasks: our own fields make the prompts that PaliGemma was trained on.
func TestTasks(t *testing.T) {
	for fields, want := range map[string]string{
		`"task":"caption"`:                 "caption en",
		`"task":"caption","language":"de"`: "caption de",
		`"task":"ask"`:                     "answer en caption en",
		`"task":"ocr"`:                     "ocr",
		`"task":"detect","classes":["cat"," dog "],"min_score":0.5`: "detect: cat, dog",
		`"task":"detect","classes":"cat ; dog"`:                     "detect: cat, dog",
		`"task":"segment"`:                                          "segment: caption en",
	} {
		r, err := ParseChat([]byte(withPicture(fields)))
		if err != nil {
			t.Errorf("%s: %v", fields, err)
			continue
		}
		got := strings.Join(r.Prompts, "|")
		if r.Task != "" {
			got = r.Task + ": " + strings.Join(r.Classes, ", ")
		}
		if got != want {
			t.Errorf("%s: %s, expected %s", fields, got, want)
		}
	}
}

// TestSchema: the published schema is taken, with the prompt of a detection, and no other.
func TestSchema(t *testing.T) {
	format := `"response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":` + string(DetectionSchema) + `}}`
	body := strings.Replace(withPicture(format), "caption en", "detect cat ; dog", 1)
	r, err := ParseChat([]byte(body))
	if err != nil || r.Task != "detect" || !r.Schema || len(r.Classes) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := ParseChat([]byte(strings.Replace(body, "detect cat", "what cat", 1))); err == nil {
		t.Error("a question was taken with the schema of detections")
	}
}

// TestRefused: every refusal is a 400 that names the field.
func TestRefused(t *testing.T) {
	chat := func(fields string) string { return withPicture(fields) }
	for _, c := range []struct{ body, param string }{
		{``, ""}, {`[]`, ""}, {`null`, ""}, {`{`, ""}, {`{}x`, ""}, {"{\"a\":\"\xff\"}", ""}, {strings.Repeat("[", 20000), ""},
		{`{"messages":` + strings.Repeat(`{"a":`, 20000), ""},
		{`{}`, "messages"}, {`{"messages":7}`, "messages"}, {`{"messages":[]}`, "messages"}, {`{"messages":[7]}`, "messages"}, {`{"messages":[null]}`, "messages"},
		{`{"messages":[{"role":"user"}]}`, "messages"}, {`{"messages":[{"role":"pope","content":"x"}]}`, "messages"}, {`{"messages":[{"role":"user","content":7}]}`, "messages"},
		{`{"messages":[{"role":"user","content":[7]}]}`, "messages"}, {`{"messages":[{"role":"user","content":[null]}]}`, "messages"},
		{`{"messages":[{"role":"user","content":[{"type":"text"}]}]}`, "messages"}, {`{"messages":[{"role":"user","content":[{"type":"input_audio"}]}]}`, "messages"},
		{`{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, "messages"}, {`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":7}]}]}`, "messages"},
		{`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":""}}]}]}`, "messages"},
		{`{"messages":[{"role":"user","content":"x","images":[7]}]}`, "messages"},
		{`{"messages":[{"role":"system","content":"x"}]}`, "messages"},
		{chat(`"tools":[{"type":"function"}]`), "tools"}, {chat(`"functions":[{}]`), "functions"}, {chat(`"logit_bias":{"5":1}`), "logit_bias"},
		{chat(`"presence_penalty":0.1`), "presence_penalty"}, {chat(`"frequency_penalty":-1`), "frequency_penalty"}, {chat(`"audio":{}`), "audio"},
		{chat(`"modalities":["text","audio"]`), "modalities"}, {chat(`"response_format":{"type":"json_object"}`), "response_format"},
		{chat(`"response_format":{"type":"json_schema","json_schema":{"schema":{"type":"object"}}}`), "response_format"}, {chat(`"response_format":"text"`), "response_format"},
		{chat(`"temperature":-1`), "temperature"}, {chat(`"temperature":"hot"`), "temperature"}, {chat(`"temperature":1e400`), "temperature"}, {chat(`"top_p":2`), "top_p"},
		{chat(`"top_k":-2`), "top_k"}, {chat(`"max_tokens":-1`), "max_tokens"}, {chat(`"max_tokens":1.5`), "max_tokens"}, {chat(`"max_tokens":0`), "max_tokens"},
		{chat(`"max_tokens":5,"max_completion_tokens":0`), "max_completion_tokens"}, {chat(`"max_tokens":1e300`), "max_tokens"}, {chat(`"seed":1.5`), "seed"}, {chat(`"n":0`), "n"}, {chat(`"n":9`), "n"},
		{chat(`"stop":["1","2","3","4","5"]`), "stop"}, {chat(`"stop":[1]`), "stop"}, {chat(`"stop":[null]`), "stop"}, {chat(`"stream":"yes"`), "stream"},
		{chat(`"stream_options":7`), "stream_options"}, {chat(`"stream_options":{"include_usage":true}`), "stream_options"}, {chat(`"stream":false,"stream_options":{}`), "stream_options"},
		{chat(`"grammar":"root ::= \"a\""`), "grammar"}, {chat(`"json_schema":{"const":"42"}`), "json_schema"}, {chat(`"guided_json":{"type":"object"}`), "guided_json"},
		{chat(`"guided_regex":"a+"`), "guided_regex"}, {chat(`"guided_choice":["a"]`), "guided_choice"}, {chat(`"guided_grammar":"x"`), "guided_grammar"},
		{chat(`"structured_outputs":{"choice":["a"]}`), "structured_outputs"}, {chat(`"logprobs":5`), "logprobs"}, {chat(`"logprobs":true,"top_logprobs":21`), "top_logprobs"}, {chat(`"top_logprobs":2`), "top_logprobs"},
		{chat(`"seed":"x"`), "seed"}, {chat(`"seed":99999999999999999999`), "seed"}, {chat(`"seed":-99999999999999999999`), "seed"}, {chat(`"model":7`), "model"},
		{chat(`"task":"fly"`), "task"}, {chat(`"task":7`), "task"}, {chat(`"classes":["cat"]`), "classes"}, {chat(`"task":"detect","classes":[]`), "classes"},
		{chat(`"task":"detect","classes":[7]`), "classes"}, {chat(`"task":"detect","classes":["a<b"]`), "classes"}, {chat(`"task":"detect","classes":["` + strings.Repeat("a,", 300) + `"]`), "classes"},
		{chat(`"task":"detect","classes":["` + strings.Repeat("a", 20000) + `"]`), "classes"},
		{chat(`"task":"detect","min_score":2`), "min_score"}, {chat(`"task":"detect","nms":"x"`), "nms"}, {chat(`"task":"detect","masks":true`), "masks"}, {chat(`"task":"detect","n":2`), "n"},
		{chat(`"task":"detect","box_scale":0`), "box_scale"}, {chat(`"task":"detect","box_scale":-1`), "box_scale"}, {chat(`"task":"detect","box_scale":1023.5`), "box_scale"},
		{chat(`"task":"detect","max_boxes":0`), "max_boxes"}, {chat(`"task":"detect","box_scale":0,"classes":["cat"]`), "box_scale"},
		{chat(`"task":"detect","logprobs":true`), "logprobs"}, {chat(`"task":"caption","language":"klingon language"`), "language"},
	} {
		_, err := ParseChat([]byte(c.body))
		e, ok := errors.AsType[*openai.Error](err)
		if !ok || e.Status != 400 || e.Param != c.param || e.Message == "" {
			t.Errorf("%.120s: %+v, expected an error about %q", c.body, err, c.param)
		}
	}
	for _, c := range []struct{ body, param string }{
		{`{}`, "prompt"}, {`{"prompt":[1,2]}`, "prompt"}, {`{"prompt":["a","b","c"],"n":3}`, "prompt"}, {`{"prompt":"x","echo":true}`, "echo"}, {`{"prompt":"x","suffix":"y"}`, "suffix"},
		{`{"prompt":"x","best_of":3}`, "best_of"}, {`{"prompt":"x","logprobs":21}`, "logprobs"}, {`{"prompt":"x","images":[7]}`, "images"}, {`{"prompt":"x","images":{}}`, "images"},
		{`{"prompt":"x","max_tokens":0}`, "max_tokens"}, {`{"prompt":"x","stream_options":{}}`, "stream_options"}, {`{"prompt":"x","guided_choice":["a"]}`, "guided_choice"},
	} {
		_, err := ParseCompletion([]byte(c.body))
		if e, ok := errors.AsType[*openai.Error](err); !ok || e.Param != c.param {
			t.Errorf("%s: %+v, expected an error about %q", c.body, err, c.param)
		}
	}
	for _, c := range []struct{ body, param string }{
		{`{"messages":[{"role":"user","content":"x"}],"tools":[{}]}`, "tools"}, {`{"messages":[{"role":"user","content":"x"}],"format":"json"}`, "format"},
		{`{"messages":[{"role":"user","content":"x"}],"options":{"temperature":-1}}`, "temperature"},
		{`{"messages":[{"role":"user","content":"x"}],"options":{"repeat_penalty":-1}}`, "repeat_penalty"}, {`{"messages":[{"role":"user","content":"x"}],"options":7}`, "options"},
		{`{"messages":[{"role":"user","content":"x"}],"top_logprobs":2}`, "top_logprobs"}, {`{"messages":[{"role":"user","content":"x"}],"logprobs":true,"task":"detect"}`, "logprobs"},
	} {
		_, err := ParseOllamaChat([]byte(c.body))
		if e, ok := errors.AsType[*openai.Error](err); !ok || e.Param != c.param {
			t.Errorf("%s: %+v, expected an error about %q", c.body, err, c.param)
		}
	}
}

// TestOllama: ollama's requests, and those that only load.
func TestOllama(t *testing.T) {
	r, err := ParseOllamaChat([]byte(`{"model":"m","messages":[{"role":"user","content":"caption en","images":["AAAA"]}],"tools":[],"stream":false,"keep_alive":"5m",
		"options":{"num_predict":-1,"temperature":0,"seed":4,"repeat_penalty":1.1,"stop":["x"],"num_ctx":4096}}`))
	if err != nil || r.Stream || r.Prompts[0] != "caption en" || r.Images[0] != "AAAA" || *r.Settings.MaxNewTokens != 1<<20 || r.Settings.Seed != 4 || *r.Settings.RepetitionPenalty != 1.1 ||
		!slices.Equal(r.Ignored, []string{"options.num_ctx", "keep_alive", "tools"}) {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := ParseOllamaChat([]byte(`{"model":"m","messages":[]}`)); r != nil || err != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := ParseOllamaGenerate([]byte(`{"prompt":"x","images":["AAAA"],"options":{"num_predict":0},"logprobs":true,"top_logprobs":3}`)); err != nil || *r.Settings.MaxNewTokens != 1<<20 ||
		!r.Settings.Logprobs || r.Top != 3 || len(r.Ignored) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	for prompt, want := range map[string]string{"### User:\\ncaption en\\n\\n": "caption en", "### System:\\nx\\n\\n### User:\\na\\n\\n### Assistant:\\nb\\n\\n### User:\\nc d\\n\\n": "c d",
		"what is ### User:\\n?": "what is ### User:\n?"} {
		if r, err := ParseOllamaGenerate([]byte(`{"prompt":"` + prompt + `","images":["AAAA"]}`)); err != nil || r.Prompts[0] != want {
			t.Errorf("%s: %+v, %v", prompt, r, err)
		}
	}
	if r, err := ParseOllamaGenerate([]byte(`{"model":"m"}`)); r != nil || err != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := ParseOllamaGenerate([]byte(`{"prompt":"x","images":["AAAA"],"system":"y"}`)); err != nil || !r.Stream || r.Prompts[0] != "x" || len(r.Images) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestLift: long strings are the same whether they are lifted out of the text or not, and nobody can stand in for one.
func TestLift(t *testing.T) {
	long := "data:image/png;base64," + strings.Repeat("AbC+/9==", 4000)
	quoted := `x\"data:` + strings.Repeat("A", 5000) + `\"`
	r, err := ParseChat([]byte(`{"messages":[{"role":"user","content":[{"type":"text","text":"` + quoted + `"},{"type":"text","text":"` + strings.Repeat("b", 9000) +
		`"},{"type":"image_url","image_url":"` + long + `"},{"type":"image_url","image_url":{"url":"` + long[:6000] + `"}},{"type":"image_url","image_url":"lifted-0"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(quoted, `\"`, `"`) + " " + strings.Repeat("b", 9000)
	if r.Prompts[0] != want || !slices.Equal(r.Images, []string{long, long[:6000], "lifted-0"}) {
		t.Errorf("%d bytes of prompt, pictures of %d, %d and %q", len(r.Prompts[0]), len(r.Images[0]), len(r.Images[1]), r.Images[2])
	}
	if _, err := ParseChat([]byte(`{"messages":[],"a":"x"` + `"` + strings.Repeat("A", 5000) + `"}`)); err == nil {
		t.Error("broken JSON became valid")
	}
}

// FuzzParse: no body makes a parser fail otherwise than with an error that a client understands.
func FuzzParse(f *testing.F) {
	f.Add([]byte(withPicture(`"n":2,"stop":["x"],"seed":1,"task":"detect","classes":["cat"]`)))
	f.Add([]byte(`{"prompt":["a"],"images":["AAAA",{"url":"x"}],"logprobs":2}`))
	f.Add([]byte(`{"messages":[{"role":"user","content":"x","images":["AAAA"]}],"options":{"num_predict":1,"stop":"x"},"format":{}}`))
	f.Add([]byte(`{"input":["a",{"image_url":"x"}],"content":"x"}`))
	f.Add([]byte("{\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800\\u0000\"}]}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		for name, parse := range map[string]func() error{
			"chat":            func() error { _, err := ParseChat(body); return err },
			"completion":      func() error { _, err := ParseCompletion(body); return err },
			"ollama chat":     func() error { _, err := ParseOllamaChat(body); return err },
			"ollama generate": func() error { _, err := ParseOllamaGenerate(body); return err },
			"embeddings":      func() error { _, err := ParseEmbeddings(body); return err },
			"tokenize":        func() error { _, err := ParseTokenize(body); return err },
			"show":            func() error { return CheckShow(body) },
			"detokenize":      func() error { _, err := ParseDetokenize(body); return err },
		} {
			if err := parse(); err != nil {
				if e, ok := errors.AsType[*openai.Error](err); !ok || e.Status < 400 || e.Status > 499 || e.Message == "" {
					t.Errorf("%s: %+v", name, err)
				}
			}
		}
	})
}
