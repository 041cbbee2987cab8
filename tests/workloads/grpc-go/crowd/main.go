// Eight workers at HTTP/2 over one connection, for so long: `crowd PORT SECONDS`. Each request has a path and a
// traceparent of its own, with the same two numbers. What came of each is a line of JSON on standard output.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

func main() {
	seconds, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: &http2.Transport{
		AllowHTTP: true,
		DialTLSContext: func(_ context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
			return net.Dial(network, address)
		},
	}}
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	var group sync.WaitGroup
	var mutex sync.Mutex
	out := json.NewEncoder(os.Stdout)
	for worker := range 8 {
		group.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				path := fmt.Sprintf("/w%d/%d", worker, n)
				request, err := http.NewRequest("GET", "http://127.0.0.1:"+os.Args[1]+path, nil)
				if err != nil {
					log.Fatal(err)
				}
				request.Header.Set("Traceparent", fmt.Sprintf("00-%016x%016x-00000000000000ff-01", worker+1, n+1))
				begun := time.Now()
				response, err := client.Do(request)
				if err != nil {
					log.Fatal(err)
				}
				received, err := io.Copy(io.Discard, response.Body)
				if err != nil {
					log.Fatal(err)
				}
				response.Body.Close()
				mutex.Lock()
				_ = out.Encode(map[string]any{
					"path": path, "begun": begun.UnixNano(), "nanoseconds": time.Since(begun).Nanoseconds(),
					"status": response.StatusCode, "received": received,
				})
				mutex.Unlock()
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	group.Wait()
}
