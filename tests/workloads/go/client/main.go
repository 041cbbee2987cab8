// Go's net/http client: client PORT. Each exchange is a line of JSON on standard output with what
// the client made of it: some one after the other, then eight at once.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

var (
	mutex sync.Mutex
	lines = json.NewEncoder(os.Stdout)
)

func ask(method, target string, body io.Reader, size int, headers ...string) {
	request, err := http.NewRequest(method, "http://127.0.0.1:"+os.Args[1]+target, body)
	if err != nil {
		fail(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	if size > 0 && request.ContentLength <= 0 {
		request.Trailer = http.Header{"X-Sum": {"1"}}
	}
	start := time.Now()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		fail(err)
	}
	received, err := io.Copy(io.Discard, response.Body)
	if err != nil {
		fail(err)
	}
	response.Body.Close()
	mutex.Lock()
	defer mutex.Unlock()
	lines.Encode(map[string]any{
		"target": target, "status": response.StatusCode, "received": received, "sent": size,
		"nanoseconds": time.Since(start).Nanoseconds(),
	})
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func main() {
	large := strings.Repeat("g", 1<<20)
	ask("POST", "/echo?m=0", strings.NewReader(large), len(large))
	// A reader of unknown length goes out in chunks, and a trailer after them.
	ask("PUT", "/echo?m=1", io.MultiReader(strings.NewReader("unknown length")), 14)
	ask("GET", "/stream/50?m=2", nil, 0)
	ask("DELETE", "/status/204?m=3", nil, 0)
	ask("GET", "/status/404?m=4", nil, 0)
	ask("GET", "/status/500?m=5", nil, 0)
	ask("HEAD", "/echo?m=6", nil, 0)
	ask("GET", "/sleep/50?m=7", nil, 0,
		"traceparent", "00-33333333333333333333333333333333-4444444444444444-01")
	var group sync.WaitGroup
	for i := 8; i < 16; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			ask("GET", fmt.Sprintf("/sleep/100?m=%d", i), nil, 0)
		}(i)
	}
	group.Wait()
}
