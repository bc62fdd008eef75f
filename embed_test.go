package pgc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"pgc"
	"pgc/golden"
)

// pages is the executable of a model that makes embeddings.
var pages = compiled(filepath.Join(golden.Dir(), "colpali-odd"))

func ExampleModel_Embed() {
	m, err := pgc.Open(pages())
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	ctx := context.Background()
	query, err := m.Embed(ctx, pgc.EmbedRequest{Queries: []string{"how many cats are there in the answer?"}})
	if err != nil {
		log.Fatal(err)
	}
	images, err := m.Embed(ctx, pgc.EmbedRequest{Images: []pgc.Image{picture("noise"), picture("shapes")}})
	if err != nil {
		log.Fatal(err)
	}
	for _, image := range images {
		score, err := pgc.Score(query[0], image)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%.2f\n", score)
	}
	// Output:
	// 20.34
	// 20.50
}

// TestEmbedFromManyGoroutines embeds from several goroutines, some of which give up: the others' embeddings have the
// bits that they have alone.
func TestEmbedFromManyGoroutines(t *testing.T) {
	m, err := pgc.Open(pages())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	requests := []pgc.EmbedRequest{{Images: []pgc.Image{picture("noise"), picture("grey")}}, {Queries: []string{"a", "caption en"}},
		{Images: []pgc.Image{picture("shapes")}}, {Queries: []string{"which is larger?"}}}
	want := make([][]pgc.Tensor, len(requests))
	for i, r := range requests {
		if want[i], err = m.Embed(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		for _, x := range want[i] {
			for row := range x.Shape[0] {
				length := 0.0
				for _, v := range x.Float32s[row*x.Shape[1]:][:x.Shape[1]] {
					length += float64(v) * float64(v)
				}
				if math.Abs(length-1) > 1e-5 {
					t.Fatalf("request %d: the length of row %d is %g, expected 1", i, row, math.Sqrt(length))
				}
			}
		}
	}
	var wait sync.WaitGroup
	for g := range 8 {
		wait.Go(func() {
			for n := range 20 {
				i := (g + n) % len(requests)
				ctx, cancel := context.WithCancel(t.Context())
				if g%4 == 3 {
					cancel()
				}
				got, err := m.Embed(ctx, requests[i])
				cancel()
				if g%4 == 3 {
					if !errors.Is(err, context.Canceled) {
						t.Errorf("canceled: error %v", err)
					}
				} else if err != nil || !reflect.DeepEqual(got, want[i]) {
					t.Errorf("request %d: other embeddings than alone, error %v", i, err)
				}
			}
		})
	}
	wait.Wait()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if _, err := m.Embed(t.Context(), requests[0]); !errors.Is(err, pgc.ErrClosed) {
		t.Errorf("closed: error %v, expected ErrClosed", err)
	}
}

// TestEmbedErrors asks models for what they do not do, and for nothing.
func TestEmbedErrors(t *testing.T) {
	e, err := pgc.Open(pages())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	g, images := open(t), []pgc.Image{picture("grey")}
	embed := func(m *pgc.Model, r pgc.EmbedRequest) error {
		_, err := m.Embed(t.Context(), r)
		return err
	}
	_, generated := e.Generate(t.Context(), pgc.Request{Images: images, Prompt: "x"})
	_, forwarded := e.Forward(t.Context(), pgc.ForwardRequest{Images: images})
	var streamed, batched error
	for _, streamed = range e.Stream(t.Context(), pgc.Request{Images: images}) {
	}
	for _, batched = range e.Batch(t.Context(), func(yield func(pgc.Request) bool) { yield(pgc.Request{Images: images}) }) {
	}
	const embeds = "a colpali (gemma) model makes embeddings, expected one that generates text"
	for i, c := range []struct {
		err  error
		want string
	}{
		{embed(g, pgc.EmbedRequest{Images: images}), "a paligemma (gemma) model makes no embeddings, expected one that does"},
		{embed(e, pgc.EmbedRequest{}), "the request has images and queries or none of them, expected either"},
		{embed(e, pgc.EmbedRequest{Images: images, Queries: []string{"x"}}), "expected either"},
		{embed(e, pgc.EmbedRequest{Queries: []string{"x", ""}}), "query 1 is empty, expected a text"},
		{embed(e, pgc.EmbedRequest{Queries: []string{strings.Repeat("x ", 400)}}), "compile with --max-tokens"},
		{embed(e, pgc.EmbedRequest{Images: []pgc.Image{{}}}), "an image of the request is the zero Image"},
		{generated, embeds}, {forwarded, embeds}, {streamed, embeds}, {batched, embeds},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("case %d: error %v, expected one with %q", i, c.err, c.want)
		}
	}
}
