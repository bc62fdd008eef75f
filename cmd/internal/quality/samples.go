// Package quality runs a checkpoint without quantization on images and prompts, to calibrate the rounding of its
// matrices and to measure how far a compiled executable is from it.
package quality

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pgc/runtime/imageio"
	"pgc/runtime/input"
	"pgc/runtime/native"
	"pgc/runtime/rgb"
)

// Sample is an image, a prompt and its answer, by default the checkpoint's own.
type Sample struct {
	Picture *rgb.Image
	Prompt  string
	Suffix  *string
}

func (s Sample) pictures() []*rgb.Image { return []*rgb.Image{s.Picture} }

// Prompts are the prompts for folders without prompts of their own.
var Prompts = []string{"caption en", "describe en", "ocr", "answer en what is in the picture?", "detect person"}

var extensions = []string{".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff"}

// The files of a folder that say what is asked about its pictures.
const (
	promptsFile  = "prompts.txt"
	requestsFile = "requests.jsonl"
)

// maxPrompts bounds prompts.txt, in bytes.
const maxPrompts = 64 << 20

// limits are those of the pictures.
var limits = imageio.Limits{Pixels: imageio.DefaultLimits.Pixels, Bytes: imageio.DefaultLimits.Bytes, Memory: native.CheckMemory}

// Read reads the samples of a folder. With requests.jsonl, {"images": ["a.png"], "prompt": …, "suffix": …} a line,
// these are the samples. Otherwise they are the pictures of the folder in the order of their names, each with one line
// of prompts.txt, or of Prompts, in turn, until all pictures and all prompts have been used.
func Read(ctx context.Context, folder string) ([]Sample, error) {
	if f, err := os.Open(filepath.Join(folder, requestsFile)); err == nil {
		defer f.Close()
		return readRequests(ctx, folder, f)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("no folder of pictures at %s: %w", folder, err)
	}
	var pictures []*rgb.Image
	for _, e := range entries {
		if slices.Contains(extensions, strings.ToLower(filepath.Ext(e.Name()))) {
			p, err := imageio.Read(ctx, filepath.Join(folder, e.Name()), limits)
			if err != nil {
				return nil, err
			}
			pictures = append(pictures, p)
		}
	}
	if len(pictures) == 0 {
		return nil, fmt.Errorf("%s holds no pictures, expected files that end in %s", folder, strings.Join(extensions, ", "))
	}
	prompts := Prompts
	if _, err := os.Lstat(filepath.Join(folder, promptsFile)); err == nil {
		text, err := input.ReadFile(filepath.Join(folder, promptsFile), maxPrompts)
		if err != nil {
			return nil, err
		}
		prompts = slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool { return strings.TrimSpace(line) == "" })
		if len(prompts) == 0 {
			return nil, fmt.Errorf("%s is empty, expected a prompt a line", filepath.Join(folder, promptsFile))
		}
	}
	return combine(pictures, prompts), nil
}

func combine(pictures []*rgb.Image, prompts []string) (samples []Sample) {
	for i := range max(len(pictures), len(prompts)) {
		samples = append(samples, Sample{Picture: pictures[i%len(pictures)], Prompt: strings.TrimSuffix(prompts[i%len(prompts)], "\r")})
	}
	return samples
}

func readRequests(ctx context.Context, folder string, f *os.File) (samples []Sample, err error) {
	read := map[string]*rgb.Image{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var r struct {
			Images []string
			Prompt *string
			Suffix *string
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil || len(r.Images) != 1 || r.Prompt == nil {
			return nil, fmt.Errorf(`%s: line %d is no sample, expected {"images": ["picture.png"], "prompt": "…"}, with "suffix" where the answer is known`, f.Name(), n)
		}
		name := r.Images[0]
		if !filepath.IsAbs(name) {
			name = filepath.Join(folder, name)
		}
		if read[name] == nil {
			if read[name], err = imageio.Read(ctx, name, limits); err != nil {
				return nil, fmt.Errorf("%s: line %d: %w", f.Name(), n, err)
			}
		}
		samples = append(samples, Sample{read[name], *r.Prompt, r.Suffix})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	if len(samples) == 0 {
		return nil, fmt.Errorf("%s is empty, expected a sample a line", f.Name())
	}
	return samples, nil
}

// Drawn returns a few images of discs on shaded ground with Prompts, the samples of a report that is given none.
func Drawn() []Sample {
	const side = 224
	var pictures []*rgb.Image
	for n := range len(Prompts) {
		p := rgb.New(side, side)
		pix := p.Pix
		for y := range side {
			for x := range side {
				at := 3 * (y*side + x)
				for c := range 3 {
					pix[at+c] = byte(30 + 40*c + (x*(n+1)+y*(3-c))/4%150)
				}
				for disc := range 3 + n {
					dx, dy, r := x-(37+61*disc+23*n)%side, y-(53+97*disc+11*n)%side, 12+9*((disc+n)%4)
					if dx*dx+dy*dy < r*r {
						pix[at], pix[at+1], pix[at+2] = byte(200*disc), byte(90*n+60*disc), byte(255-70*disc)
					}
				}
			}
		}
		pictures = append(pictures, p)
	}
	return combine(pictures, Prompts)
}
