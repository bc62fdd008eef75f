package pgc_test

import (
	"context"
	"fmt"
	"log"
	"slices"

	"pgc"
)

func Example() {
	m, err := pgc.Open(demo())
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	a, err := m.Generate(context.Background(), pgc.Request{
		Images: []pgc.Image{pgc.File("models/paligemma/demo/pictures/00-white.png")},
		Prompt: "caption en",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(a.Text)
	// Output: a boat on a white background
}

func ExampleModel_Generate_boxes() {
	m, err := pgc.Open(demo())
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	r := pgc.Request{Images: []pgc.Image{pgc.File("models/paligemma/demo/pictures/00-white.png")}, Prompt: "detect boat"}
	r.MaxNewTokens = new(64)
	a, err := m.Generate(context.Background(), r)
	if err != nil {
		log.Fatal(err)
	}
	for _, b := range a.Boxes {
		fmt.Printf("%s from (%.0f, %.0f) to (%.0f, %.0f)\n", b.Label, b.Box[0], b.Box[1], b.Box[2], b.Box[3])
	}
	// Output: boat from (187, 12) to (258, 102)
}

func ExampleModel_Stream() {
	m, err := pgc.Open(demo())
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	r := pgc.Request{Images: []pgc.Image{pgc.File("models/paligemma/demo/pictures/03-purple.png")}, Prompt: "answer en what colour is the background?"}
	for token, err := range m.Stream(context.Background(), r) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(token.Text)
	}
	// Output: purple
}

func ExampleModel_Batch() {
	m, err := pgc.Open(demo())
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	image := pgc.File("models/paligemma/demo/pictures/09-green.png")
	requests := []pgc.Request{
		{Images: []pgc.Image{image}, Prompt: "caption en"},
		{Images: []pgc.Image{pgc.File("missing.png")}, Prompt: "caption en"},
		{Images: []pgc.Image{image}, Prompt: "answer en what colour is the background?"},
	}
	for a, err := range m.Batch(context.Background(), slices.Values(requests)) {
		if err != nil {
			fmt.Println("error:", err)
			continue
		}
		fmt.Println(a.Text)
	}
	// Output:
	// a dog and a guitar on a green background
	// error: image missing.png: no such file, expected a PNG, JPEG, GIF, WebP, BMP, TIFF or PNM image
	// green
}
