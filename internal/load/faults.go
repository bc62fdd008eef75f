package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"
)

// misbehave asks as clients do that are broken, or want to break the server, until ctx ends. What they get is not looked
// at: the answers of the others are.
func misbehave(ctx context.Context, url string, requests []asked, random *rand.Rand) {
	address := strings.TrimPrefix(url, "http://")
	for ctx.Err() == nil {
		body := requests[random.IntN(len(requests))].streamed
		switch random.IntN(5) {
		case 0: // leaves after a while
			short, cancel := context.WithTimeout(ctx, time.Duration(random.IntN(500))*time.Millisecond)
			req, err := http.NewRequestWithContext(short, http.MethodPost, url+"/v1/chat/completions", bytes.NewReader(body))
			if err == nil {
				if resp, err := http.DefaultClient.Do(req); err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}
			cancel()
		case 1: // does not read
			raw(ctx, address, body, len(body), 5*time.Second)
		case 2: // sends half of a body and waits
			raw(ctx, address, body[:len(body)/2], len(body), 3*time.Second)
		case 3: // sends half of a body and leaves
			raw(ctx, address, body[:len(body)/2], len(body), 0)
		default: // sends nonsense, again and again
			broken := bytes.Clone(body)
			for range 10 {
				broken[random.IntN(200)] = byte(random.IntN(256))
				if resp, err := http.Post(url+"/v1/chat/completions", "application/json", bytes.NewReader(broken)); err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}
		}
	}
}

// raw sends a body of a stated length and holds the connection for a time without reading.
func raw(ctx context.Context, address string, body []byte, length int, hold time.Duration) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", length)
	c.Write(body)
	select {
	case <-time.After(hold):
	case <-ctx.Done():
	}
}
