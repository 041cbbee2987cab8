// An HTTP server that turns to HTTP/2 when it is asked to (h2c).
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

func main() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received, _ := io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusMultiStatus)
		fmt.Fprintf(w, "%s %s %d\n", r.Proto, r.URL, received)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], h2c.NewHandler(handler, &http2.Server{})))
}
