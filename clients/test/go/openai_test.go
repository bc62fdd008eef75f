// Package clients tests OpenAI's Go package against a server: OPENAI_BASE_URL, and a picture at PICTURE.
package clients

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

const caption = "two horses and an airplane on a purple background"

// open returns a client, and a request about the picture.
func open(t *testing.T) (openai.Client, func(prompt string) openai.ChatCompletionNewParams) {
	t.Helper()
	url := os.Getenv("OPENAI_BASE_URL")
	data, err := os.ReadFile(os.Getenv("PICTURE"))
	if err != nil || url == "" {
		t.Fatalf("OPENAI_BASE_URL is %q, PICTURE %v: expected make test-clients to set them", url, err)
	}
	picture := "data:image/png;base64," + base64.StdEncoding.EncodeToString(data)
	return openai.NewClient(option.WithBaseURL(url), option.WithAPIKey("any")), func(prompt string) openai.ChatCompletionNewParams {
		return openai.ChatCompletionNewParams{Model: "any", Messages: []openai.ChatCompletionMessageParamUnion{
			openai.SystemMessage("You are a helpful assistant."),
			openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
				openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: picture, Detail: "auto"}),
				openai.TextContentPart(prompt),
			}),
		}}
	}
}

func TestChat(t *testing.T) {
	client, ask := open(t)
	request := ask("caption en")
	request.Logprobs, request.TopLogprobs, request.Seed = openai.Bool(true), openai.Int(3), openai.Int(1)
	got, err := client.Chat.Completions.New(context.Background(), request)
	if err != nil {
		t.Fatal(err)
	}
	c := got.Choices[0]
	if c.Message.Content != caption || c.FinishReason != "stop" || got.Usage.PromptTokens < 100 || len(c.Logprobs.Content[0].TopLogprobs) != 3 {
		t.Errorf("%+v", got)
	}
}

func TestStream(t *testing.T) {
	client, ask := open(t)
	request := ask("caption en")
	request.StreamOptions.IncludeUsage = openai.Bool(true)
	stream := client.Chat.Completions.NewStreaming(context.Background(), request)
	sum := openai.ChatCompletionAccumulator{}
	for stream.Next() {
		if !sum.AddChunk(stream.Current()) {
			t.Fatalf("the accumulator refuses %+v", stream.Current())
		}
	}
	if err := stream.Err(); err != nil || sum.Choices[0].Message.Content != caption || sum.Usage.CompletionTokens < 4 {
		t.Errorf("%v, %+v", err, sum)
	}
}

func TestBoxes(t *testing.T) {
	client, ask := open(t)
	got, err := client.Chat.Completions.New(context.Background(), ask(""), option.WithJSONSet("task", "detect"), option.WithJSONSet("classes", []string{"horse"}))
	if err != nil {
		t.Fatal(err)
	}
	if boxes := got.Choices[0].Message.JSON.ExtraFields["boxes"].Raw(); len(boxes) < 10 {
		t.Errorf("boxes %s", boxes)
	}
}

func TestModelsAndRefusals(t *testing.T) {
	client, ask := open(t)
	page, err := client.Models.List(context.Background())
	if err != nil || len(page.Data) != 1 {
		t.Fatalf("%v, %+v", err, page)
	}
	request := ask("ocr")
	request.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "f"})}
	_, err = client.Chat.Completions.New(context.Background(), request)
	var refused *openai.Error
	if !errors.As(err, &refused) || refused.StatusCode != 400 || refused.Param != "tools" || refused.Type != "invalid_request_error" {
		t.Errorf("tools: %v", err)
	}
}
