// Go's net/http over HTTP/2 without TLS: `http2 server PORT`, `http2 client PORT`. Each exchange is a line of JSON
// on standard output with what that side made of it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

var mutex sync.Mutex

func say(line map[string]any) {
	mutex.Lock()
	defer mutex.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		os.Exit(1)
	}
}

func only() *http.Protocols {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return protocols
}

// large is a header of more than 64 KiB that no encoder makes shorter by much.
func large(seed int) string {
	var text strings.Builder
	for n := range 20000 {
		text.WriteString(strconv.FormatInt(int64((n+seed)*7919), 36))
	}
	return text.String()
}

// serve: /stream/N answers with N pieces, each flushed; /sleep/MS after that time; /status/N with that status;
// /large with a large header; /shutdown ends the server as soon as what goes on is over; others echo the body.
func serve(port string) {
	server := &http.Server{
		Addr: "127.0.0.1:" + port, Protocols: only(), MaxHeaderBytes: 1 << 20,
		HTTP2: &http.HTTP2Config{MaxDecoderHeaderTableSize: 1 << 16, MaxEncoderHeaderTableSize: 1 << 16},
	}
	over := make(chan struct{})
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		words := append(strings.Split(r.URL.Path, "/"), "", "", "")
		number, _ := strconv.Atoi(words[2])
		status, pieces, piece := 200, 1, body
		switch words[1] {
		case "stream":
			pieces, piece = number, []byte(strings.Repeat("s", 1000))
		case "sleep":
			time.Sleep(time.Duration(number) * time.Millisecond)
		case "status":
			status, piece = number, nil
		case "large":
			w.Header().Set("X-Large", large(len(r.Header.Get("X-Large"))))
		case "panic":
			panic(http.ErrAbortHandler)
		case "shutdown":
			go func() {
				_ = server.Shutdown(context.Background())
				close(over)
			}()
		}
		say(map[string]any{
			"target": r.RequestURI, "proto": r.Proto, "received": len(body), "status": status,
			"sent": pieces * len(piece), "trailer": r.Trailer.Get("X-Sum"),
		})
		w.Header().Set("Trailer", "X-Sent")
		w.WriteHeader(status)
		for range pieces {
			_, _ = w.Write(piece)
			if words[1] == "stream" {
				_ = http.NewResponseController(w).Flush()
			}
		}
		w.Header().Set("X-Sent", strconv.Itoa(pieces*len(piece)))
	})
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-over
}

func ask(client *http.Client, method, target string, body io.Reader, size int, headers ...string) {
	request, err := http.NewRequest(method, "http://127.0.0.1:"+os.Args[2]+target, body)
	if err != nil {
		log.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	if size > 0 && request.ContentLength <= 0 {
		request.Trailer = http.Header{"X-Sum": {"1"}}
	}
	said := map[string]any{"target": target, "sent": size}
	defer say(said)
	begun := time.Now()
	response, err := client.Do(request)
	if err != nil {
		said["error"] = err.Error()
		return
	}
	defer response.Body.Close()
	received, err := io.Copy(io.Discard, response.Body)
	said["status"], said["received"] = response.StatusCode, received
	said["nanoseconds"] = time.Since(begun).Nanoseconds()
	if err != nil {
		said["error"] = err.Error()
	}
}

func main() {
	if os.Args[1] == "server" {
		serve(os.Args[2])
		return
	}
	client := &http.Client{Transport: &http.Transport{
		Protocols: only(), MaxResponseHeaderBytes: 1 << 20,
		HTTP2: &http.HTTP2Config{MaxDecoderHeaderTableSize: 1 << 16, MaxEncoderHeaderTableSize: 1 << 16},
	}}
	text := strings.Repeat("g", 1<<20)
	ask(client, "POST", "/echo?m=0", strings.NewReader(text), len(text))
	// A reader of unknown length has trailers after it.
	ask(client, "PUT", "/echo?m=1", io.MultiReader(strings.NewReader("unknown length")), 14)
	ask(client, "GET", "/stream/50?m=2", nil, 0)
	ask(client, "DELETE", "/status/204?m=3", nil, 0)
	ask(client, "GET", "/status/404?m=4", nil, 0)
	ask(client, "GET", "/status/503?m=5", nil, 0)
	ask(client, "HEAD", "/echo?m=6", nil, 0)
	ask(client, "GET", "/large?m=7", nil, 0, "X-Large", large(1))
	ask(client, "GET", "/large?m=8", nil, 0, "X-Large", large(2))
	ask(client, "GET", "/panic?m=9", nil, 0)
	ask(client, "GET", "/sleep/1?m=10", nil, 0, "Traceparent", "00-33333333333333333333333333333333-4444444444444444-01")
	var group sync.WaitGroup
	for n := range 100 {
		group.Go(func() { ask(client, "GET", fmt.Sprintf("/sleep/%d?m=%d", n%10, 11+n), nil, 0) })
	}
	group.Wait()
	// The server ends while these are on their way.
	for n := range 20 {
		group.Go(func() { ask(client, "GET", fmt.Sprintf("/sleep/%d?m=%d", 300+n, 111+n), nil, 0) })
	}
	time.Sleep(100 * time.Millisecond)
	ask(client, "GET", "/shutdown?m=131", nil, 0)
	group.Wait()
}
