// Go's net/http server: server PORT. Each request is a line of JSON on standard output with what
// the server made of it. /stream/N answers with N pieces, each flushed; /sleep/MS after that time;
// /status/N with that status; others with an echo of the body.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	var mutex sync.Mutex
	lines := json.NewEncoder(os.Stdout)
	handler := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
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
		}
		_, port, _ := net.SplitHostPort(r.RemoteAddr)
		client, _ := strconv.Atoi(port)
		mutex.Lock()
		lines.Encode(map[string]any{
			"method": r.Method, "target": r.RequestURI, "received": len(body), "status": status,
			"sent": pieces * len(piece), "client": client, "trailer": r.Trailer.Get("X-Sum"),
		})
		mutex.Unlock()
		w.WriteHeader(status)
		for range make([]struct{}, pieces) {
			w.Write(piece)
			if words[1] == "stream" {
				w.(http.Flusher).Flush()
			}
		}
	}
	err := http.ListenAndServe("127.0.0.1:"+os.Args[1], http.HandlerFunc(handler))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
