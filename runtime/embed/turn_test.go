package embed

import (
	"context"
	"slices"
	"testing"
	"time"
)

// One has the turn at a time, clients take turns, and who leaves while it waits holds up nobody.
func TestTurn(t *testing.T) {
	var turn turn
	if err := turn.take(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	order := make(chan string)
	waiting := 0
	wait := func(ctx context.Context, client string) {
		go func() {
			if turn.take(ctx, client) != nil {
				order <- "left"
				return
			}
			order <- client
			turn.give()
		}()
		for waiting++; ; time.Sleep(time.Millisecond) {
			if _, n := turn.load(); n == waiting {
				return
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	for _, client := range []string{"a", "a", "a", "b"} {
		wait(t.Context(), client)
	}
	wait(ctx, "c")
	cancel()
	got := []string{<-order}
	if running, n := turn.load(); running != 1 || n != 4 {
		t.Errorf("%d have the turn, %d wait", running, n)
	}
	turn.give()
	for range 4 {
		got = append(got, <-order)
	}
	if want := []string{"left", "a", "b", "a", "a"}; !slices.Equal(got, want) {
		t.Errorf("order %v, expected %v", got, want)
	}
	for ; ; time.Sleep(time.Millisecond) {
		if running, n := turn.load(); running+n == 0 {
			return
		}
	}
}
