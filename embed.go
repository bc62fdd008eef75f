package pgc

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"pgc/runtime/embed"
	"pgc/runtime/safetensors"
)

// EmbedRequest asks for embeddings of images or of queries, not of both.
type EmbedRequest struct {
	Images  []Image
	Queries []string
	Adapter string // the name of an adapter that the executable keeps; "" is the model alone
	Client  string // who asks, as in Request
}

// Embed returns the embedding of every image or query, in order: float32 [tokens, dim], a vector of length 1 for each
// token of the prompt that the model's processor makes. An embedding has the bits that it has on its own, whatever is
// asked for beside it.
func (m *Model) Embed(ctx context.Context, r EmbedRequest) ([]Tensor, error) {
	var list []Tensor
	if err := m.embed(ctx, r, func(shapes [][]int) error {
		for _, s := range shapes {
			list = append(list, Tensor{Shape: s})
		}
		return nil
	}, func(i int, rows []float32) error {
		list[i].Float32s = rows
		return nil
	}); err != nil {
		return nil, err
	}
	return list, nil
}

// EmbedFile is Embed into a safetensors file with the tensors embeddings.0, embeddings.1, …, which is written as the
// results come and appears at path when it is complete.
func (m *Model) EmbedFile(ctx context.Context, r EmbedRequest, path string) error {
	var w *safetensors.Writer
	err := m.embed(ctx, r, func(shapes [][]int) (err error) {
		var specs []safetensors.Spec
		for i, s := range shapes {
			specs = append(specs, safetensors.Spec{Name: fmt.Sprintf("embeddings.%d", i), DType: safetensors.F32, Shape: s})
		}
		w, err = safetensors.Create(path, nil, specs)
		return err
	}, func(_ int, rows []float32) error { return w.WriteFloat32s(rows) })
	switch {
	case w == nil:
		return err
	case err != nil:
		w.Abort()
		return err
	}
	return w.Close()
}

// start implements Task, of one image or query.
func (r EmbedRequest) start(ctx context.Context, m *Model, _ bool) (finish func() (Result, error), err error) {
	if n := len(r.Images) + len(r.Queries); n != 1 {
		return nil, fmt.Errorf("a task of a batch asks for %d embeddings, expected one", n)
	}
	return func() (Result, error) {
		list, err := m.Embed(ctx, r)
		if err != nil {
			return Result{}, err
		}
		return Result{Embedding: &list[0]}, nil
	}, nil
}

// Score returns how well an image answers a query, by their embeddings: for every vector of the query the greatest dot
// product with a vector of the image, summed (late interaction). An error says what is no embedding of the model that
// made the other.
func Score(query, image Tensor) (float64, error) {
	for _, t := range []Tensor{query, image} {
		if len(t.Shape) != 2 || t.Shape[0] < 1 || t.Shape[1] < 1 || len(t.Float32s) != t.Shape[0]*t.Shape[1] {
			return 0, fmt.Errorf("a tensor of shape %v with %d elements of float32, expected an embedding [tokens, dim]", t.Shape, len(t.Float32s))
		}
	}
	if query.Shape[1] != image.Shape[1] {
		return 0, fmt.Errorf("vectors of %d and %d elements, expected embeddings of the same model", query.Shape[1], image.Shape[1])
	}
	return embed.Score(query.Float32s, image.Float32s, query.Shape[1]), nil
}

// embed tells start the shapes of the embeddings, then each the embeddings in order. It lets go of images that it has
// embedded.
func (m *Model) embed(ctx context.Context, r EmbedRequest, start func(shapes [][]int) error, each func(i int, rows []float32) error) error {
	prompts, err := m.prompts(ctx, r)
	if err != nil {
		return err
	}
	adapter, _ := m.exe.model.AdapterNumber(r.Adapter) // prompts knows it
	var shapes [][]int
	for _, ids := range prompts {
		shapes = append(shapes, []int{len(ids), m.exe.model.Embedding.Dim})
	}
	if err := start(shapes); err != nil {
		return err
	}
	images := slices.Clone(r.Images)
	r.Images = nil
	for i, ids := range prompts {
		var rows []float32
		if len(images) == 0 {
			rows, err = m.embedder.Query(ctx, r.Client, adapter, ids)
		} else {
			rows, err = m.embedImage(ctx, r.Client, adapter, images[i])
			images[i] = Image{}
		}
		if err == nil {
			err = each(i, rows)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// CheckEmbed says why a request cannot be answered whatever its images hold, or returns nil.
func (m *Model) CheckEmbed(ctx context.Context, r EmbedRequest) error {
	_, err := m.prompts(ctx, r)
	return err
}

// prompts returns the tokens of a request, or what is wrong with it.
func (m *Model) prompts(ctx context.Context, r EmbedRequest) (prompts [][]int32, err error) {
	if m.exe == nil {
		return nil, ErrClosed
	}
	if m.embedder == nil {
		return nil, fmt.Errorf("a %s model makes no embeddings, expected one that does, such as colpali", m.exe.Kind())
	}
	if (len(r.Images) == 0) == (len(r.Queries) == 0) {
		return nil, errors.New("the request has images and queries or none of them, expected either")
	}
	if _, err := m.exe.model.AdapterNumber(r.Adapter); err != nil {
		return nil, err
	}
	for range r.Images {
		prompts = append(prompts, m.embedder.ImageTokens())
	}
	for i, q := range r.Queries {
		if q == "" {
			return nil, fmt.Errorf("query %d is empty, expected a text", i)
		}
		ids, err := m.embedder.QueryTokens(ctx, r.Client, q)
		if err != nil {
			return nil, err
		}
		prompts = append(prompts, ids)
	}
	return prompts, nil
}

func (m *Model) embedImage(ctx context.Context, client string, adapter int, i Image) ([]float32, error) {
	p, err := i.decode(ctx)
	if err != nil {
		return nil, err
	}
	return m.embedder.Image(ctx, client, adapter, p)
}

// generates says that the model generates no text, or returns nil.
func (m *Model) generates() error {
	if m.exe == nil {
		return ErrClosed
	}
	if m.scheduler == nil {
		return fmt.Errorf("a %s model makes embeddings, expected one that generates text, such as paligemma", m.exe.Kind())
	}
	return nil
}
