package sessions

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgc/internal/build"
	"pgc/internal/e2e"
	"pgc/runtime/entry"
	"pgc/runtime/generate"
	"pgc/runtime/native"
	"pgc/runtime/rgb"
)

// slowPrompts makes every run of a prompt's functions, or of a part of one, last so long that a slice is over behind it.
func slowPrompts(name string) {
	if name = entry.Plain(name); name == entry.EncodeImage || name == entry.Prefill {
		time.Sleep(3 * time.Millisecond)
	}
}

// stripes is a picture of its own for each number, of the size that the model sees.
func stripes(s *generate.Session, number int) []*rgb.Image {
	p := rgb.New(s.Model.ImageSize, s.Model.ImageSize)
	for i := range p.Pix {
		p.Pix[i] = byte(i * (number + 3))
	}
	return []*rgb.Image{p}
}

// onBoth runs a test with a small model on the processor and on an emulated GPU.
func onBoth(t *testing.T, test func(t *testing.T, s *generate.Session, x *spy)) {
	for _, target := range []string{"", "cuda"} {
		t.Run("on "+target, func(t *testing.T) {
			s, x := watched(t, e2e.CompiledWith(t, "pg1-odd", build.Options{Target: target}))
			test(t, s, x)
		})
	}
}

// A prompt that comes while a sequence runs is run in parts, with a step behind each; one that comes while only patient
// sequences run is not. The tokens are those of single runs, also where the caller of a prompt leaves in the middle.
func TestPromptInParts(t *testing.T) {
	onBoth(t, func(t *testing.T, s *generate.Session, x *spy) {
		running := generate.Request{Images: stripes(s, 0), Prompt: "caption en", MaxNewTokens: 120, IgnoreEOS: true}
		coming := generate.Request{Images: append(stripes(s, 1), stripes(s, 2)...), Prompt: "detect cat", MaxNewTokens: 5}
		emulated := s.Engine.OnGPU()
		if emulated { // whose steps are slow
			running.MaxNewTokens, coming.Images, coming.MaxNewTokens = 24, stripes(s, 1), 2
		}
		var want [2][]int32
		for i, r := range []generate.Request{running, coming} {
			a, err := s.Generate(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			want[i] = a.Tokens
		}
		d := generate.NewScheduler(s)
		defer d.Close()
		for _, c := range []struct {
			patient bool
			leaves  int // the part in which the caller leaves; 0 for none
		}{{}, {patient: true}, {leaves: 4}, {}} {
			if emulated && (c.patient || c.leaves > 0) {
				continue
			}
			s.SetImageCache(0)
			s.Encode(t.Context(), append(stripes(s, 8), stripes(s, 9)...), 0) // other images than those that come
			x.reset()
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			begun, asked := make(chan struct{}), make(chan struct{})
			first, second := running, coming
			first.Patient = c.patient
			var once sync.Once
			first.OnToken = func(generate.Token) {
				once.Do(func() { close(begun) })
				<-asked
			}
			var events []string
			x.run = func(name string) {
				if slowPrompts(name); len(events) == c.leaves && c.leaves > 0 {
					leave()
				}
				if name == entry.Step || name == entry.EncodeImage || name == entry.Prefill {
					events = append(events, name)
				}
			}
			one := d.Submit(t.Context(), first)
			<-begun
			events = nil
			two := d.Submit(ctx, second)
			close(asked)
			a, err := one.Wait()
			if err != nil || !slices.Equal(a.Tokens, want[0]) {
				t.Errorf("%+v: the running sequence has tokens %v, %v, expected %v", c, a, err, want[0])
			}
			switch b, err := two.Wait(); {
			case c.leaves > 0:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("%+v: %v, expected that the request is canceled", c, err)
				}
			case err != nil || !slices.Equal(b.Tokens, want[1]):
				t.Errorf("%+v: the sequence that came has tokens %v, %v, expected %v", c, b, err, want[1])
			}
			parts, together := 0, 0
			for i, e := range events {
				if e != entry.Step {
					if parts++; i > 0 && events[i-1] != entry.Step {
						together++
					}
				}
			}
			switch {
			case c.patient && parts != 3:
				t.Errorf("%+v: two images and a prompt ran in %d parts, expected 3: %v", c, parts, events)
			case c.leaves > 0 && parts > c.leaves:
				t.Errorf("%+v: %d parts ran: %v", c, parts, events)
			case !c.patient && c.leaves == 0 && (parts < 12 || together > parts/3 && !emulated): // behind a slow step there is time for several parts
				t.Errorf("%+v: %d parts, %d of them without a step before: %v", c, parts, together, events)
			}
		}
	})
}

// Requests come and leave at any time, in the queue, within a prompt and between steps: those that stay have the tokens of
// single runs.
func TestCancelsUnderLoad(t *testing.T) {
	s, x := spied(t, "pg1-odd")
	x.p.MinBatch = 3
	s.SetImageCache(3 * 25 * 43 * 4) // of some of the images
	var requests []generate.Request
	var want [][]int32
	for i := range 8 {
		images := stripes(s, i)
		if i%3 == 0 {
			images = append(images, stripes(s, i+1)...)
		}
		r := generate.Request{Images: images, Prompt: strings.Repeat("a cat ", i), MaxNewTokens: 4 + 2*i, IgnoreEOS: i%2 == 0, Patient: i == 5, Logprobs: i == 3, Client: fmt.Sprint(i % 3)}
		a, err := s.Generate(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		requests, want = append(requests, r), append(want, a.Tokens)
	}
	x.reset()
	x.run = func(name string) {
		if name == entry.EncodeImage || name == entry.Prefill {
			time.Sleep(time.Millisecond)
		}
	}
	d := generate.NewScheduler(s)
	defer d.Close()
	end := time.Now().Add(2 * time.Second)
	var group sync.WaitGroup
	var mu sync.Mutex
	answered, left := 0, 0
	for g := range 12 {
		random := rand.New(rand.NewPCG(uint64(g), 1))
		group.Go(func() {
			for time.Now().Before(end) {
				i := random.IntN(len(requests))
				ctx, cancel := context.WithCancel(t.Context())
				if random.IntN(2) == 0 {
					time.AfterFunc(time.Duration(random.IntN(200))*time.Millisecond, cancel)
				}
				a, err := d.Submit(ctx, requests[i]).Wait()
				cancel()
				mu.Lock()
				switch {
				case errors.Is(err, context.Canceled):
					left++
				case err != nil:
					t.Error(err)
				case !slices.Equal(a.Tokens, want[i]):
					t.Errorf("request %d: tokens %v, expected %v", i, a.Tokens, want[i])
				default:
					answered++
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if answered == 0 || left == 0 {
		t.Errorf("%d requests were answered, %d left, expected some of both", answered, left)
	}
	if l := d.Load(); l.Running != 0 || l.Waiting != 0 {
		t.Errorf("load %+v after all", l)
	}
}

// Images with equal pixels are encoded once while the cache has room; the one that was used the longest time ago makes
// room.
func TestImageCache(t *testing.T) {
	onBoth(t, func(t *testing.T, s *generate.Session, x *spy) {
		want := map[int][]float64{}
		for _, c := range []struct {
			images int64 // that the cache has room for
			encode int   // how many are encoded
		}{{0, 5}, {1, 5}, {2, 4}, {3, 3}} {
			if s.Engine.OnGPU() && c.images != 2 {
				continue
			}
			s.SetImageCache(c.images * int64(4*s.Model.ImageTokens*s.Model.HiddenSize))
			x.reset()
			for _, n := range []int{0, 1, 2, 1, 0} {
				a, err := s.Generate(t.Context(), generate.Request{Images: stripes(s, n), Prompt: "caption en", MaxNewTokens: 3, Logprobs: true})
				if err != nil {
					t.Fatal(err)
				}
				if want[n] == nil {
					want[n] = a.Logprobs
				}
				if !slices.Equal(a.Logprobs, want[n]) {
					t.Errorf("room for %d: image %d: log-probabilities %v, expected %v", c.images, n, a.Logprobs, want[n])
				}
			}
			if x.runs[entry.EncodeImage] != c.encode {
				t.Errorf("room for %d: %d images were encoded, expected %d", c.images, x.runs[entry.EncodeImage], c.encode)
			}
			s.Encode(t.Context(), stripes(s, 9), 0) // what the next round does not begin with
		}
		if slices.Equal(want[0], want[1]) || slices.Equal(want[1], want[2]) {
			t.Error("the images have equal answers, expected that they are told apart")
		}
	})
}

// A request for which there is too little memory while pictures claim some waits until they do not.
func TestClaimsAreWaitedFor(t *testing.T) {
	s, _ := spied(t, "pg1-odd")
	d := generate.NewScheduler(s)
	defer d.Close()
	var release func()
	for range 50 { // other programs take memory and give it back
		n, _ := native.AvailableMemory()
		var err error
		if release, err = native.Claim(n-4<<20, "a picture"); err == nil {
			break
		}
	}
	if release == nil {
		t.Skip("the machine's memory comes and goes too fast")
	}
	defer release()
	j := d.Submit(t.Context(), generate.Request{Images: stripes(s, 0), Prompt: "caption en", MaxNewTokens: 3})
	select {
	case <-j.Done():
	case <-time.After(50 * time.Millisecond):
		release()
	}
	if _, err := j.Wait(); err != nil {
		t.Error(err)
	}
}
